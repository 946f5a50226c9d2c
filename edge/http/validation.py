"""After an origin was asked about an entry: what its 304 or its answer to HEAD changes (RFC 9111 §3.2, §4.3).

A 304 that names another entity than ours says nothing about ours; then the origin is asked again, without
conditions. Fields of the new answer replace those stored, but for the ones that tell how the stored bytes are
to be read.
"""

from dataclasses import dataclass, replace
from typing import Final

from edge.http import vary
from edge.http.directives import Directives, of_response
from edge.http.entry import Entry, Request, Response, Rules
from edge.http.fields import Fields, get, without
from edge.http.freshness import date_value, expired, initial_age, lifetime
from edge.http.preconditions import SENT
from edge.http.reuse import Validate
from edge.http.storing import content_length, stored_fields

NOT_UPDATED: Final = frozenset(  # they belong to the bytes that are stored, or to the bytes a 304 has not
    {b"content-length", b"content-encoding", b"content-range", b"content-digest", b"content-md5"}
)


@dataclass(frozen=True, slots=True)
class Freshened:
    """The entry holds; answer with this one. `keep`: may still be stored, else serve it and let it go."""

    entry: Entry
    keep: bool = True


def conditional_request(request: Request, validate: Validate) -> list[tuple[bytes, bytes]]:
    """The request's fields, asking for the entry: the client's own conditions are answered from what comes.

    Nor is its Range sent on: what has changed is wanted whole, as it was held.
    """
    gone = SENT if validate.entry.span is not None else SENT | {b"range"}
    return [*without(request.fields, gone), *validate.fields]


def freshen(
    entry: Entry,
    request: Request,
    not_modified: Response,
    rules: Rules,
    *,
    requested: float,
    received: float,
) -> Freshened | None:
    """The entry as a 304 leaves it (§4.3.4); None when it is about another: ask without conditions."""
    if not _same_entity(entry, not_modified.fields):
        return None
    return _updated(entry, request, not_modified.fields, rules, requested, received)


def after_head(
    entry: Entry, request: Request, response: Response, rules: Rules, *, requested: float, received: float
) -> Freshened:
    """The entry of a GET after a HEAD was answered (§4.3.5): updated by the same, invalid by another.

    Only a 200 says anything about a 200; other statuses leave the entry as it is.
    """
    if response.status != 200 or entry.status != 200:
        return Freshened(entry)
    length = content_length(response.fields)
    same_length = length is None or entry.length is None or length == entry.length
    if not same_length or not _same_entity(entry, response.fields):
        return Freshened(expired(entry))
    return _updated(entry, request, response.fields, rules, requested, received)


def _same_entity(entry: Entry, fields: Fields) -> bool:
    """Whether the validators that came are the entry's: a strong tag strongly, a weak one weakly (§4.3.4)."""
    etag = get(fields, b"etag")
    if etag is not None:
        if etag.startswith(b"W/"):
            return entry.etag is not None and entry.etag.removeprefix(b"W/") == etag.removeprefix(b"W/")
        return entry.etag == etag
    modified = get(fields, b"last-modified")
    return entry.etag is not None or modified is None or modified == entry.last_modified


def _updated(
    entry: Entry, request: Request, fields: Fields, rules: Rules, requested: float, received: float
) -> Freshened:
    merged = _merged(entry, fields, rules, received)
    directives = of_response(merged, rules.targets)
    merged = without(merged, directives.unstored)
    nominated = vary.names(merged)
    aged = [*without(merged, {b"age"}), *((name, value) for name, value in fields if name == b"age")]
    fresh = replace(
        entry,
        fields=merged,
        variant=vary.variant(nominated or (), request.fields, rules),
        directives=directives,
        requested=requested,
        received=received,
        date=date_value(merged, received),
        initial_age_s=initial_age(aged, requested, received),
        lifetime_s=lifetime(entry.status, merged, directives, received, rules),
        etag=get(merged, b"etag"),
        last_modified=get(merged, b"last-modified"),
        invalid=False,
    )
    return Freshened(fresh, keep=nominated is not None and _may_be_kept(directives))


def _merged(entry: Entry, fields: Fields, rules: Rules, received: float) -> list[tuple[bytes, bytes]]:
    """§3.2: each field that came replaces the stored one of its name."""
    gone = NOT_UPDATED if rules.store_cookies else NOT_UPDATED | {b"set-cookie"}
    new = without(stored_fields(fields, Directives(), received), gone)
    return [*without(entry.fields, {name for name, _ in new}), *new]


def _may_be_kept(directives: Directives) -> bool:
    return not directives.private and (not directives.no_store or directives.must_understand)
