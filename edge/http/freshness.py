"""How old a stored response is, for how long it is fresh, and who may have it when it is stale.

RFC 9111 §4.2 (freshness and age), §4.2.2 (heuristics), §4.2.4 (stale), RFC 5861 (the windows). An entry
carries what was worked out when it was stored, so that a hit costs a subtraction.
"""

import re
from dataclasses import replace
from typing import Final

from edge.http import dates
from edge.http.directives import NOTHING_ASKED, Directives, RequestDirectives, seconds
from edge.http.entry import Entry, Rules
from edge.http.fields import Fields, get, get_all

HEURISTIC: Final = frozenset(  # RFC 9110 §15.1: cacheable though nothing says for how long
    {200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501}
)
ERRORS: Final = frozenset({500, 502, 503, 504})  # RFC 5861 §4: what counts as an error for stale-if-error

_FIRST = re.compile(rb"[ \t]*([^,]*?)[ \t]*(?:,.*)?", re.DOTALL)


def age_value(fields: Fields) -> int:
    """The Age that came, in seconds: the first of a list; 0 when there is none or it is no number (§5.1)."""
    value = get(fields, b"age")
    first = None if value is None else _FIRST.fullmatch(value)
    return 0 if first is None else seconds(first[1]) or 0


def date_value(fields: Fields, received: float) -> float:
    """The response's Date; when it came where there is none that can be read (RFC 9110 §6.6.1)."""
    parsed = dates.parse(get(fields, b"date"), received)
    return received if parsed is None else parsed


def initial_age(fields: Fields, requested: float, received: float) -> float:
    """corrected_initial_age of §4.2.3."""
    apparent = max(0.0, received - date_value(fields, received))
    corrected = age_value(fields) + max(0.0, received - requested)
    return max(apparent, corrected)


def lifetime(status: int, fields: Fields, directives: Directives, received: float, rules: Rules) -> float:
    """freshness_lifetime of §4.2.1, in seconds; 0 or less for what is stale from the start.

    The first that is there counts: s-maxage, max-age, Expires minus Date, what the operator assigned, and the
    heuristic for statuses that allow one.
    """
    found = explicit_lifetime(fields, directives, received)
    if found is None:
        found = _unstated_lifetime(status, fields, directives, received, rules)
    if status >= 400 and rules.negative_most_s is not None:
        found = min(found, rules.negative_most_s)
    return found


def explicit_lifetime(fields: Fields, directives: Directives, received: float) -> float | None:
    """What the origin says, in seconds; None when it says nothing."""
    if directives.explicit_s is not None:
        return float(directives.explicit_s)
    expires = [] if directives.targeted else get_all(fields, b"expires")
    if not expires:
        return None
    at = dates.parse(expires[0], received)
    if at is None or any(other != expires[0] for other in expires):
        return 0.0  # §5.3: what is no date is past; of several, all are
    return at - date_value(fields, received)


def may_be_guessed(status: int, directives: Directives) -> bool:
    """Whether a heuristic may make it fresh (§4.2.2): by its status, or because it is marked as cacheable."""
    return status in HEURISTIC or directives.public


def age(entry: Entry, now: float) -> float:
    """current_age of §4.2.3, in seconds. A clock that was set back ages nothing and renews nothing."""
    return entry.initial_age_s + max(0.0, now - entry.received)


def ttl(entry: Entry, now: float) -> float:
    """Seconds of freshness left; negative by how long it has been stale."""
    return entry.lifetime_s - age(entry, now)


def is_fresh(entry: Entry, now: float) -> bool:
    """§4.2: freshness_lifetime > current_age, and nothing said that it has to be validated first."""
    return not entry.invalid and not entry.directives.no_cache and ttl(entry, now) > 0


def may_be_stale(entry: Entry, rules: Rules) -> bool:
    """Whether anything stale may be served of it at all (§4.2.4)."""
    told = entry.directives
    if entry.invalid or told.no_cache or told.must_revalidate or told.proxy_revalidate:
        return False
    window = told.stale_while_revalidate is not None or told.stale_if_error is not None
    return told.s_maxage is None or (rules.windows_beat_s_maxage and window)


def while_revalidating(entry: Entry, now: float, rules: Rules) -> bool:
    """Whether it may be served while it is renewed behind the client's back (RFC 5861 §3)."""
    told = entry.directives.stale_while_revalidate
    window = rules.stale_while_revalidate_s if told is None else told
    return window is not None and may_be_stale(entry, rules) and -ttl(entry, now) <= window


def after_failure(
    entry: Entry,
    now: float,
    rules: Rules,
    *,
    status: int | None,
    asked: RequestDirectives = NOTHING_ASKED,
) -> bool:
    """Whether it may be served because the origin failed.

    `status` is the answer it gave, None when it gave none. What is still fresh may always be; what is stale
    within the first window there is, the origin's, the client's (`asked`) or the operator's. Where there is
    none, a cache that got no answer counts as disconnected (§4.2.4).
    """
    if status is not None and status not in ERRORS:
        return False
    if is_fresh(entry, now):
        return True
    if not may_be_stale(entry, rules):
        return False
    windows = (entry.directives.stale_if_error, asked.stale_if_error, rules.stale_if_error_s)
    window = next((window for window in windows if window is not None), None)
    if window is None:
        return status is None and rules.stale_when_disconnected
    return -ttl(entry, now) <= window


def expired(entry: Entry) -> Entry:
    """The entry as one that must be validated before it is used again (§4.4, a soft purge)."""
    return replace(entry, invalid=True)


def _unstated_lifetime(
    status: int, fields: Fields, directives: Directives, received: float, rules: Rules
) -> float:
    if not may_be_guessed(status, directives):
        return 0.0
    if rules.default_s is not None:
        return rules.default_s
    modified = dates.parse(get(fields, b"last-modified"), received)
    if modified is None:
        return 0.0
    since = date_value(fields, received) - modified
    return max(0.0, min(rules.heuristic_share * since, rules.heuristic_most_s))
