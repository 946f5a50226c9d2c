"""Several ranges of one body: which parts come, in what order, how framed (SECURITY H5, H10, T10)."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.deliver.multipart import frame
from edge.deliver.ranges import MAX_RANGES, Parts, choose, choose_parts

TAG = '"tag"'
STORED = 1_750_000_000

Spec = tuple[int | None, int | None]  # first, last; first None: the last bytes


def asked(value: str, length: int = 100, **more: str) -> Parts:
    headers = {b"range": value.encode("latin-1")}
    headers |= {name.replace("_", "-").encode(): text.encode() for name, text in more.items()}
    return choose_parts("GET", headers, TAG, length, STORED)


@pytest.mark.parametrize(
    ("value", "spans"),
    [
        ("bytes=0-0,2-2", ((0, 1), (2, 3))),
        ("bytes=50-59,0-9", ((50, 60), (0, 10))),
        ("bytes=-5,0-0", ((95, 100), (0, 1))),
        ("bytes=0-9,20-29,10-19", ((0, 30),)),
        ("bytes=40-49,0-9,20-29,5-24", ((40, 50), (0, 30))),
        ("bytes=0-0,0-0,0-0,5-5", ((0, 1), (5, 6))),
        ("bytes=500-,3-4,-0", ((3, 5),)),
        ("bytes=0-,5-6", ((0, 100),)),
    ],
)
def test_h05_ranges_are_joined_where_they_touch_and_keep_their_order(
    value: str, spans: tuple[tuple[int, int], ...]
) -> None:
    assert asked(value) == Parts(206, spans)


def test_h05_t10_eight_ranges_are_served_and_nine_are_not() -> None:
    ranges = [f"{n * 5}-{n * 5}" for n in range(9)]
    assert len(asked("bytes=" + ",".join(ranges[:8])).spans) == 8
    assert asked("bytes=" + ",".join(ranges)) == Parts(200, ((0, 100),))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({b"if-unmodified-since": formatdate(STORED, usegmt=True).encode()}, 200),
        ({b"if-unmodified-since": formatdate(STORED - 1, usegmt=True).encode()}, 412),
        ({b"if-match": b'"tag"', b"if-unmodified-since": formatdate(0, usegmt=True).encode()}, 200),
        ({b"if-modified-since": formatdate(STORED, usegmt=True).encode()}, 304),
        ({b"if-modified-since": formatdate(STORED - 1, usegmt=True).encode()}, 200),
        ({b"if-none-match": b'"x"', b"if-modified-since": formatdate(STORED, usegmt=True).encode()}, 200),
        ({b"if-modified-since": b"\xff" * 20}, 200),
        ({b"if-modified-since": b"Fri, 99 Nov 99999 99:99:99 GMT"}, 200),
        ({b"if-modified-since": b"0" * 100_000}, 200),
    ],
)
def test_h10_dates_count_where_no_tag_does(headers: dict[bytes, bytes], status: int) -> None:
    assert choose_parts("GET", headers, TAG, 100, STORED).status == status
    if status != 200:
        assert choose_parts("GET", headers, TAG, 100).status == 200  # no Last-Modified: passed over


def test_h32_of_an_empty_body_the_last_bytes_are_all_of_it() -> None:
    assert asked("bytes=-5", 0) == Parts(200, ((0, 0),))
    assert asked("bytes=0-", 0) == Parts(416, ())
    assert asked("bytes=-0", 0) == Parts(416, ())


specs = st.one_of(
    st.tuples(st.integers(0, 60), st.none()),
    st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda pair: (pair[0], pair[0] + pair[1])),
    st.tuples(st.none(), st.integers(0, 60)),
)


def meant(spec: Spec, length: int) -> set[int]:
    """The bytes one range of RFC 9110 §14.1.2 names."""
    first, last = spec
    if first is None:
        return set(range(max(0, length - (last or 0)), length))
    return set(range(first, length if last is None else min(last + 1, length)))


def written(spec: Spec) -> str:
    return f"{'' if spec[0] is None else spec[0]}-{'' if spec[1] is None else spec[1]}"


@given(st.lists(specs, min_size=1, max_size=MAX_RANGES), st.integers(1, 50))
def test_h05_parts_are_exactly_the_bytes_asked_for_each_of_them_once(ranges: list[Spec], length: int) -> None:
    found = asked("bytes=" + ",".join(map(written, ranges)), length)
    wanted = [meant(spec, length) for spec in ranges]
    if not any(wanted):
        assert found == Parts(416, ())
        return
    assert found.status == 206
    parts = [set(range(*span)) for span in found.spans]
    assert set.union(*parts) == set.union(*wanted)
    for number, (start, stop) in enumerate(found.spans):
        assert 0 <= start < stop <= length
        others = [span for at, span in enumerate(found.spans) if at != number]
        assert all(stop < other[0] or other[1] < start for other in others)  # neither touch nor overlap
    firsts = [min(at for at, bytes_ in enumerate(wanted) if bytes_ & part) for part in parts]
    assert firsts == sorted(firsts)  # each part stands where its first range stood


@given(st.lists(specs, min_size=1, max_size=MAX_RANGES), st.integers(0, 50))
def test_where_one_part_is_served_it_is_that_part_or_the_whole(ranges: list[Spec], length: int) -> None:
    value = "bytes=" + ",".join(map(written, ranges))
    several, one = asked(value, length), choose("GET", {b"range": value.encode()}, TAG, length)
    if len(several.spans) == 1:
        assert (one.status, one.start, one.stop) == (several.status, *several.spans[0])
    elif several.spans:
        assert (one.status, one.start, one.stop) == (200, 0, length)


def test_h05_the_framing_is_the_same_everywhere_and_its_length_is_told() -> None:
    spans = ((95, 100), (0, 10))
    framing = frame(spans, 100, "video/mp4", TAG)
    assert framing == frame(spans, 100, "video/mp4", TAG)
    assert framing.heads != frame(spans, 100, "video/mp4", '"other"').heads
    body = bytes(range(100))
    whole = b"".join(
        head + body[start:stop] for head, (start, stop) in zip(framing.heads, spans, strict=True)
    )
    whole += framing.end
    assert len(whole) == framing.length
    boundary = framing.content_type.removeprefix(b"multipart/byteranges; boundary=")
    assert whole.split(b"\r\n--" + boundary)[3] == b"--\r\n"
    assert b"content-range: bytes 95-99/100\r\n" in framing.heads[0]
