"""An edge for zones in this process, and origins that count: for tests that break what is between them."""

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

import httpx
from starlette.types import Receive, Scope, Send

from deploy.http_guard import Guard
from deploy.serve import Server, config
from edge.guard.limits import Limits
from edge.zone.app import ZoneApp
from edge.zone.origins import Outages, alone
from edge.zone.seen import Seen
from edge.zone.upstream import Upstream
from edge.zone.zone import Zone
from tests.support.lifespan import lived
from tests.support.serving import listening_on

Fields = list[tuple[bytes, bytes]]


@dataclass
class Clock:
    """Time that goes on, or stands where `stopped` is, and jumps when told to."""

    ahead: float = 0.0
    stopped: float | None = None

    def __call__(self) -> float:
        return (time.time() if self.stopped is None else self.stopped) + self.ahead


@dataclass
class Stub:
    """An origin: answers with `status`, `fields` and `body`, and remembers who asked for what."""

    status: int = 200
    fields: Fields = field(default_factory=lambda: [(b"cache-control", b"max-age=60")])
    body: bytes = b"hello"
    chunked: bool = False
    statuses: list[int] = field(default_factory=list)  # of the next answers, before `status`
    asked: list[str] = field(default_factory=list)  # "GET /a"
    hosts: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lived(receive, send)
            return
        while (await receive()).get("more_body"):
            pass
        self.asked.append(f"{scope['method']} {scope['raw_path'].decode()}")
        self.hosts.append(dict(scope["headers"])[b"host"].decode())
        status = self.statuses.pop(0) if self.statuses else self.status
        length = [] if self.chunked else [(b"content-length", b"%d" % len(self.body))]
        await send({"type": "http.response.start", "status": status, "headers": [*length, *self.fields]})
        await send({"type": "http.response.body", "body": self.body})


@dataclass
class Edge:
    """An edge that runs."""

    client: httpx.AsyncClient
    app: ZoneApp
    clock: Clock  # time of day
    monotonic: Clock
    counts: Counter[str]

    async def get(self, path: str = "/") -> httpx.Response:
        """The answer to a GET."""
        return await self.client.get(path)


@contextlib.asynccontextmanager
async def edge_of(
    zones: Sequence[Zone], upstream: Upstream | None = None, outage: Outages = alone
) -> AsyncIterator[Edge]:
    """An edge for these zones, whose durations stand still until the test lets them pass."""
    counts: Counter[str] = Counter()
    clock, monotonic = Clock(), Clock(stopped=1000.0)
    app = ZoneApp(
        zones,
        name="edge-a",
        memory_bytes=64 << 20,
        now=clock,
        upstream=upstream,
        seen=Seen(count=lambda name, by, _: counts.update({name: by})),
        monotonic=monotonic,
        outage=outage,
    )
    with listening_on() as listener:
        server = Server(config(app, guard=Guard(Limits(any_method=True)), finish_s=1))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            limits = httpx.Limits(max_connections=200)
            async with httpx.AsyncClient(base_url=base, timeout=30, limits=limits) as client:
                yield Edge(client, app, clock, monotonic, counts)
        finally:
            server.should_exit = True
            await serving


def port_of(url: str) -> int:
    """The port of a base URL."""
    return int(url.rsplit(":", 1)[1])


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    """An origin that refuses connections; nobody else gets its port meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@contextlib.contextmanager
def swallowing() -> Iterator[str]:
    """An origin in a black hole: connections to it are never made. Its full queue drops every SYN."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
