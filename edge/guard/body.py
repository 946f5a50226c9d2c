"""Where a request's body ends: counted, or in chunks (RFC 9112 §6, §7.1), read strictly. Pure.

    body = Counted(5)                 or Chunked()
    content, rest = body.feed(data)   rest is None until the body is whole, then what came after it

Chunk extensions are passed over and trailers dropped, both within limits; nothing but `;` may follow a
size, and a line ends with CRLF only. Refused as soon as it is clear that no body can come of it.
"""

import re
from typing import Final, Protocol

from edge.guard.head import FIELD_LINES
from edge.guard.limits import CHUNK_BYTES, CHUNK_LINE_BYTES, EXTENSION_BYTES, SMALL_CHUNKS, TRAILER_BYTES
from edge.guard.refused import Refused

_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})((?:;[\t\x20-\x7e\x80-\xff]*+)?)\r\n")
_TRAILERS: Final = re.compile(FIELD_LINES + rb"\r\n")
_BAD: Final = "bad_request"


class Body(Protocol):
    """A body being read."""

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """(content of the body in `data`, None while more is to come, else the bytes after the body)."""


class Counted:
    """A body of known length."""

    def __init__(self, length: int) -> None:
        self._left = length

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """See Body."""
        left = self._left
        if len(data) < left:
            self._left = left - len(data)
            return data, None
        self._left = 0
        return data[:left], data[left:]


class Chunked:
    """A body in chunks. `limit` is the most content it may have, in bytes; None: any."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._held = b""  # the beginning of a line that has not come in full
        self._left = 0  # bytes of the current chunk still to come, its CRLF not among them
        self._at_end_of_chunk = False  # its CRLF is to come
        self._in_trailers = False
        self._chunks = 0
        self._content = 0
        self._extensions = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """See Body."""
        if self._held:
            data = self._held + data
            self._held = b""
        content: list[bytes] = []
        at = 0
        while not self._in_trailers:
            if self._left:
                piece = data[at : at + self._left]
                content.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if self._left:
                    return b"".join(content), None
            if self._at_end_of_chunk:
                ending = data[at : at + 2]
                if not b"\r\n".startswith(ending):
                    raise Refused(_BAD, "a chunk longer than its size")
                if len(ending) < 2:
                    return self._more(content, ending)
                at += 2
                self._at_end_of_chunk = False
            line_end = data.find(b"\n", at, at + CHUNK_LINE_BYTES)
            if line_end < 0:
                return self._unfinished(content, data[at:])
            self._size(data, at, line_end + 1)
            at = line_end + 1
        rest = self._trailers(data[at:])
        return b"".join(content), rest

    def _more(self, content: list[bytes], held: bytes) -> tuple[bytes, None]:
        self._held = held
        return b"".join(content), None

    def _unfinished(self, content: list[bytes], line: bytes) -> tuple[bytes, None]:
        """A size line of which only the beginning is there."""
        if len(line) >= CHUNK_LINE_BYTES:
            raise Refused(_BAD, "a chunk's line too long")
        ended = line + b"\r\n" if not line.endswith(b"\r") else line + b"\n"
        if line and not _SIZE_LINE.fullmatch(ended):
            raise Refused(_BAD, "not a chunk's size")
        return self._more(content, line)

    def _size(self, data: bytes, start: int, stop: int) -> None:
        """A chunk's size line."""
        found = _SIZE_LINE.fullmatch(data, start, stop)
        if found is None:
            raise Refused(_BAD, "not a chunk's size")
        size = int(found[1], 16)
        self._extensions += len(found[2])
        self._chunks += 1
        self._content += size
        if self._limit is not None and self._content > self._limit:
            raise Refused("too_large", "a body larger than any taken here")
        if self._extensions > EXTENSION_BYTES:
            raise Refused(_BAD, "too much in chunk extensions")
        if self._chunks > SMALL_CHUNKS + self._content // CHUNK_BYTES:
            raise Refused(_BAD, "chunks too small")
        self._left = size
        self._at_end_of_chunk = size > 0
        self._in_trailers = size == 0

    def _trailers(self, data: bytes) -> bytes | None:
        """What follows the trailer section, None while that is not there in full."""
        if data.startswith(b"\r\n"):
            return data[2:]
        end = data.find(b"\r\n\r\n", 0, TRAILER_BYTES)
        section = data[: end + 4] if end >= 0 else b""
        if end >= 0 and _TRAILERS.fullmatch(section):
            return data[end + 4 :]
        if end >= 0 or len(data) >= TRAILER_BYTES:
            raise Refused(_BAD, "odd or too many trailers")
        self._held = data
        return None
