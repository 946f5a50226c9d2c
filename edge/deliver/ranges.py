"""What part of a body to send: Range, If-Range and the other preconditions of RFC 9110 §13–14.

Every body has one strong ETag. One without a Last-Modified passes over the date preconditions, and If-Range
by date never matches it (RFC 9110 §13.1.5). Ranges that touch or overlap become one (§15.3.7.2). What is
left of several comes as parts of a multipart body where that is served (`multipart`), in the order asked
for; elsewhere the whole body is the answer, which §14.2 allows. Linear in the header's length; headers over
10 kB and more than 8 ranges are ignored (SECURITY H4, H5, T10). Pure.
"""

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

MAX_RANGE_BYTES: Final = 10_000
MAX_RANGES: Final = 8
_DATE_BYTES: Final = 64

_SPEC = re.compile(r"[ \t]*(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))[ \t]*")
_TAGS = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


@dataclass(frozen=True, slots=True)
class Part:
    """What to answer: a status of 200, 206, 304, 412 or 416, and which bytes `start` ≤ i < `stop`."""

    status: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Parts:
    """What to answer where several parts may be: of a 206, one span or more that do not touch."""

    status: int
    spans: tuple[tuple[int, int], ...]  # start ≤ i < stop; one of a 200, none of a 304, 412 or 416


def choose(method: str, headers: dict[bytes, bytes], etag: str, length: int) -> Part:
    """The one part of a body of `length` bytes these request headers ask for; several are the whole body."""
    found = choose_parts(method, headers, etag, length)
    if len(found.spans) > 1:
        return Part(200, 0, length)
    start, stop = found.spans[0] if found.spans else (0, 0)
    return Part(found.status, start, stop)


def choose_parts(
    method: str, headers: dict[bytes, bytes], etag: str, length: int, modified: int | None = None
) -> Parts:
    """The parts of a body these request headers ask for (RFC 9110 §13.2.2, in its order).

    `modified` is the Last-Modified, in whole seconds since the epoch; None: it has none.
    """
    if _fails(headers, etag, modified):
        return Parts(412, ())
    if _unchanged(headers, etag, modified):
        return Parts(304, ())
    wanted = headers.get(b"range")
    if wanted is None or method != "GET" or not _range_holds(headers.get(b"if-range"), etag, modified):
        return Parts(200, ((0, length),))
    return _parts(wanted, length)


def content_range(part: Part, length: int) -> str:
    """The Content-Range value of a 206 or a 416."""
    return f"bytes */{length}" if part.status == 416 else f"bytes {part.start}-{part.stop - 1}/{length}"


def _fails(headers: dict[bytes, bytes], etag: str, modified: int | None) -> bool:
    if_match = headers.get(b"if-match")
    if if_match is not None:
        return not _matches(if_match, etag, weak=False)
    since = _date(headers.get(b"if-unmodified-since"))
    return modified is not None and since is not None and modified > since


def _unchanged(headers: dict[bytes, bytes], etag: str, modified: int | None) -> bool:
    if_none_match = headers.get(b"if-none-match")
    if if_none_match is not None:
        return _matches(if_none_match, etag, weak=True)
    since = _date(headers.get(b"if-modified-since"))
    return modified is not None and since is not None and modified <= since


def _range_holds(if_range: bytes | None, etag: str, modified: int | None) -> bool:
    """Strong comparison: W/ never equals, a date only the very same (RFC 9110 §13.1.5)."""
    if if_range is None or if_range.decode("latin-1").strip() == etag:
        return True
    return modified is not None and _date(if_range) == modified


def _date(header: bytes | None) -> int | None:
    """Seconds since the epoch of an HTTP-date; None for none, and for what is no date (RFC 9110 §13.1.3)."""
    if header is None or len(header) > _DATE_BYTES:
        return None
    try:
        return int(parsedate_to_datetime(header.decode("ascii")).timestamp())
    except (ValueError, OverflowError):  # UnicodeDecodeError is a ValueError
        return None


def _parts(header: bytes, length: int) -> Parts:
    asked = specs(header)
    if asked is None or (not length and all(first is None and last for first, last in asked)):
        return Parts(200, ((0, length),))  # of nothing, the last n bytes are all of it
    spans: list[tuple[int, int]] = []
    for first, last in asked:
        span = _span(first, last, length)
        if span is not None:
            _add(spans, span)
    return Parts(206, tuple(spans)) if spans else Parts(416, ())


def _add(spans: list[tuple[int, int]], new: tuple[int, int]) -> None:
    """Adds a span: those it touches or overlaps become one with it, where the first of them stood."""
    touching = [at for at, (start, stop) in enumerate(spans) if start <= new[1] and new[0] <= stop]
    if not touching:
        spans.append(new)
        return
    merged = [new, *(spans[at] for at in touching)]
    spans[touching[0]] = (min(start for start, _ in merged), max(stop for _, stop in merged))
    for at in reversed(touching[1:]):
        del spans[at]


def specs(header: bytes) -> list[tuple[int | None, int | None]] | None:
    """What a Range asks for: (first, last) pairs; first None for a suffix. None when it is to be ignored."""
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
