"""Several parts of one body as multipart/byteranges (RFC 9110 §14.6, §15.3.7.2; RFC 2046 §5.1.1). Pure.

The boundary is made of the entity tag, which is made of the content: no content can hold it on purpose, and
every edge sends the same bytes (SECURITY K4).
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from keys.derive import enc

_BOUNDARY_LENGTH: Final = 32  # hex digits: 128 bits


@dataclass(frozen=True, slots=True)
class Multipart:
    """How the parts are framed: each head goes out before its span, the end after the last."""

    content_type: bytes
    heads: tuple[bytes, ...]
    end: bytes
    length: int  # bytes of the whole body, framing included


def frame(spans: tuple[tuple[int, int], ...], length: int, media_type: str, etag: str) -> Multipart:
    """The framing of these spans (start ≤ i < stop) of a body of `length` bytes."""
    boundary = hashlib.sha256(enc("sluice1 boundary", etag)).hexdigest()[:_BOUNDARY_LENGTH]
    heads = tuple(
        (
            f"\r\n--{boundary}\r\ncontent-type: {media_type}\r\n"
            f"content-range: bytes {start}-{stop - 1}/{length}\r\n\r\n"
        ).encode()
        for start, stop in spans
    )
    end = f"\r\n--{boundary}--\r\n".encode()
    total = sum(map(len, heads)) + len(end) + sum(stop - start for start, stop in spans)
    return Multipart(f"multipart/byteranges; boundary={boundary}".encode(), heads, end, total)
