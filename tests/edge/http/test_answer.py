"""Answers made of an entry: Age, 304 to who has it, ranges, HEAD (H1–H6, H9–H11, H15, H21)."""

from dataclasses import replace

import pytest

from edge.http.answer import Answer, answer
from edge.http.entry import PLAIN, Entry
from edge.http.fields import get as field
from tests.edge.http.exchange import NOW, get, stored

FILM = stored(
    """Cache-Control: max-age=5000
    Date: Fri, 15 Jan 2027 08:00:00 GMT
    ETag: "abc"
    Last-Modified: Thu, 14 Jan 2027 08:00:00 GMT
    Content-Type: video/mp4
    Content-Length: 10
    Content-Encoding: x
    Vary: Foo
    X-A: 1
    Surrogate-Key: film"""
)


def answered(asked: str = "", method: str = "GET", entry: Entry = FILM, later: float = 0) -> Answer:
    return answer(get(asked, method), entry, NOW + later, PLAIN)


def test_a_hit_has_its_age_and_the_fields_stored() -> None:
    found = answered(later=7.9)
    assert (found.status, found.spans) == (200, None)
    assert field(found.fields, b"age") == b"7"
    assert field(found.fields, b"date") == b"Fri, 15 Jan 2027 08:00:00 GMT"
    assert field(found.fields, b"content-length") == b"10"
    assert field(found.fields, b"accept-ranges") == b"bytes"
    assert field(found.fields, b"surrogate-key") is None


CONDITIONS: list[tuple[str, int]] = [
    ('If-None-Match: "abc"', 304),
    ('If-None-Match: W/"abc"', 304),
    ('If-None-Match: "1", "abc", "2"', 304),
    ('If-None-Match: "1"\nIf-None-Match: "abc"', 304),
    ("If-None-Match: *", 304),
    ('If-None-Match: "xyz"', 200),
    ("If-None-Match: abc", 200),
    ("If-Modified-Since: Thu, 14 Jan 2027 08:00:00 GMT", 304),
    ("If-Modified-Since: Thursday, 14-Jan-27 08:00:00 GMT", 304),
    ("If-Modified-Since: Thu, 14 Jan 2027 09:00:00 GMT", 304),
    ("If-Modified-Since: Thu, 14 Jan 2027 07:59:59 GMT", 200),
    ("If-Modified-Since: soon", 200),
    # If-None-Match comes first
    ('If-None-Match: "abc"\nIf-Modified-Since: Thu, 01 Jan 2026 08:00:00 GMT', 304),
    ('If-None-Match: "xyz"\nIf-Modified-Since: Thu, 14 Jan 2027 08:00:00 GMT', 200),
    ('If-None-Match: "abc"\nRange: bytes=0-1', 304),
]


@pytest.mark.parametrize(("asked", "status"), CONDITIONS)
def test_h10_who_has_it_is_told_so(asked: str, status: int) -> None:
    assert answered(asked).status == status
    assert answered(asked, "HEAD").status == status


def test_h11_a_304_has_what_updates_a_cache_and_nothing_of_a_body() -> None:
    found = answered('If-None-Match: "abc"')
    names = {name for name, _ in found.fields}
    assert {b"etag", b"date", b"cache-control", b"vary", b"age", b"last-modified", b"x-a"} == names
    assert found.spans == ()


def test_without_last_modified_the_date_is_compared() -> None:
    entry = stored("Cache-Control: max-age=5000")
    assert answered("If-Modified-Since: Fri, 15 Jan 2027 08:00:00 GMT", entry=entry).status == 304
    assert answered("If-Modified-Since: Fri, 15 Jan 2027 07:59:59 GMT", entry=entry).status == 200


def test_tags_that_are_no_tags_match_letter_for_letter() -> None:
    for tag in (b"abc", b'w/"abc"', b'W\\"abc"', b'"abc\xfc"'):
        entry = replace(FILM, etag=tag)
        assert answered(f"If-None-Match: {tag.decode('latin-1')}", entry=entry).status == 304


def test_an_error_that_is_stored_is_not_not_modified() -> None:
    entry = stored('Cache-Control: max-age=5\nETag: "abc"', status=404)
    assert answered('If-None-Match: "abc"', entry=entry).status == 404
    assert answered("Range: bytes=0-1", entry=entry).status == 404


RANGES: list[tuple[str, int, tuple[tuple[int, int], ...] | None, bytes | None]] = [
    ("bytes=0-1", 206, ((0, 2),), b"bytes 0-1/10"),
    ("bytes=1-", 206, ((1, 10),), b"bytes 1-9/10"),
    ("bytes=-1", 206, ((9, 10),), b"bytes 9-9/10"),
    ("bytes=10-", 416, (), b"bytes */10"),
    ("bytes=2-1", 200, None, None),
    ("lines=1-2", 200, None, None),
    ('bytes=0-1\nIf-Range: "abc"', 206, ((0, 2),), b"bytes 0-1/10"),
    ('bytes=0-1\nIf-Range: W/"abc"', 200, None, None),
    ('bytes=0-1\nIf-Range: "xyz"', 200, None, None),
    ("bytes=0-1\nIf-Range: Thu, 14 Jan 2027 08:00:00 GMT", 206, ((0, 2),), b"bytes 0-1/10"),
    ("bytes=0-1\nIf-Range: Thu, 14 Jan 2027 08:00:01 GMT", 200, None, None),
]


@pytest.mark.parametrize(("asked", "status", "spans", "place"), RANGES)
def test_h2_to_h6_ranges_of_an_entry(
    asked: str, status: int, spans: tuple[tuple[int, int], ...] | None, place: bytes | None
) -> None:
    found = answered(f"Range: {asked}")
    assert (found.status, found.spans) == (status, spans)
    assert field(found.fields, b"content-range") == place
    if status == 206:
        assert field(found.fields, b"content-length") == b"%d" % sum(b - a for a, b in spans or ())
        assert field(found.fields, b"etag") == b'"abc"' and field(found.fields, b"x-a") == b"1"
    head = answered(f"Range: {asked}", "HEAD")
    assert (head.status, head.spans, field(head.fields, b"content-length")) == (200, (), b"10")


def test_a_weak_tag_names_no_range() -> None:
    weak = replace(FILM, etag=b'W/"abc"')
    assert answered('Range: bytes=0-1\nIf-Range: W/"abc"', entry=weak).status == 200


def test_h5_several_ranges_are_parts_of_one_body() -> None:
    found = answered("Range: bytes=0-1,5-6")
    assert found.status == 206 and found.spans == ((0, 2), (5, 7)) and found.frame is not None
    assert field(found.fields, b"content-length") == b"%d" % found.frame.length
    assert (field(found.fields, b"content-type") or b"").startswith(b"multipart/byteranges; boundary=")


def test_while_its_length_is_unknown_the_whole_is_the_answer() -> None:
    coming = replace(FILM, length=None)
    assert answered("Range: bytes=0-1", entry=coming).spans is None


def test_a_range_of_a_part_is_counted_from_where_the_part_begins() -> None:
    part = stored("Cache-Control: max-age=9\nContent-Range: bytes 4-8/10\nContent-Length: 5", status=206)
    found = answered("Range: bytes=6-8", entry=part)
    assert (found.status, found.spans) == (206, ((2, 5),))
    assert field(found.fields, b"content-range") == b"bytes 6-8/10"
