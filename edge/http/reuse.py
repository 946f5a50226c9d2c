"""What to do with a request, by what is stored for its URI (RFC 9111 §4): the table a cache is.

    Fresh           serve the entry
    Stale           serve the entry now, and renew it behind the client (RFC 5861 §3)
    Validate        ask the origin whether the entry still holds
    Forward         ask the origin; why, in the words of RFC 9211 §2.2
    GatewayTimeout  the client wanted no one asked (RFC 9111 §5.2.1.7): 504

Only entries whose URI is the request's are candidates; that is for who keeps them to see to.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edge.http import vary
from edge.http.content_range import asked_spans
from edge.http.directives import NOTHING_ASKED, RequestDirectives, of_request
from edge.http.entry import Entry, Request, Rules
from edge.http.fields import Fields, get
from edge.http.freshness import age, is_fresh, may_be_stale, ttl, while_revalidating
from edge.http.preconditions import conditional_fields, holds_for


@dataclass(frozen=True, slots=True)
class Fresh:
    """Serve it. `stale` when the client allowed that by max-stale."""

    entry: Entry
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Validate:
    """Ask whether it still holds: the request with these fields in place of its own preconditions."""

    entry: Entry
    fields: tuple[tuple[bytes, bytes], ...]
    reason: str = "stale"


@dataclass(frozen=True, slots=True)
class Forward:
    """Ask the origin. `entry` is the stale one that could serve if it fails (`freshness.after_failure`)."""

    reason: str
    entry: Entry | None = None


@dataclass(frozen=True, slots=True)
class Stale:
    """Serve it now, and do `renew` meanwhile."""

    entry: Entry
    renew: Validate | Forward


@dataclass(frozen=True, slots=True)
class GatewayTimeout:
    """Answer 504: only-if-cached, and nothing here will do."""


Decision = Fresh | Stale | Validate | Forward | GatewayTimeout


def decide(request: Request, candidates: Sequence[Entry], now: float, rules: Rules) -> Decision:
    """What to do with this request when these entries are stored for its URI."""
    if request.method not in ("GET", "HEAD"):
        return Forward("method")
    asked = of_request(request.fields) if rules.request_directives else NOTHING_ASKED
    decision = _decide(request, candidates, asked, now, rules)
    if asked.only_if_cached and not isinstance(decision, Fresh | Stale):
        return GatewayTimeout()
    return decision


def _decide(
    request: Request, candidates: Sequence[Entry], asked: RequestDirectives, now: float, rules: Rules
) -> Decision:
    if not candidates:
        return Forward("uri-miss")
    fitting = vary.choose(candidates, request, rules)
    if not fitting:
        return Forward("vary-miss")
    whole = [entry for entry in fitting if _covers(entry, request)]
    if not whole:
        return Forward("partial")
    entry = vary.newest(whole)
    if not holds_for(request, entry):
        return Forward("request")  # the origin may have what If-Match asks for
    if asked.no_cache:
        return _renewal(entry, "request")
    if is_fresh(entry, now):
        return Fresh(entry) if _young_enough(entry, asked, now) else _renewal(entry, "request")
    if asked.max_age is not None and age(entry, now) > asked.max_age:
        return _renewal(entry, "stale")
    if asked.min_fresh is not None:
        return _renewal(entry, "stale")
    if asked.max_stale is not None and -ttl(entry, now) <= asked.max_stale and may_be_stale(entry, rules):
        return Fresh(entry, stale=True)
    if while_revalidating(entry, now, rules):
        return Stale(entry, _renewal(entry, "stale"))
    return _renewal(entry, "stale")


def _young_enough(entry: Entry, asked: RequestDirectives, now: float) -> bool:
    """RFC 9111 §5.2.1.1, §5.2.1.3: max-age and min-fresh of the request."""
    if asked.max_age is not None and age(entry, now) > asked.max_age:
        return False
    return asked.min_fresh is None or ttl(entry, now) >= asked.min_fresh


def _renewal(entry: Entry, reason: str) -> Validate | Forward:
    """A conditional request where the entry has a validator, else a plain one."""
    conditions = conditional_fields(entry)
    return Validate(entry, conditions, reason) if conditions else Forward(reason, entry)


def _covers(entry: Entry, request: Request) -> bool:
    """Whether all that is asked for is held (§3.3: what is incomplete answers ranges within it only)."""
    if entry.span is None:
        return True
    wanted: Fields = request.fields
    value = get(wanted, b"range")
    if request.method != "GET" or value is None or get(wanted, b"if-range") is not None:
        return False
    start, stop, total = entry.span
    status, spans = asked_spans(value, total)
    return status == 206 and len(spans) == 1 and start <= spans[0][0] and spans[0][1] <= stop
