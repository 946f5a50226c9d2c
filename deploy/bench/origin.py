"""An origin for zones: `/N` is N bytes, always the same, with a validator and ranges. It counts what it gave.

One asyncio.Protocol in the load's process: what is measured asks it once for each slice and never again.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

LARGEST: Final = 64 << 20
_PATTERN: Final = bytes(range(251))  # a prime: no slice begins as another does
_BYTES: Final = memoryview(_PATTERN * (LARGEST // len(_PATTERN) + 1))
_TARGET: Final = re.compile(rb"GET /(?:[a-z0-9-]+/)*(\d+)(?:\?[!-~]*)? HTTP/1\.1\r\n")
_RANGE: Final = re.compile(rb"\r\nrange: *bytes=(\d+)-(\d*)\r\n", re.IGNORECASE)
_HEAD: Final = (
    b"HTTP/1.1 %b\r\nContent-Type: application/octet-stream\r\nCache-Control: public, max-age=86400\r\n"
    b'ETag: "%d"\r\nAccept-Ranges: bytes\r\nContent-Length: %d\r\n'
)


def body(length: int) -> memoryview:
    """What `/length` is."""
    return _BYTES[:length]


@dataclass
class Given:
    """What was asked for so far."""

    requests: int = 0
    bytes: int = 0


class _Origin(asyncio.Protocol):
    def __init__(self, given: Given) -> None:
        self._given = given
        self._held = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # uvloop's are none by inheritance

    def data_received(self, data: bytes) -> None:
        self._held += data
        while b"\r\n\r\n" in self._held:
            head, _, self._held = self._held.partition(b"\r\n\r\n")
            self._answer(head + b"\r\n")

    def _answer(self, head: bytes) -> None:
        assert self._transport is not None
        target = _TARGET.match(head)
        if target is None or int(target[1]) > LARGEST:
            self._transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        length = int(target[1])
        start, stop, status, place = 0, length, b"200 OK", b""
        asked = _RANGE.search(head)
        if asked is not None and int(asked[1]) < length:
            start, stop = int(asked[1]), min(length, int(asked[2] or length) + 1)
            status, place = (
                b"206 Partial Content",
                b"Content-Range: bytes %d-%d/%d\r\n" % (start, stop - 1, length),
            )
        self._given.requests += 1
        self._given.bytes += stop - start
        self._transport.write(_HEAD % (status, length, stop - start) + place + b"\r\n")
        self._transport.write(body(length)[start:stop])


@contextlib.asynccontextmanager
async def running(port: int) -> AsyncIterator[Given]:
    """An origin on this port of loopback while entered."""
    given = Given()
    server = await asyncio.get_running_loop().create_server(lambda: _Origin(given), "127.0.0.1", port)
    async with server:
        yield given
