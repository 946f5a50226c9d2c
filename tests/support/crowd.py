"""Many clients at little cost: raw HTTP/1.1 over streams, whose bodies are read as they come."""

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.support.system import System

LIMIT = 1 << 20
COMES_BACK = 5


class Broken(Exception):
    """The connection ended before the answer was whole."""


@dataclass
class Answer:
    """A whole answer. Header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Client:
    """One connection to one edge, kept open; opened again when it has ended."""

    host: str
    port: int
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    got: int = 0  # bytes of the body under way
    moved: asyncio.Event = field(default_factory=asyncio.Event)  # set whenever some come

    @classmethod
    def of(cls, url: str) -> "Client":
        """A client of the server at this base URL."""
        parts = urlsplit(url)
        return cls(parts.hostname or "", parts.port or 80)

    async def get(self, target: str, **headers: str) -> Answer:
        """One GET. Broken or OSError when it is not answered whole."""
        self.moved.clear()
        if self.streams is not None and self.streams[0].at_eof():
            self.close()  # the server ended it while nothing was asked: idle for too long
        if self.streams is None:
            self.streams = await asyncio.open_connection(self.host, self.port, limit=LIMIT)
        reader, writer = self.streams
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        try:
            writer.write(f"GET {target} HTTP/1.1\r\nhost: {self.host}:{self.port}\r\n{fields}\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            status, found = _read_head(head)
            body = await self._body(reader, int(found.get("content-length", "0")))
        except (asyncio.IncompleteReadError, OSError) as exc:
            self.close()
            raise Broken(str(exc)) from exc
        if found.get("connection") == "close":
            self.close()
        return Answer(status, found, body)

    async def _body(self, reader: asyncio.StreamReader, length: int) -> bytes:
        parts: list[bytes] = []
        self.got = 0
        while self.got < length:
            piece = await reader.read(min(LIMIT, length - self.got))
            if not piece:
                raise Broken(f"{self.got} bytes of {length}")
            parts.append(piece)
            self.got += len(piece)
            self.moved.set()
        return b"".join(parts)

    def close(self) -> None:
        """Leaves, in the middle of an answer too."""
        if self.streams is not None:
            self.streams[1].transport.abort()
            self.streams = None


def _read_head(head: str) -> tuple[int, dict[str, str]]:
    first, *lines = head.split("\r\n")[:-2]
    pairs = (line.split(":", 1) for line in lines)
    return int(first.split(" ")[1]), {name.lower(): value.strip() for name, value in pairs}


@dataclass
class Session:
    """A viewer of the crowd: his own session, on a connection of his own."""

    client: Client
    base: str = ""  # target of everything of his, under the session token

    @classmethod
    async def opened(cls, system: System, asset: str, edge: int = 0, **how: int) -> "Session":
        """Opens a link of his own; the redirect is enough. Told to come back (503), he does, a few times."""
        found = cls(Client.of(system.edges[edge]))
        target = urlsplit(system.sign(asset, edge, **how)).path
        answer = await found.client.get(target)
        for _ in range(COMES_BACK):
            if answer.status != 503:
                break
            await asyncio.sleep(int(answer.headers["retry-after"]))
            answer = await found.client.get(target)
        assert answer.status == 302, (answer.status, answer.body)
        found.base = answer.headers["location"].rsplit("/", 1)[0]
        return found

    async def get(self, name: str) -> Answer:
        """Something of his, such as `720p/0.m4s`."""
        return await self.client.get(f"{self.base}/{name}")

    async def patient(self, name: str) -> Answer:
        """The same; told to come again (503), he does, a few times."""
        answer = await self.get(name)
        for _ in range(COMES_BACK):
            if answer.status != 503:
                break
            await asyncio.sleep(int(answer.headers["retry-after"]))
            answer = await self.get(name)
        return answer


async def crowd(system: System, asset: str, size: int, *, edges: int = 1, at_once: int = 12) -> list[Session]:
    """So many viewers, spread over the edges."""
    turn = asyncio.Semaphore(at_once)

    async def one(number: int) -> Session:
        async with turn:
            return await Session.opened(system, asset, number % edges)

    return list(await asyncio.gather(*(one(number) for number in range(size))))
