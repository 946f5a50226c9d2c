"""Multipart forms, in whatever pieces they arrive, and what hostile ones may cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.problems import Problem
from origin.forms import MAX_PARTS, Event, Field, FileBegin, FileData, FileEnd, FormReader

TYPE = 'multipart/form-data; boundary="edge"'


def part(disposition: str, body: bytes, extra: str = "") -> bytes:
    return f"--edge\r\nContent-Disposition: form-data; {disposition}\r\n{extra}\r\n".encode() + body + b"\r\n"


def read(data: bytes, size: int = 1 << 16) -> list[Event]:
    reader = FormReader(TYPE)
    events = [event for at in range(0, len(data), size) for event in reader.feed(data[at : at + size])]
    reader.finish()
    return events


def files_of(events: list[Event]) -> list[tuple[str, bytes]]:
    files: list[tuple[str, bytes]] = []
    for event in events:
        if isinstance(event, FileBegin):
            files.append((event.filename, b""))
        elif isinstance(event, FileData):
            files[-1] = (files[-1][0], files[-1][1] + event.data)
    return files


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5), st.integers(1, 64))
def test_files_come_out_whole_in_any_pieces(bodies: list[bytes], size: int) -> None:
    bodies = [body.replace(b"--edge", b"") for body in bodies]
    data = (
        b"".join(part(f'name="file"; filename="{n}.mp4"', body) for n, body in enumerate(bodies))
        + b"--edge--\r\n"
    )
    events = read(data, size)
    assert files_of(events) == [(f"{n}.mp4", body) for n, body in enumerate(bodies)]
    assert sum(isinstance(event, FileEnd) for event in events) == len(bodies)


def test_fields_keep_their_order_with_files() -> None:
    data = part('name="title"', "Été".encode()) + part('name="f"; filename="a.mp4"', b"x") + b"--edge--\r\n"
    assert read(data) == [Field("title", "Été"), FileBegin("a.mp4"), FileData(b"x"), FileEnd()]


def test_browser_escapes_in_file_names_are_undone() -> None:
    events = read(part('name="f"; filename="a%22b%0D%0Ac.mp4"', b"") + b"--edge--\r\n")
    assert events[0] == FileBegin('a"b\r\nc.mp4')


def test_a_form_that_ends_early_is_refused() -> None:
    reader = FormReader(TYPE)
    reader.feed(part('name="f"; filename="a.mp4"', b"half"))
    with pytest.raises(Problem, match="ended before it was complete"):
        reader.finish()


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "multipart/form-data", "multipart/form-data; boundary="]
)
def test_t15_a_form_without_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(Problem, match="bad_request"):
        FormReader(content_type)


def test_t15_a_flood_of_parts_is_refused() -> None:
    reader = FormReader(TYPE)
    with pytest.raises(Problem, match="too_large"):
        reader.feed(part('name="a"', b"") * (MAX_PARTS + 1))


def test_t15_a_flood_of_headers_is_refused() -> None:
    reader = FormReader(TYPE)
    with pytest.raises(Problem, match=r"bad_request|too_large"):
        reader.feed(b"--edge\r\n" + b"X-A: 1\r\n" * 5000)


def test_t15_long_fields_are_refused() -> None:
    reader = FormReader(TYPE)
    with pytest.raises(Problem, match="too_large"):
        reader.feed(part('name="title"', b"x" * 9000))


@given(st.binary(max_size=2000))
def test_t15_any_bytes_are_read_or_refused_never_a_crash(data: bytes) -> None:
    reader = FormReader(TYPE)
    try:
        reader.feed(b"--edge\r\n" + data)
        reader.finish()
    except Problem as problem:
        assert problem.status in (400, 413)
