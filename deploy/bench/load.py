"""The load: keep-alive connections that ask, take and drop. Lean, so that the server stays what is measured.

Bodies go into one buffer that all connections share, and are counted; kept only when asked for. A slow reader
has a small socket buffer and pauses after each gulp. An answer that breaks off, or is no HTTP, is an OSError.
"""

import asyncio
import re
import socket
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self, cast
from urllib.parse import urlsplit

_SINK: Final = memoryview(bytearray(512 << 10))
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ANSWER_S: Final = 120.0


class Broken(OSError):
    """The connection ended before the answer was whole, or the answer was no HTTP."""


@dataclass(slots=True)
class Reply:
    """One answer. Times are seconds from when it was asked for."""

    status: int
    head: bytes
    length: int
    first_byte_s: float
    whole_s: float = 0.0
    body: bytearray = field(default_factory=bytearray)  # empty unless it was to be kept

    def header(self, name: str) -> str:
        """The value of a header field, "" without one."""
        found = re.search(rf"\r\n{name}: *([^\r\n]*)".encode(), self.head, re.IGNORECASE)
        return found[1].decode("latin-1") if found else ""


class Line(asyncio.BufferedProtocol):
    """One connection; one request at a time."""

    def __init__(self, host: str, gulp_s: float = 0.0) -> None:
        self._host = host
        self._gulp_s = gulp_s
        self._transport: asyncio.Transport | None = None
        self._asked: asyncio.Future[Reply] | None = None
        self._at = 0.0
        self._keep = False
        self._head = bytearray()
        self._reply: Reply | None = None
        self._left = 0

    @classmethod
    async def to(cls, url: str, *, gulp_s: float = 0.0) -> "Line":
        """A connection to the server of a URL. `gulp_s`: a slow reader's pause after each gulp."""
        parts = urlsplit(url)
        loop = asyncio.get_running_loop()
        end = socket.socket()
        end.setblocking(False)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if gulp_s:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
        await loop.sock_connect(end, (parts.hostname or "", parts.port or 80))
        _, line = await loop.create_connection(lambda: cls(parts.netloc, gulp_s), sock=end)
        return line

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        if self._transport is not None:
            self._transport.abort()

    async def get(self, target: str, *, keep: bool = False, headers: str = "") -> Reply:
        """Asks for a target. `headers`: further header lines, each ended by CRLF."""
        assert self._transport is not None and self._asked is None
        self._asked = asyncio.get_running_loop().create_future()
        self._keep, self._reply = keep, None
        self._head.clear()
        self._at = time.perf_counter()
        self._transport.write(f"GET {target} HTTP/1.1\r\nHost: {self._host}\r\n{headers}\r\n".encode())
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await self._asked
        finally:
            self._asked = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance

    def get_buffer(self, sizehint: int) -> memoryview:
        """asyncio: where the next bytes go. A head may be followed by body bytes in one read."""
        return _SINK[: 64 << 10] if self._reply is None or self._gulp_s else _SINK

    def buffer_updated(self, nbytes: int) -> None:
        """asyncio: so many bytes came."""
        if self._gulp_s:
            self._pause()
        if self._reply is None:
            self._head += _SINK[:nbytes]
            end = self._head.find(b"\r\n\r\n")
            if end >= 0:
                self._begin(end + 4)
        else:
            if self._keep:
                self._reply.body += _SINK[:nbytes]
            self._left -= nbytes
        if self._reply is not None and self._left <= 0:
            self._end(self._reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: ended."""
        self._fail(Broken(f"the connection ended: {exc}"))

    def eof_received(self) -> None:
        """asyncio: the server sends no more."""
        self._fail(Broken("the server closed the connection"))

    def _begin(self, at: int) -> None:
        head = bytes(self._head[:at])
        found = _LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 ") or found is None:
            self._fail(Broken("no answer of a known length"))
            return
        length = int(found[1])
        self._reply = Reply(int(head[9:12]), head, length, time.perf_counter() - self._at)
        if self._keep:
            self._reply.body += self._head[at:]
        self._left = length - (len(self._head) - at)

    def _end(self, reply: Reply) -> None:
        reply.whole_s = time.perf_counter() - self._at
        if self._left < 0:
            self._fail(Broken("more bytes than announced"))
        elif self._asked is not None and not self._asked.done():
            self._asked.set_result(reply)

    def _fail(self, error: Broken) -> None:
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(error)

    def _pause(self) -> None:
        transport = self._transport
        assert transport is not None
        transport.pause_reading()
        asyncio.get_running_loop().call_later(
            self._gulp_s, lambda: None if transport.is_closing() else transport.resume_reading()
        )
