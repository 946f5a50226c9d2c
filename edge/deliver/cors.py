"""Which pages of other origins may read what the edge answers (SECURITY H29; WHATWG Fetch, CORS protocol).

Origins match exactly against the edges' own and a configured list. Never `*`, never a reflected stranger,
never `null`, never credentials. The headers stand on redirects and errors too, or cross-origin players
see neither. Pure.
"""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

Headers = list[tuple[bytes, bytes]]

MAX_AGE_S: Final = 7200
METHODS: Final = b"GET, HEAD, OPTIONS"
POSTING: Final = b"POST, OPTIONS"  # of what is posted to, such as a license
ALLOWED: Final = (
    b"Range, If-Range, If-Match, If-None-Match, Want-Repr-Digest, Authorization, Content-Type, "
    b"CMCD-Request, CMCD-Object, CMCD-Status, CMCD-Session"
)
EXPOSED: Final = (
    b"Content-Length, Content-Range, Content-Encoding, Content-Disposition, Accept-Ranges, ETag, "
    b"Last-Modified, Repr-Digest, Content-Digest, Date, Age, Retry-After, Cache-Status, Sluice-Request-Id"
)


def origin_of(url: str) -> str:
    """The origin of a URL as browsers write it (RFC 6454 §6.2): no port when it is the scheme's own."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


class Cors:
    """The configured list, and what it means for one request's Origin."""

    def __init__(self, edges: Iterable[str], allowed: Iterable[str] = ()) -> None:
        """`edges`: our own public URLs; `allowed`: origins like `https://films.example`, or ValueError."""
        listed = list(allowed)
        for origin in listed:
            if origin != origin_of(origin) or not origin.startswith(("http://", "https://")):
                raise ValueError(f"{origin!r} is no origin such as https://films.example")
        self._allowed = frozenset(o.encode() for o in (*map(origin_of, edges), *listed))
        self._policy = b"cross-origin" if listed else b"same-origin"

    def headers(self, origin: bytes | None) -> Headers:
        """What every media answer carries, whatever its status."""
        found: Headers = [(b"vary", b"Origin"), (b"cross-origin-resource-policy", self._policy)]
        if origin in self._allowed and origin is not None:
            found += [
                (b"access-control-allow-origin", origin),
                (b"access-control-expose-headers", EXPOSED),
                (b"timing-allow-origin", origin),
            ]
        return found

    def preflight(self, origin: bytes | None) -> Headers:
        """What a 204 to OPTIONS carries. A page of a stranger gets the bare 204, and its browser stops it."""
        found = [*self.headers(origin), (b"allow", METHODS)]
        if origin in self._allowed:
            found += [
                (b"access-control-allow-methods", METHODS),
                (b"access-control-allow-headers", ALLOWED),
                (b"access-control-max-age", str(MAX_AGE_S).encode()),
            ]
        return found
