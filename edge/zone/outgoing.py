"""The fields of a zone's answer as its clients get them, beside the media of the same edge. Pure.

What the edge says on every route it says here too, in the place of the origin's own: an origin has no say in
what browsers do with the edge's name, nor in who may read it (SECURITY H29, H37). A signed zone's answer is
one client's, for as long as its link lasts at most (H18, H19).
"""

import re
from collections.abc import Collection
from typing import Final

from edge.deliver.cors import Headers
from edge.http.directives import of_response
from edge.http.fields import Fields, get, replaced, without
from edge.http.freshness import explicit_lifetime
from edge.zone.keying import Target
from edge.zone.zone import Origin

_OURS: Final = frozenset(
    {
        b"access-control-allow-credentials",
        b"access-control-allow-headers",
        b"access-control-allow-methods",
        b"access-control-allow-origin",
        b"access-control-expose-headers",
        b"access-control-max-age",
        b"alt-svc",
        b"cross-origin-resource-policy",
        b"referrer-policy",
        b"server",
        b"strict-transport-security",
        b"timing-allow-origin",
        b"x-content-type-options",
    }
)
_CACHING: Final = frozenset(
    {b"cache-control", b"cdn-cache-control", b"expires", b"pragma", b"surrogate-control"}
)
_FOR_NO_CACHE_BETWEEN: Final[Headers] = [
    (b"cdn-cache-control", b"no-store"),
    (b"surrogate-control", b"no-store"),
]


def outgoing(fields: Fields, extra: Fields, target: Target | None) -> list[tuple[bytes, bytes]]:
    """An answer's fields with `extra` in place of the origin's own; Location leads through this edge."""
    found = [*without(fields, _OURS), *extra]
    location = get(found, b"location")
    if target is not None and location is not None:
        found = replaced(found, b"location", _led_back(location, target))
    return found


def private(status: int, fields: Fields, now: float, ends: float, default_s: float) -> Headers:
    """The fields of a signed zone's answer, whose link ends at `ends`; `default_s`: fresh where none says."""
    return [
        *without(fields, _CACHING),
        (b"cache-control", _control(status, fields, now, ends, default_s)),
        *_FOR_NO_CACHE_BETWEEN,
    ]


def _control(status: int, fields: Fields, now: float, ends: float, default_s: float) -> bytes:
    told = of_response(fields, ())
    if status >= 400 or told.no_store:
        return b"no-store"
    if told.no_cache:
        return b"private, no-cache"
    said = explicit_lifetime(fields, told, now)
    age_s = max(0, min(int(ends - now), int(default_s if said is None else said)))
    return b"private, max-age=%d" % age_s


def _led_back(location: bytes, target: Target) -> bytes:
    """A redirect of the origin to itself as one to its zone; others stay."""
    zone = target.zone
    path = location
    for origin in zone.origins:
        own = _base(origin)
        if location.startswith(own) and location[len(own) : len(own) + 1] in (b"/", b"?", b"#", b""):
            path = location[len(own) :] or b"/"
    base = zone.base.encode("ascii")
    if path[:1] != b"/" or path[:2] == b"//" or not path.startswith(base + b"/"):
        return location
    led = _without_origin(target.at) + path[len(base) :]
    first = re.match(rb"/[^/?#]*", led)
    if first is None or not target.parameter:
        return led
    return first[0] + target.parameter.encode("ascii") + led[first.end() :]  # or its token would be lost


def _base(origin: Origin) -> bytes:
    return origin.scheme.encode("ascii") + b"://" + origin.authority


def _without_origin(at: str) -> bytes:
    """The prefix of a zone as a path: never our own host, which clients may know by another name."""
    return "".join(f"/{part}" for part in at.split("/")[3:]).encode("ascii")


def allow(methods: Collection[str]) -> bytes:
    """The value of Allow for a zone that passes on these methods."""
    return ", ".join(sorted({*methods, "OPTIONS"})).encode("ascii")
