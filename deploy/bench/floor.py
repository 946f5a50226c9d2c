"""The floor: as little as a server in Python can do, run as `python -m deploy.bench.floor --port N`.

One asyncio.Protocol on uvloop. It reads no header, checks no token, keeps no session; `/plain/N` is N bytes
from memory, `/aes/N` N bytes encrypted with AES-128-CBC under a key of this request alone, in pieces, into
buffers used again, with a turn for others after each piece. `/ece/N` is that with AES-128-GCM, in records as
RFC 8188 has them. What an edge costs beyond this is what Sluice is.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import sys
from collections import deque
from typing import Final, cast

import uvloop
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from keys.ece import RECORD, TAG

PIECE: Final = 256 << 10
RECORDS: Final = 4  # sealed into one buffer
LARGEST: Final = 64 << 20
HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\ncontent-length: %d\r\n\r\n"
_PLAIN: Final = memoryview(os.urandom(1 << 20) * (LARGEST >> 20))
_turns: Final = itertools.count()


def _plain(length: int) -> memoryview:
    """Bytes from memory, each time from elsewhere in it: an edge does not send one body only either."""
    start = next(_turns) * length % (LARGEST - length) & ~15
    return _PLAIN[start : start + length]


class Floor(asyncio.Protocol):
    """One connection. Its client waits for an answer before it asks again."""

    free: Final[deque[bytearray]] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        self._loop = asyncio.get_running_loop()
        self._full: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        """One request."""
        _, what, size = data[: data.index(b" ", 4)].rsplit(b"/", 2)
        length = int(size)
        self._transport.write(HEAD % length)
        if what == b"plain":
            self._transport.write(_plain(length))
        else:
            made = self._sealed(length) if what == b"ece" else self._encrypted(length)
            self._task = self._loop.create_task(made)

    def pause_writing(self) -> None:
        """The socket is full."""
        self._full = self._loop.create_future()

    def resume_writing(self) -> None:
        """The socket takes more."""
        if self._full is not None:
            self._full.set_result(None)
            self._full = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The client left."""
        if self._task is not None:
            self._task.cancel()

    async def _encrypted(self, length: int) -> None:
        cipher = Cipher(AES(os.urandom(16)), CBC(bytes(16))).encryptor()
        plain = _plain(-length % 16 + length)
        for start in range(0, length, PIECE):
            buffer = self._buffer()
            size = min(PIECE, length - start)
            cipher.update_into(plain[start : start + PIECE], buffer)
            self._transport.write(memoryview(buffer)[:size])
            self.free.append(buffer)
            del buffer
            await (self._full or asyncio.sleep(0))

    async def _sealed(self, length: int) -> None:
        aead, number = AESGCM(os.urandom(16)), 0
        plain = _plain(length)
        for start in range(0, length, RECORDS * RECORD):
            buffer, stop = self._buffer(), min(length, start + RECORDS * RECORD)
            out = memoryview(buffer)
            for at in range(start, stop, RECORD):
                end = min(stop, at + RECORD)
                into = out[at - start : end - start]
                aead.encrypt_into(number.to_bytes(12, "big"), plain[at : end - TAG], None, into)
                number += 1
            self._transport.write(out[: stop - start])
            del out, into
            self.free.append(buffer)
            del buffer
            await (self._full or asyncio.sleep(0))

    def _buffer(self) -> bytearray:
        """A buffer no transport holds: such a one can be resized."""
        for _ in range(min(4, len(self.free))):
            buffer = self.free.popleft()
            with contextlib.suppress(BufferError):
                buffer.append(0)
                del buffer[-1]
                return buffer
            self.free.append(buffer)
        return bytearray(PIECE + 128)  # room for the tags and delimiters of some records


async def serve(port: int) -> None:
    """Serves until the process ends; says so on stdout."""
    server = await asyncio.get_running_loop().create_server(Floor, "127.0.0.1", port, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()


def main() -> int:
    """The process's whole life."""
    parser = argparse.ArgumentParser(prog="deploy.bench.floor")
    parser.add_argument("--port", type=int, required=True)
    wanted = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(wanted.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
