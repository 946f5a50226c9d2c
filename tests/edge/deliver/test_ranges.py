"""Range, If-Range and preconditions as RFC 9110 says (SECURITY H1–H6, H10, T10)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.deliver.ranges import Part, choose, content_range

TAG = '"tag"'


def asked(value: str, length: int = 100, **more: str) -> Part:
    headers = {b"range": value.encode("latin-1")}
    headers |= {name.replace("_", "-").encode(): text.encode() for name, text in more.items()}
    return choose("GET", headers, TAG, length)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("bytes=0-0", Part(206, 0, 1)),
        ("bytes=10-19", Part(206, 10, 20)),
        ("bytes=90-", Part(206, 90, 100)),
        ("bytes=-10", Part(206, 90, 100)),
        ("bytes=-1000", Part(206, 0, 100)),
        ("bytes=90-1000", Part(206, 90, 100)),
        ("bytes=0-", Part(206, 0, 100)),
        ("BYTES=0-1", Part(206, 0, 2)),
        ("bytes= 0-1 , 2-3 ", Part(206, 0, 4)),
        ("bytes=5-9,0-6", Part(206, 0, 10)),
        ("bytes=0-1,500-", Part(206, 0, 2)),
        ("bytes=-0,3-4", Part(206, 3, 5)),
    ],
)
def test_h2_ranges_inside_are_206(value: str, part: Part) -> None:
    assert asked(value) == part


@pytest.mark.parametrize("value", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=500-,600-"])
def test_h3_ranges_outside_are_416(value: str) -> None:
    part = asked(value)
    assert part.status == 416
    assert content_range(part, 100) == "bytes */100"


@pytest.mark.parametrize(
    "value",
    [
        "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=1-0", "bytes=0-1,", "bytes=0-1;2-3", "items=0-1",
        "0-1", "bytes=--1", "bytes=1--2", "bytes=0x1-2", "bytes=+1-2", "bytes=1.5-2",
        "bytes=0-1,b-", "bytes=²-3",
        "bytes=" + "9" * 30 + "-", "bytes=0-1" + "," * 10_001, "bytes=" + ",".join(["0-1"] * 9),
    ],
)  # fmt: skip
def test_h4_t10_ranges_that_mean_nothing_are_ignored(value: str) -> None:
    assert asked(value) == Part(200, 0, 100)


def test_h4_a_range_counts_for_get_only() -> None:
    assert choose("HEAD", {b"range": b"bytes=0-1"}, TAG, 100).status == 200


def test_h5_ranges_with_a_gap_are_answered_whole() -> None:
    assert asked("bytes=0-1,4-5") == Part(200, 0, 100)


@pytest.mark.parametrize(
    ("if_range", "status"),
    [(TAG, 206), ('"other"', 200), ('W/"tag"', 200), ("Wed, 21 Oct 2026 07:28:00 GMT", 200), ("", 200)],
)
def test_h6_if_range_is_a_strong_comparison(if_range: str, status: int) -> None:
    assert asked("bytes=0-1", if_range=if_range).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({b"if-none-match": b'"tag"'}, 304),
        ({b"if-none-match": b'W/"tag"'}, 304),
        ({b"if-none-match": b'"a", "tag"'}, 304),
        ({b"if-none-match": b"*"}, 304),
        ({b"if-none-match": b'"a"'}, 200),
        ({b"if-none-match": b"tag"}, 200),
        ({b"if-match": b'"tag"'}, 200),
        ({b"if-match": b"*"}, 200),
        ({b"if-match": b'W/"tag"'}, 412),
        ({b"if-match": b'"a"'}, 412),
        ({b"if-match": b'"a"', b"if-none-match": b'"tag"'}, 412),
        ({b"if-none-match": b'"tag"', b"range": b"bytes=500-"}, 304),
        ({b"if-modified-since": b"Wed, 21 Oct 2099 07:28:00 GMT"}, 200),
    ],
)
def test_h10_preconditions_come_in_the_order_of_rfc_9110(headers: dict[bytes, bytes], status: int) -> None:
    assert choose("GET", headers, TAG, 100).status == status


@given(st.binary(max_size=80), st.integers(0, 1000))
def test_any_range_header_gives_a_part_inside_the_body(value: bytes, length: int) -> None:
    part = choose("GET", {b"range": b"bytes=" + value}, TAG, length)
    assert part.status in (200, 206, 416)
    assert 0 <= part.start <= part.stop <= length
