"""Preconditions: those a cache sends for an entry, and those clients send (RFC 9110 §13, RFC 9111 §4.3).

If-None-Match is compared weakly, If-Match and If-Range strongly. A cache answers 304 by what it holds, but
never 412: what If-Match asks for, the origin may have.
"""

import re
from typing import Final

from edge.http import dates
from edge.http.entry import Entry, Request
from edge.http.fields import Fields, combined, get

SENT: Final = frozenset(
    {b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range"}
)

_TAGS = re.compile(rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_MOST_BYTES: Final = 10_000


def conditional_fields(entry: Entry) -> tuple[tuple[bytes, bytes], ...]:
    """The fields that ask whether an entry still holds (RFC 9111 §4.3.1); none when it has no validator.

    Of what is partial only a strong tag says that the rest would be of the same body.
    """
    if entry.span is not None and (entry.etag is None or entry.etag.startswith(b"W/")):
        return ()
    fields = []
    if entry.etag is not None:
        fields.append((b"if-none-match", entry.etag))
    if entry.last_modified is not None:
        fields.append((b"if-modified-since", entry.last_modified))
    return tuple(fields)


def holds_for(request: Request, entry: Entry) -> bool:
    """Whether the entry is what If-Match and If-Unmodified-Since ask for, if they are sent."""
    if_match = combined(request.fields, b"if-match")
    if if_match is not None:
        return entry.etag is not None and _matches(if_match, entry.etag, weak=False)
    if_unmodified = get(request.fields, b"if-unmodified-since")
    if if_unmodified is None:
        return True
    since, modified = dates.parse(if_unmodified, entry.received), last_change(entry)
    return since is None or modified <= since


def not_modified(request: Fields, entry: Entry) -> bool:
    """Whether the client has what is stored: a 304 is the answer (RFC 9111 §4.3.2). Of 200s only."""
    if entry.status not in (200, 206):
        return False
    if_none_match = combined(request, b"if-none-match")
    if if_none_match is not None:
        return if_none_match == b"*" or (
            entry.etag is not None and _matches(if_none_match, entry.etag, weak=True)
        )
    since = dates.parse(get(request, b"if-modified-since"), entry.received)
    return since is not None and last_change(entry) <= since


def range_holds(request: Fields, entry: Entry) -> bool:
    """Whether a Range counts: If-Range names the very entry, or is not sent (RFC 9110 §13.1.5)."""
    if_range = get(request, b"if-range")
    if if_range is None:
        return True
    if entry.etag is not None and if_range == entry.etag:
        return not if_range.startswith(b"W/")
    at = dates.parse(if_range, entry.received)
    modified = dates.parse(entry.last_modified, entry.received)
    return at is not None and modified == at and entry.date - at >= 1.0  # §8.8.2.2: else the date is weak


def last_change(entry: Entry) -> float:
    """Its Last-Modified, else its Date (RFC 9111 §4.3.2)."""
    modified = dates.parse(entry.last_modified, entry.received)
    return entry.date if modified is None else modified


def _matches(listed: bytes, etag: bytes, *, weak: bool) -> bool:
    """Whether one of the tags listed is the entry's. A list that is the tag, letter for letter, is it."""
    if listed == b"*":
        return True
    if not weak:
        return not etag.startswith(b"W/") and etag in _TAGS.findall(listed[:_MOST_BYTES])
    bare = etag.removeprefix(b"W/")
    return listed == etag or any(
        tag.removeprefix(b"W/") == bare for tag in _TAGS.findall(listed[:_MOST_BYTES])
    )
