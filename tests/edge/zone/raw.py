"""An origin whose every byte the test decides, and an edge in front of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import httpx

from tests.edge.zone.test_serving import Clock, in_front_of

HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
FRESH = HELLO.replace(b"content-length", b"cache-control: max-age=60\r\ncontent-length")


@dataclass
class Raw:
    """Answers the nth request of the kth connection, both from 0, with `say(k, n, head)`; None closes it."""

    say: Callable[[int, int, bytes], bytes | None]
    heads: list[tuple[int, bytes]] = field(default_factory=list)  # connection and head of each request
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    port: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)  # a connection was ended by the edge

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        number, count = len(self.writers), 0
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append((number, head))
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                if length:
                    await reader.readexactly(int(length[0].split(b":")[1]))
                answer = self.say(number, count, head)
                count += 1
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        self.gone.set()
        writer.close()

    @property
    def paths(self) -> list[tuple[int, str]]:
        """Connection and path of each request."""
        return [(number, head.split(b" ")[1].decode()) for number, head in self.heads]


@contextlib.asynccontextmanager
async def raw(
    say: Callable[[int, int, bytes], bytes | None], clock: Clock | None = None, *, name: str = "edge-a"
) -> AsyncIterator[tuple[httpx.AsyncClient, Raw]]:
    """A client of an edge in front of such an origin, and the origin."""
    origin = Raw(say)
    async with await asyncio.start_server(origin, "127.0.0.1", 0) as server:
        origin.port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{origin.port}"
        async with in_front_of(url, clock or Clock(), name=name) as client:
            yield client, origin
        for writer in origin.writers:
            writer.close()
