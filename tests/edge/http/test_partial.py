"""Which slices are asked for, and what an answer to that is taken for: tables."""

import pytest

from edge.http import partial
from edge.http.directives import Directives
from edge.http.entry import PLAIN, Entry, Request, Response, Rules
from edge.http.partial import SLICE, Aligned, Changed, Ignored, Lie, Part, Refused

TOTAL = 10 * SLICE + 5
DATE = b"Thu, 01 Jan 2026 00:00:10 GMT"
MODIFIED = b"Thu, 01 Jan 2026 00:00:00 GMT"


def entry(etag: bytes | None = b'"1"', modified: bytes | None = None, date: float = 1767225610.0) -> Entry:
    return Entry("http://a/", 200, (), (), Directives(), 0, date, date, 0, 60, etag, modified, length=TOTAL)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("0-0", b"bytes=0-1048575"),
        ("5-1048575", b"bytes=0-1048575"),
        ("1048575-1048576", b"bytes=0-2097151"),
        ("1048576-", b"bytes=1048576-"),
        ("7-,9-10", b"bytes=0-"),
        ("0-0,-5", b"bytes=0-1048575"),
        ("-5", None),
        ("-5,0-0", None),
        ("x", None),
        ("5-4", None),
        (",".join(["0-0"] * 9), None),
    ],
)
def test_a_range_of_what_is_not_known_is_widened_to_slices(wanted: str, expected: bytes | None) -> None:
    found = partial.aligned(Request("GET", "http://a/", [(b"range", b"bytes=" + wanted.encode())]))
    assert (None if found is None else found.value()) == expected


@pytest.mark.parametrize(
    "field",
    [
        (b"authorization", b"x"),
        (b"if-none-match", b'"1"'),
        (b"if-match", b'"1"'),
        (b"cache-control", b"no-store"),
    ],
)
def test_with_conditions_or_credentials_it_goes_on_as_it_came(field: tuple[bytes, bytes]) -> None:
    assert partial.aligned(Request("GET", "http://a/", [(b"range", b"bytes=0-0"), field])) is None


def test_ranges_beyond_what_is_served_go_to_nobody() -> None:
    many = Request(
        "GET", "http://a/", [(b"range", b"bytes=" + b",".join([b"0-0"] * 9)), (b"if-range", b'"1"')]
    )
    assert partial.without_noise(many).fields == []
    other = Request("GET", "http://a/", [(b"range", b"lines=1-2")])
    assert partial.without_noise(other) is other


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (entry(), b'"1"'),
        (entry(b'W/"1"'), None),
        (entry(b'W/"1"', MODIFIED), None),
        (entry(None, MODIFIED), MODIFIED),
        (entry(None, DATE), None),  # it may have changed again in that second (RFC 9110 §8.8.2.2)
        (entry(None, b"yesterday"), None),
        (entry(None), None),
    ],
)
def test_only_a_strong_validator_tells_parts_of_one_body(found: Entry, expected: bytes | None) -> None:
    assert partial.validator(found) == expected


def place(start: int, stop: int, total: int = TOTAL) -> tuple[bytes, bytes]:
    return b"content-range", b"bytes %d-%d/%d" % (start, stop - 1, total)


TAG = (b"etag", b'"1"')


@pytest.mark.parametrize(
    ("status", "fields", "expected"),
    [
        (206, [TAG, place(SLICE, 3 * SLICE)], Part(3 * SLICE)),
        (206, [TAG, place(SLICE, 2 * SLICE)], Part(2 * SLICE)),  # fewer, but whole slices
        (206, [TAG, place(SLICE, 2 * SLICE + 1)], Lie),
        (206, [TAG, place(SLICE, 4 * SLICE)], Lie),
        (206, [TAG, place(0, 3 * SLICE)], Lie),
        (206, [TAG, place(SLICE, 3 * SLICE, TOTAL + 1)], Lie),
        (206, [TAG], Lie),
        (206, [TAG, (b"content-range", b"bytes 1048576-3145727/*")], Lie),
        (206, [TAG, (b"content-type", b"multipart/byteranges; boundary=x")], Lie),
        (206, [TAG, place(SLICE, 3 * SLICE), (b"content-length", b"5")], Lie),
        (206, [TAG, place(SLICE, 3 * SLICE), (b"content-encoding", b"gzip")], Lie),
        (206, [place(SLICE, 3 * SLICE)], Lie),
        (206, [(b"etag", b'"2"'), place(SLICE, 3 * SLICE)], Changed()),
        (206, [(b"etag", b'W/"1"'), place(SLICE, 3 * SLICE)], Changed()),
        (200, [TAG, (b"content-length", b"%d" % TOTAL)], Ignored()),
        (200, [TAG], Ignored()),
        (200, [TAG, (b"content-length", b"7")], Changed()),
        (200, [(b"etag", b'"2"')], Changed()),
        (200, [], Changed()),
        (404, [], Changed()),
        (410, [], Changed()),
        (416, [(b"content-range", b"bytes */5")], Changed()),
        (503, [], Refused(503)),
        (401, [], Refused(401)),
        (302, [], Refused(302)),
    ],
)
def test_f7_f8_what_comes_to_a_request_for_more(
    status: int, fields: list[tuple[bytes, bytes]], expected: object
) -> None:
    heard = partial.heard_more(entry(), Response(status, fields), SLICE, 3 * SLICE)
    assert isinstance(heard, Lie) if expected is Lie else heard == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([place(SLICE, 3 * SLICE)], Part(3 * SLICE)),  # left out after If-Range (§15.3.7)
        ([(b"last-modified", MODIFIED), place(SLICE, 3 * SLICE)], Part(3 * SLICE)),
        ([(b"last-modified", DATE), place(SLICE, 3 * SLICE)], Changed()),
        ([TAG, place(SLICE, 3 * SLICE)], Changed()),
    ],
)
def test_f7_a_body_told_by_its_date(fields: list[tuple[bytes, bytes]], expected: object) -> None:
    heard = partial.heard_more(entry(None, MODIFIED), Response(206, fields), SLICE, 3 * SLICE)
    assert heard == expected


def test_the_last_slice_is_asked_for_to_its_border_and_comes_to_the_end() -> None:
    heard = partial.heard_more(entry(), Response(206, [TAG, place(10 * SLICE, TOTAL)]), 10 * SLICE, TOTAL)
    assert heard == Part(TOTAL)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([place(SLICE, 2 * SLICE)], (SLICE, 2 * SLICE, TOTAL)),
        ([place(SLICE, SLICE + 7, SLICE + 7)], (SLICE, SLICE + 7, SLICE + 7)),
        ([(b"content-range", b"bytes 1048576-2097151/*")], None),
        ([place(0, SLICE)], Lie),
        ([place(SLICE, 3 * SLICE)], Lie),
        ([place(SLICE, SLICE + 7)], Lie),
        ([], Lie),
        ([(b"content-range", b"bytes 5-4/9")], Lie),
        ([place(SLICE, 2 * SLICE), place(SLICE, 2 * SLICE)], Lie),
    ],
)
def test_f8_what_comes_to_the_first_request(fields: list[tuple[bytes, bytes]], expected: object) -> None:
    heard = partial.heard_first(Response(206, fields), Aligned(SLICE, 2 * SLICE))
    assert isinstance(heard, Lie) if expected is Lie else heard == expected


def test_what_is_asked_for_more_carries_the_validator_and_no_condition_of_the_client() -> None:
    sent = [(b"range", b"bytes=5-6"), (b"if-none-match", b'"9"'), (b"if-range", b'"9"'), (b"accept", b"*/*")]
    assert partial.asking_more(sent, entry(), SLICE, 2 * SLICE) == [
        (b"accept", b"*/*"),
        (b"range", b"bytes=1048576-2097151"),
        (b"if-range", b'"1"'),
    ]


@pytest.mark.parametrize(
    ("fields", "rules", "expected"),
    [
        ([(b"accept-ranges", b"bytes")], PLAIN, True),
        ([(b"accept-ranges", b"none")], PLAIN, False),
        ([], PLAIN, False),
        ([(b"accept-ranges", b"bytes"), (b"transfer-encoding", b"chunked")], PLAIN, False),
        ([(b"accept-ranges", b"bytes")], Rules(slices=False), False),
    ],
)
def test_a_large_body_is_kept_in_slices_where_ranges_are_served(
    fields: list[tuple[bytes, bytes]], rules: Rules, expected: bool
) -> None:
    assert partial.may_slice(entry(), Response(200, fields), rules) is expected
