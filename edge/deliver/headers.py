"""The header fields of media answers: how long a client may keep what, and where the bytes came from.

Cache-Control by class of answer is SECURITY H18, CDN-Cache-Control RFC 9213, Cache-Status RFC 9211.
Per-session bodies are private to one client and never transformed; keys, redirects and refusals are
stored by nobody. Pure.
"""

from typing import Final

from edge.deliver.cors import Headers

PLAYLIST_TYPE: Final = b"application/vnd.apple.mpegurl"
MANIFEST_TYPE: Final = b"application/dash+xml"
INIT_TYPE: Final = b"video/mp4"
SEGMENT_TYPE: Final = b"video/mp4"
TEXT_TYPE: Final = b"text/vtt; charset=utf-8"
JPEG_TYPE: Final = b"image/jpeg"
KEY_TYPE: Final = b"application/octet-stream"
JSON_TYPE: Final = b"application/json"
FILE_TYPE: Final = b"application/octet-stream"  # of a download nothing more is known of

PLAYLIST_AGE_S: Final = 60
INIT_AGE_S: Final = 3600
SEGMENT_AGE_S: Final = 3600

NO_STORE: Final = b"no-store"
HSTS: Final = (b"strict-transport-security", b"max-age=31536000")

_PER_SESSION: Final[Headers] = [
    (b"cdn-cache-control", b"no-store"),  # RFC 9213: whatever caches stand between, not these
    (b"surrogate-control", b"no-store"),
]
_ALWAYS: Final[Headers] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


def common(*, secure: bool) -> Headers:
    """What every answer of an edge carries (SECURITY H37). `secure`: the edge is reached by https."""
    return [*_ALWAYS, HSTS] if secure else list(_ALWAYS)


def private(content_type: bytes, max_age_s: int, *, transform: bool = True) -> Headers:
    """Headers of a body one client may keep for `max_age_s` seconds, and no shared cache at all."""
    control = f"private, max-age={max(0, max_age_s)}" + ("" if transform else ", no-transform")
    return [(b"content-type", content_type), (b"cache-control", control.encode()), *_PER_SESSION]


def unstored(content_type: bytes | None = None) -> Headers:
    """Headers of an answer nobody may keep."""
    kind: Headers = [(b"content-type", content_type)] if content_type else []
    return [*kind, (b"cache-control", NO_STORE), *_PER_SESSION]


def segment_age(expires: float, now: float) -> int:
    """Seconds a client may reuse a segment: the rest of the session, at most an hour."""
    return max(0, min(SEGMENT_AGE_S, int(expires - now)))


def cache_status(node: str, source: str | None = None, *, stored: bool = False) -> bytes:
    """Cache-Status of one answer (RFC 9211 §2). `source` is l1, l2 or origin; None: no cache was asked.

    A slice from l1 or l2 was a hit of this cache; from origin, the request went forward.
    """
    if source is None:
        return f"{node}; detail=edge".encode()
    if source != "origin":
        return f"{node}; hit; detail={source}".encode()
    return f"{node}; fwd=miss{'; stored' if stored else ''}; detail=origin".encode()
