"""What an unsafe request makes untrue of what is stored (RFC 9111 §4.4), and which labels entries have."""

from typing import Final
from urllib.parse import SplitResult, urldefrag, urljoin, urlsplit

from edge.http.entry import Response
from edge.http.fields import Fields, get, get_all, list_of

SAFE: Final = frozenset(  # RFC 9110 §9.2.1 and the methods registered as safe; an unknown one is not
    {"GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "QUERY", "REPORT", "SEARCH"}
)
_PORTS: Final = {"http": 80, "https": 443}


def invalidated(method: str, uri: str, response: Response) -> tuple[str, ...]:
    """The URIs whose entries must not be used before validation, by the answer to a request; mostly none.

    The target, and what Location and Content-Location name on the same origin: of another, anybody could have
    anything thrown away. An error changes nothing (§4.4).
    """
    if method in SAFE or not 200 <= response.status < 400:
        return ()
    found = [uri]
    for name in (b"location", b"content-location"):
        value = get(response.fields, name)
        named = None if value is None else _resolved(uri, value)
        if named is not None and named not in found and _origin(named) == _origin(uri):
            found.append(named)
    return tuple(found)


def labels(fields: Fields) -> frozenset[bytes]:
    """The surrogate keys of a response: Surrogate-Key, set apart by spaces, and Cache-Tag, by commas."""
    keys = {key for value in get_all(fields, b"surrogate-key") for key in value.split()}
    return frozenset(keys | set(list_of(fields, b"cache-tag")))


def _resolved(uri: str, value: bytes) -> str | None:
    try:
        return urldefrag(urljoin(uri, value.decode("latin-1"))).url
    except ValueError:  # no URI at all: `http://[`
        return None


def _origin(uri: str) -> tuple[str, str | None, int | None] | None:
    try:
        parts: SplitResult = urlsplit(uri)
        return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
