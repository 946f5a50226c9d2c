"""What a cache says of itself: Cache-Status, CDN-Loop, Via, Proxy-Status (RFC 9211, 8586, 9110 §7.6.3, 9209).

Each is appended to what came from nearer the origin, so that a chain of caches is read from left to right.
"""

import re
from dataclasses import dataclass

from edge.http.fields import Fields, list_of
from edge.http.structured import string, token_or_string

_LOOP_ID = re.compile(rb"[ \t]*([^;, \t]+)")
_MOST_SECONDS = 999_999_999_999_999  # a structured integer


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """How this cache came to its answer (RFC 9211 §2). None and False are not said."""

    hit: bool = False
    fwd: str | None = None  # bypass, method, uri-miss, vary-miss, miss, request, stale, partial
    fwd_status: int | None = None  # what the next one answered, when it is not what the client gets
    ttl: int | None = None  # seconds left, negative when stale
    stored: bool = False
    collapsed: bool | None = None  # False: it was tried
    detail: str | None = None

    def write(self, name: str) -> bytes:
        """The member of the list, for the cache of this name."""
        ttl = None if self.ttl is None else max(-_MOST_SECONDS, min(self.ttl, _MOST_SECONDS))
        said = [
            token_or_string(name),
            "hit" if self.hit else None,
            f"fwd={self.fwd}" if self.fwd and not self.hit else None,
            f"fwd-status={self.fwd_status}" if self.fwd_status is not None else None,
            f"ttl={ttl}" if ttl is not None else None,
            "stored" if self.stored else None,
            None if self.collapsed is None else ("collapsed" if self.collapsed else "collapsed=?0"),
            f"detail={token_or_string(self.detail)}" if self.detail else None,
        ]
        return "; ".join(part for part in said if part).encode("ascii")


def with_cache_status(fields: Fields, name: str, status: CacheStatus) -> list[tuple[bytes, bytes]]:
    """The fields with our member after those that came."""
    return _appended(fields, b"cache-status", status.write(name))


def with_via(fields: Fields, name: str, version: str = "1.1") -> list[tuple[bytes, bytes]]:
    """The fields with us as the last hop; `version` is that of the message as we received it."""
    return _appended(fields, b"via", f"{version} {name}".encode("ascii"))


def loops(fields: Fields, name: str) -> int:
    """How often this request has been at the CDN of that name already (RFC 8586 §2), in any case."""
    own = name.lower().encode("ascii")
    found = (_LOOP_ID.match(member) for member in list_of(fields, b"cdn-loop"))
    return sum(1 for match in found if match is not None and match[1].lower() == own)


def with_cdn_loop(fields: Fields, name: str) -> list[tuple[bytes, bytes]]:
    """The fields of a request on its way on: what came stays (§2: never removed), and we are the last."""
    return _appended(fields, b"cdn-loop", name.encode("ascii"))


def with_proxy_status(
    fields: Fields, name: str, error: str, details: str | None = None
) -> list[tuple[bytes, bytes]]:
    """The fields of an error we made: `error` of RFC 9209 §2.3, as connection_refused."""
    said = f"{token_or_string(name)}; error={error}"
    return _appended(
        fields, b"proxy-status", (f"{said}; details={string(details)}" if details else said).encode("ascii")
    )


def _appended(fields: Fields, name: bytes, member: bytes) -> list[tuple[bytes, bytes]]:
    """One line with all members, in the place of the first (RFC 9110 §5.3)."""
    members = [value for field, value in fields if field == name and value]
    return [
        *((field, value) for field, value in fields if field != name),
        (name, b", ".join([*members, member])),
    ]
