"""Content-Range, read (RFC 9110 §14.4), and what a range asked for needs of what is held."""

import re

from edge.deliver.ranges import choose_parts
from edge.http.fields import Fields, get, get_all

_RANGE = re.compile(rb"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", re.IGNORECASE)

Span = tuple[int, int]  # start ≤ i < stop


def held_span(fields: Fields) -> tuple[int, int, int] | None:
    """Which bytes a 206 brings: start ≤ i < stop of a complete length; None when that is not one range.

    Nor when Content-Length says another number of bytes: such an answer is not to be believed (F8).
    """
    lines = get_all(fields, b"content-range")
    found = _RANGE.fullmatch(lines[0]) if len(lines) == 1 else None
    if found is None:
        return None
    start, stop, total = int(found[1]), int(found[2]) + 1, int(found[3])
    declared = get(fields, b"content-length")
    if not start < stop <= total or (declared is not None and declared != b"%d" % (stop - start)):
        return None
    return start, stop, total


def asked_spans(value: bytes, total: int) -> tuple[int, tuple[Span, ...]]:
    """The status and the bytes a Range asks of a body of `total`: 206, 416, or 200 where it is ignored."""
    parts = choose_parts("GET", {b"range": value}, "", total)
    return parts.status, parts.spans
