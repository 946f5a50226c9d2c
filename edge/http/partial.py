"""Bodies in slices: what is asked for, and whether what comes is a part of what is held (RFC 9110 §14–15).

Slice `i` of a body holds its bytes from `i * SLICE` on; the last may be shorter. A range is widened to the
slices that hold it. Parts belong together only where a strong validator says so (§15.3.7.3); what comes is
told apart as one of (SECURITY F7, F8):

    Part        it is: bytes up to `stop` follow
    Changed     there is another representation now
    Ignored     the same representation, whole: this origin ignores Range
    Lie         what cannot be true of any
    Refused     something else; nothing is learnt about what is held
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from edge.deliver.ranges import specs
from edge.http import dates
from edge.http.content_range import held_span
from edge.http.directives import of_request
from edge.http.entry import Entry, Request, Response, Rules
from edge.http.fields import Fields, get, get_all, list_of, replaced, without
from edge.http.preconditions import SENT

SLICE: Final = 1 << 20  # bytes

_ALONE: Final = (SENT - {b"if-range"}) | {b"authorization"}  # with these a Range goes on as it came
_UNMEASURED = re.compile(rb"bytes [0-9]{1,18}-[0-9]{1,18}/\*", re.IGNORECASE)
_GONE: Final = frozenset({404, 410, 416})


@dataclass(frozen=True, slots=True)
class Aligned:
    """Bytes start ≤ i < stop in whole slices; `stop` None: to the end."""

    start: int
    stop: int | None

    def value(self) -> bytes:
        """As a Range says it."""
        return b"bytes=%d-" % self.start + (b"" if self.stop is None else b"%d" % (self.stop - 1))


@dataclass(frozen=True, slots=True)
class Part:
    """It brings the bytes from where it was asked up to, not including, `stop`."""

    stop: int


@dataclass(frozen=True, slots=True)
class Changed:
    """There is another representation now, or none."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """The whole of the same representation came."""


@dataclass(frozen=True, slots=True)
class Lie:
    """No part of any body is like that; why."""

    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Another answer."""

    status: int


def aligned(request: Request) -> Aligned | None:
    """The slices to ask for when nothing is known of what a Range is wanted of: those of its first range.

    None where the Range is better sent on as it came: from the end, which only the origin knows; with
    conditions or credentials; of what nobody may keep.
    """
    wanted = get(request.fields, b"range")
    if request.method != "GET" or wanted is None or of_request(request.fields).no_store:
        return None
    if any(name in _ALONE for name, _ in request.fields):
        return None
    asked = specs(wanted)
    if asked is None:
        return None
    first, last = asked[0]
    if first is None:
        return None
    stop = None if last is None else (last // SLICE + 1) * SLICE
    return Aligned(first // SLICE * SLICE, stop)


def without_noise(request: Request) -> Request:
    """The request without a Range of more ranges than are served, or of none that can be read (T10)."""
    wanted = get(request.fields, b"range")
    if wanted is None or not wanted.lower().startswith(b"bytes") or specs(wanted) is not None:
        return request
    return replace(request, fields=without(request.fields, {b"range", b"if-range"}))


def asking_first(fields: Fields, wanted: Aligned) -> list[tuple[bytes, bytes]]:
    """A request's fields, asking for slices of what is not known yet. If-Range is for us to answer."""
    return replaced(without(fields, {b"if-range"}), b"range", wanted.value())


def asking_more(fields: Fields, entry: Entry, start: int, stop: int) -> list[tuple[bytes, bytes]]:
    """A request's fields, asking for more of an entry's very representation."""
    own = without(fields, SENT | {b"range"})
    return [*own, (b"range", Aligned(start, stop).value()), (b"if-range", validator(entry) or b"")]


def validator(entry: Entry) -> bytes | None:
    """The strong validator parts are told to belong together by (RFC 9110 §8.8.1, §8.8.2.2); None without."""
    if entry.etag is not None:
        return None if entry.etag.startswith(b"W/") else entry.etag
    modified = dates.parse(entry.last_modified, entry.received)
    return entry.last_modified if modified is not None and entry.date - modified >= 1.0 else None


def may_slice(entry: Entry, response: Response, rules: Rules) -> bool:
    """Whether a whole answer is better kept in slices: a large one, from where ranges are served."""
    return (
        rules.slices
        and response.status == entry.status == 200
        and entry.length is not None
        and entry.length > SLICE
        and get(response.fields, b"transfer-encoding") is None  # else its length is not what it says
        and b"bytes" in [unit.lower() for unit in list_of(response.fields, b"accept-ranges")]
        and validator(entry) is not None
    )


def as_whole(response: Response, total: int) -> Response:
    """The 200 a 206 is a part of (RFC 9111 §3.4)."""
    own = without(response.fields, {b"content-range"})
    return Response(200, replaced(own, b"content-length", b"%d" % total))


def heard_first(response: Response, wanted: Aligned) -> tuple[int, int, int] | Lie | None:
    """Which bytes, of how many, a 206 brings to a request for slices of what was not known.

    None for a body whose length the origin does not know: slices cannot be told of.
    """
    span = held_span(response.fields)
    if span is None:
        place = get_all(response.fields, b"content-range")
        if len(place) == 1 and _UNMEASURED.fullmatch(place[0]):
            return None
        return Lie("a 206 that does not say which bytes it brings")
    start, stop, total = span
    return span if _fits(start, stop, total, wanted) else Lie("a 206 with other bytes than were asked for")


def heard_more(
    entry: Entry, response: Response, start: int, stop: int
) -> Part | Changed | Ignored | Lie | Refused:
    """What came to `asking_more`."""
    if response.status == 200:
        same = _same(entry, response.fields) is None and _length(response.fields) in (None, entry.length)
        return Ignored() if same else Changed()
    if response.status in _GONE:
        return Changed()
    if response.status != 206:
        return Refused(response.status)
    other = _same(entry, response.fields)
    if other is not None:
        return other
    span = held_span(response.fields)
    if span is None:
        return Lie("a 206 that does not say which bytes it brings")
    if span[2] != entry.length:
        return Lie("a 206 of another length than before, with the same validator")
    if not _fits(*span, Aligned(start, stop)):
        return Lie("a 206 with other bytes than were asked for")
    if get(response.fields, b"content-encoding") != get(entry.fields, b"content-encoding"):
        return Lie("a 206 in another coding than before, with the same validator")
    return Part(span[1])


def _fits(start: int, stop: int, total: int, wanted: Aligned) -> bool:
    """Whether these bytes are those wanted, or fewer in whole slices."""
    most = total if wanted.stop is None else min(wanted.stop, total)
    return start == wanted.start and (stop == most or (stop < most and stop % SLICE == 0))


def _same(entry: Entry, fields: Fields) -> Changed | Lie | None:
    """None for what is of the entry's representation. A date may be left out after If-Range (§15.3.7)."""
    etag, modified = get(fields, b"etag"), get(fields, b"last-modified")
    if entry.etag is not None:
        if etag is None:
            return Lie("a 206 without the entity tag of what it is a part of")
        return None if etag == entry.etag else Changed()
    return None if modified in (None, entry.last_modified) and etag is None else Changed()


def _length(fields: Fields) -> int | None:
    value = get(fields, b"content-length")
    return int(value) if value is not None and value.isdigit() and len(value) <= 18 else None
