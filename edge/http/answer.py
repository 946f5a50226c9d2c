"""The answer to a client made of an entry (RFC 9111 §4, RFC 9110 §13–14): status, fields, which bytes.

The caller adds what it says of itself (`edge.http.status`) and sends the bytes of the
body that `spans` names.
"""

from dataclasses import dataclass, replace
from typing import Final

from edge.deliver import multipart
from edge.http.content_range import Span, asked_spans
from edge.http.directives import MOST_S
from edge.http.entry import Entry, Request, Rules
from edge.http.fields import get, replaced, without
from edge.http.freshness import age
from edge.http.preconditions import not_modified, range_holds

_NOT_IN_304: Final = frozenset(  # RFC 9110 §15.4.5: what describes a body that is not sent
    {
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-range",
        b"content-type",
        b"content-digest",
        b"content-md5",
    }
)

Lines = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send. `spans`: start ≤ i < stop of the bytes held; None: all of them, also the coming."""

    status: int
    fields: Lines
    spans: tuple[Span, ...] | None
    frame: multipart.Multipart | None = None  # a head before each span and an end after the last (206 only)


def answer(request: Request, entry: Entry, now: float, rules: Rules) -> Answer:
    """The answer to a GET or HEAD that `reuse.decide` lets the entry give.

    While the length of a body is not known yet, ranges of it are answered with all of it. To HEAD the fields
    are a GET's and no span is sent; its Range is ignored (RFC 9110 §14.2).
    """
    hidden = rules.hidden | {b"age"}
    fields = [*without(entry.fields, hidden), (b"age", b"%d" % min(int(age(entry, now)), MOST_S))]
    if not_modified(request.fields, entry):
        return Answer(304, without(fields, _NOT_IN_304), ())
    made = _ranged(request, entry, fields) or _whole(entry, fields)
    return replace(made, spans=(), frame=None) if request.method == "HEAD" else made


def _whole(entry: Entry, fields: Lines) -> Answer:
    if entry.status == 200 and get(fields, b"accept-ranges") is None:
        fields = [*fields, (b"accept-ranges", b"bytes")]
    if entry.length is not None and entry.status != 204:
        fields = replaced(fields, b"content-length", b"%d" % entry.length)
    return Answer(entry.status, fields, None)


def _ranged(request: Request, entry: Entry, fields: Lines) -> Answer | None:
    """A 206 or 416; None where the whole is the answer."""
    wanted = get(request.fields, b"range") if request.method == "GET" else None
    if wanted is None or entry.status not in (200, 206) or not range_holds(request.fields, entry):
        return None
    total = entry.length if entry.span is None else entry.span[2]
    if total is None:
        return None
    status, spans = asked_spans(wanted, total)
    if status == 416:
        return Answer(416, _place(fields, b"bytes */%d" % total, 0), ())
    if status != 206:
        return None
    if len(spans) > 1:
        return _parts(entry, fields, spans, total)
    (start, stop), held_from = spans[0], 0 if entry.span is None else entry.span[0]
    place = b"bytes %d-%d/%d" % (start, stop - 1, total)
    return Answer(206, _place(fields, place, stop - start), ((start - held_from, stop - held_from),))


def _place(fields: Lines, content_range: bytes, length: int) -> Lines:
    own = without(fields, {b"content-range", b"content-length"})
    return [*own, (b"content-range", content_range), (b"content-length", b"%d" % length)]


def _parts(entry: Entry, fields: Lines, spans: tuple[Span, ...], total: int) -> Answer:
    """Several parts in one body (RFC 9110 §14.6)."""
    media_type = (get(fields, b"content-type") or b"application/octet-stream").decode("latin-1")
    name = entry.etag or b"%s %d" % (entry.uri.encode("utf-8", "surrogateescape"), int(entry.date))
    frame = multipart.frame(spans, total, media_type, name.decode("latin-1"))
    own = without(fields, {b"content-range", b"content-length", b"content-type"})
    own += [(b"content-type", frame.content_type), (b"content-length", b"%d" % frame.length)]
    return Answer(206, own, spans, frame)
