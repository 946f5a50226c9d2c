"""What part of a body to send: Range, If-Range and the other preconditions of RFC 9110 §13–14.

Bodies here have one strong ETag and no Last-Modified, so the date preconditions never hold and If-Range
by date never matches (RFC 9110 §13.1.5). Several ranges that touch become one; several that do not are
answered with the whole body, which §14.2 allows. Linear in the header's length; headers over 10 kB are
ignored (SECURITY H4, T10). Pure.
"""

import re
from dataclasses import dataclass
from typing import Final

MAX_RANGE_BYTES: Final = 10_000
MAX_RANGES: Final = 8

_SPEC = re.compile(r"[ \t]*(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))[ \t]*")
_TAGS = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


@dataclass(frozen=True, slots=True)
class Part:
    """What to answer: a status of 200, 206, 304, 412 or 416, and which bytes `start` ≤ i < `stop`."""

    status: int
    start: int
    stop: int


def choose(method: str, headers: dict[bytes, bytes], etag: str, length: int) -> Part:
    """The part of a body of `length` bytes these request headers ask for (RFC 9110 §13.2.2, in its order)."""
    if_match = headers.get(b"if-match")
    if if_match is not None and not _matches(if_match, etag, weak=False):
        return Part(412, 0, 0)
    if_none_match = headers.get(b"if-none-match")
    if if_none_match is not None and _matches(if_none_match, etag, weak=True):
        return Part(304, 0, 0)
    wanted = headers.get(b"range")
    if wanted is None or method != "GET" or not _range_holds(headers.get(b"if-range"), etag):
        return Part(200, 0, length)
    return _part(wanted, length)


def content_range(part: Part, length: int) -> str:
    """The Content-Range value of a 206 or a 416."""
    return f"bytes */{length}" if part.status == 416 else f"bytes {part.start}-{part.stop - 1}/{length}"


def _range_holds(if_range: bytes | None, etag: str) -> bool:
    return (
        if_range is None or if_range.decode("latin-1").strip() == etag
    )  # strong comparison: W/ never equals


def _part(header: bytes, length: int) -> Part:
    specs = _parse(header)
    if specs is None:
        return Part(200, 0, length)
    spans = sorted(span for span in (_span(first, last, length) for first, last in specs) if span)
    if not spans:
        return Part(416, 0, 0)
    start, stop = spans[0]
    for following, end in spans[1:]:
        if following > stop:
            return Part(200, 0, length)
        stop = max(stop, end)
    return Part(206, start, stop)


def _parse(header: bytes) -> list[tuple[int | None, int | None]] | None:
    """(first, last) pairs; first None for a suffix. None when the header is to be ignored."""
    if len(header) > MAX_RANGE_BYTES:
        return None
    unit, equals, rest = header.decode("latin-1").partition("=")
    texts = rest.split(",")
    if unit.strip().lower() != "bytes" or not equals or len(texts) > MAX_RANGES:
        return None
    found: list[tuple[int | None, int | None]] = []
    for text in texts:
        spec = _SPEC.fullmatch(text)
        if spec is None:
            return None
        if spec[3] is not None:
            found.append((None, int(spec[3])))
            continue
        first, last = int(spec[1]), int(spec[2]) if spec[2] else None
        if last is not None and last < first:
            return None
        found.append((first, last))
    return found


def _span(first: int | None, last: int | None, length: int) -> tuple[int, int] | None:
    """(start, stop) inside the body, or None when it lies outside."""
    if first is None:
        suffix = min(last or 0, length)
        return (length - suffix, length) if suffix else None
    if first >= length:
        return None
    return first, length if last is None else min(last + 1, length)


def _matches(header: bytes, etag: str, *, weak: bool) -> bool:
    text = header.decode("latin-1").strip()
    if text == "*":
        return True
    tags = _TAGS.findall(text[:MAX_RANGE_BYTES])
    return any((tag.removeprefix("W/") if weak else tag) == etag for tag in tags)
