"""What may be stored (RFC 9111 §3): the list of the RFC, in its order, and the entry that comes of it.

`may_store` answers with an entry without a body, or with the reason, in words for Cache-Status and logs.
Stored is only what can be of use again: fresh for a while, or possible to validate, or good while the origin
fails.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin

from edge.http import dates, vary
from edge.http.content_range import held_span
from edge.http.directives import Directives, of_request, of_response
from edge.http.entry import Entry, Request, Response, Rules
from edge.http.fields import Fields, end_to_end, get, replaced, without
from edge.http.freshness import (
    date_value,
    explicit_lifetime,
    initial_age,
    lifetime,
    may_be_guessed,
)

UNDERSTOOD: Final = frozenset(  # what this cache does as their definitions ask (RFC 9110 §15)
    {200, 203, 204, 206, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501}
)
_NEVER: Final = frozenset({b"age", b"trailer"})  # worked out anew; trailers are not kept


@dataclass(frozen=True, slots=True)
class Stored:
    """It may be stored: keep the body beside this entry."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class NotStored:
    """It may not, or it would be no use. `lasting`: the same request will meet the same (hit-for-miss)."""

    reason: str
    lasting: bool = True


def may_store(
    request: Request, response: Response, rules: Rules, *, requested: float, received: float
) -> Stored | NotStored:
    """Whether this answer, as it came, may be stored for others.

    `requested` is when the request went out and `received` when the answer's head came, in seconds since the
    epoch. The request's fields are those that were decided by, end to end.
    """
    directives = of_response(response.fields, rules.targets)
    refused = _refusal(request, response, directives, rules, received)
    if refused is not None:
        return refused
    entry = _entry(request, response, directives, rules, requested, received)
    return Stored(entry) if _worth_keeping(entry) else NotStored("neither fresh nor to validate")


def _refusal(
    request: Request, response: Response, directives: Directives, rules: Rules, received: float
) -> NotStored | None:
    """The first rule of §3 that is broken."""
    status, fields = response.status, response.fields
    understood = status in UNDERSTOOD
    if request.method not in ("GET", "POST") or not (request.method == "GET" or rules.store_posts):
        return NotStored("method", lasting=False)
    if status < 200:
        return NotStored("interim", lasting=False)
    if status == 304 or (directives.must_understand and not understood):
        return NotStored("status not understood")
    if status in rules.never_stored:
        return NotStored("status")
    if status == 206 and held_span(fields) is None:
        return NotStored("partial without its place", lasting=False)
    if directives.no_store and not directives.must_understand:
        return NotStored("no-store")
    if of_request(request.fields).no_store:
        return NotStored("request no-store", lasting=False)
    if directives.private:
        return NotStored("private")
    if get(request.fields, b"authorization") is not None and not _shared_with_others(directives):
        return NotStored("authorization", lasting=False)
    if get(fields, b"set-cookie") is not None and not rules.store_cookies:
        return NotStored("set-cookie")
    explicit = explicit_lifetime(fields, directives, received) is not None
    if request.method == "POST" and not (explicit and _is_of_itself(request, fields)):
        return NotStored("method", lasting=False)
    if not explicit and not may_be_guessed(status, directives):
        return NotStored("no freshness")
    if vary.names(fields) is None:
        return NotStored("vary *")
    span = held_span(fields) if status == 206 else None
    length = content_length(fields) if span is None else span[2]
    if rules.body_most is not None and length is not None and length > rules.body_most:
        return NotStored("too long")
    return None


def content_length(fields: Fields) -> int | None:
    """Bytes of the body as declared; None when it is not, or not readable."""
    value = get(fields, b"content-length")
    return int(value) if value is not None and value.isdigit() and len(value) <= 18 else None


def _shared_with_others(directives: Directives) -> bool:
    """RFC 9111 §3.5: what lets an answer to an authorized request be given to others."""
    return directives.public or directives.must_revalidate or directives.s_maxage is not None


def _is_of_itself(request: Request, fields: Fields) -> bool:
    """RFC 9110 §9.3.3: an answer to POST is what GET would give when Content-Location is the target."""
    location = get(fields, b"content-location")
    return location is not None and urljoin(request.uri, location.decode("latin-1")) == request.uri


def _worth_keeping(entry: Entry) -> bool:
    told = entry.directives
    if entry.etag is not None or entry.last_modified is not None:
        return True
    window = max(told.stale_while_revalidate or 0, told.stale_if_error or 0) > 0
    return not told.no_cache and (entry.lifetime_s > entry.initial_age_s or window)


def stored_fields(response: Fields, directives: Directives, received: float) -> list[tuple[bytes, bytes]]:
    """What is stored of a response's fields (§3.1), with the Date it should have had (RFC 9110 §6.6.1)."""
    kept = without(end_to_end(response), _NEVER | directives.unstored)
    if dates.parse(get(kept, b"date"), received) is None:
        kept = replaced(kept, b"date", dates.write(received))
    return kept


def _entry(
    request: Request,
    response: Response,
    directives: Directives,
    rules: Rules,
    requested: float,
    received: float,
) -> Entry:
    fields = response.fields
    kept = stored_fields(fields, directives, received)
    return Entry(
        uri=request.uri,
        status=response.status,
        fields=kept,
        variant=vary.variant(vary.names(fields) or (), request.fields, rules),
        directives=directives,
        requested=requested,
        received=received,
        date=date_value(fields, received),
        initial_age_s=initial_age(fields, requested, received),
        lifetime_s=lifetime(response.status, fields, directives, received, rules),
        etag=get(kept, b"etag"),
        last_modified=get(kept, b"last-modified"),
        length=content_length(fields),
        span=held_span(fields) if response.status == 206 else None,
    )
