"""Where the time of a hit goes: each layer of a segment's way out, run alone in this process, in µs.

An edge worker of the same settings is made here, with the real leases, cache and pace store of the system
that runs, and a real session's request goes through its parts one at a time. What the whole takes beyond the
sum of the parts is "the rest": the joining of them. Sockets are not in it: the kernel's part is what the
measured worker takes beyond this.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, Final

from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from deploy import assemble_edge
from deploy.bench.rig import Rig
from deploy.bench.rows import Row
from deploy.bench.viewers import Session
from deploy.http_guard import Guard
from deploy.http_protocol import GuardedProtocol
from deploy.serve import config
from edge.app import EdgeApp
from edge.deliver import path
from edge.deliver.cipher import BufferPool, encrypted
from edge.deliver.key import period_of, segment_key
from edge.deliver.path import Route
from edge.deliver.playlist import rendition_of
from edge.deliver.segment import entity_tag
from edge.deliver.turns import Turns
from keys.leases import Lease
from origin.media.asset import segment_object

WORKER: Final = 9  # of counters: none of the running workers'
CLIENT: Final = "127.0.0.1"
BATCHES: Final = 5
CALLS: Final = 100  # in a batch
ANSWER_S: Final = 30.0
SERVER: Final = "HTTP server, both heads"
WHOLE: Final = "the whole application"

Call = Callable[[int], Awaitable[object]]


async def run(rig: Rig) -> list[Row]:
    """A row for each layer, in the order in which a request passes them."""
    name = rig.size.segments[0][0]
    film = await rig.film(name)
    calls = min(CALLS, rig.size.small)
    sessions = await rig.sessions(film, -(-((BATCHES + 1) * calls + 1) // film.segments))
    async with _worker(rig) as app:
        layers = await _layers(app, sessions)
        costs = {what: await _cost(call, calls) for what, call in layers.items()}
    costs["encryption"] = _less(costs["encryption"], costs["look-up in the cache"])
    parts = [cost for what, cost in costs.items() if what not in (SERVER, WHOLE)]
    costs["what joins them"] = _less(costs[WHOLE], *parts)
    return [Row("layers", f"{name} segment: {what}", "µs", cost) for what, cost in costs.items()]


def _less(whole: tuple[float, ...], *parts: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(max(0.0, total - sum(each)) for total, *each in zip(whole, *parts, strict=True))


async def _layers(app: EdgeApp, sessions: list[Session]) -> dict[str, Call]:
    """What is called for request n, by name. The server is not in the whole, that of the application."""
    targets = [
        session.segment(number)[0].encode() for session in sessions for number in range(session.film.segments)
    ]
    media = app.media
    authorizer, segments, library = media._authorizer, media.segments, media._library
    pace = segments._pace
    routes = [path.parse(target) for target in targets]
    leases = [await authorizer.session(route, CLIENT) for route in routes]
    descriptor = await library.descriptor(leases[0].asset, leases[0].generation)
    rendition = rendition_of(descriptor, routes[0])
    pool = BufferPool()

    server = _Server(await _heads(app, targets[-1]))

    async def http(n: int) -> None:
        await server.ask(targets[n])

    async def parse(n: int) -> Route:
        return path.parse(targets[n], b"")

    async def session(n: int) -> Lease:
        return await authorizer.session(routes[n], CLIENT)

    async def names(n: int) -> object:
        lease, number = leases[n], routes[n].number
        tag = entity_tag(lease, rendition.id, segment_object(number), rendition.sizes[number], "aes")
        return tag, segment_key(lease, rendition, period_of(descriptor, number))

    async def grant(n: int) -> None:
        lease, number = leases[n], routes[n].number
        item = f"layers:{lease.generation}"  # not the asset's own: the whole has paid for that
        with pace.request(lease.bucket, "video", lease.pace, item, number, 4.0) as granted:
            await granted.wait(8)

    async def look_up(n: int) -> None:
        lease, name = leases[n], segment_object(routes[n].number)
        opened = await library.open(lease.tenant, lease.asset, lease.generation, rendition.id, name, lease.sk)
        for index in range(-(-opened.length // (1 << 20))):
            await opened.slice(index)
        opened.close()

    async def encrypt(n: int) -> None:
        lease, number = leases[n], routes[n].number
        opened = await library.open(
            lease.tenant, lease.asset, lease.generation, rendition.id, segment_object(number), lease.sk
        )
        async for _ in encrypted(
            bytes(16), number, opened.length, opened.slice, pool, Turns(), start=0, stop=opened.length
        ):
            pass

    async def whole(n: int) -> None:
        await app(_scope(targets[n]), _never, _nowhere)

    return {
        SERVER: http,
        "canonical path": parse,
        "token, session, lease": session,
        "tag and content key": names,
        "pace": grant,
        "look-up in the cache": look_up,
        "encryption": encrypt,
        WHOLE: whole,
    }


async def _cost(call: Call, calls: int) -> tuple[float, ...]:
    """µs of processor time a call, for each batch but the first."""
    numbers = itertools.count()
    found = []
    for _ in range(BATCHES + 1):
        began = time.process_time_ns()
        for _ in range(calls):
            await call(next(numbers))
        found.append((time.process_time_ns() - began) / 1000 / calls)
    return tuple(found[1:])


@contextlib.asynccontextmanager
async def _worker(rig: Rig) -> AsyncIterator[EdgeApp]:
    """One more worker of the measured edge, in this process: its cache, its pace store, its trust."""
    app = await assemble_edge.build_edge(rig.system.settings, 0, WORKER)
    assert isinstance(app, EdgeApp)
    told: asyncio.Queue[Message] = asyncio.Queue()
    ready, ended = asyncio.Event(), asyncio.Event()

    async def send(message: Message) -> None:
        (ready if message["type"].startswith("lifespan.startup") else ended).set()

    lifespan = asyncio.create_task(app({"type": "lifespan"}, told.get, send))
    await told.put({"type": "lifespan.startup"})
    await ready.wait()
    try:
        yield app
    finally:
        await told.put({"type": "lifespan.shutdown"})
        await lifespan


class _Wire(asyncio.Transport):
    """A connection that leads nowhere."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Takes it."""

    def is_closing(self) -> bool:
        """Never."""
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits here."""

    def get_write_buffer_size(self) -> int:
        """What waits: nothing."""
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Of a client on this machine."""
        return {"peername": (CLIENT, 50_000), "sockname": (CLIENT, 8010)}.get(name, default)


class _Server:
    """The server's protocol around an application that answers at once, with a segment's headers."""

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        self._answered = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
            await send({"type": "http.response.body", "body": bytes(16), "more_body": False})
            self._answered.set()

        served = config(app)
        served.load()
        self._protocol = GuardedProtocol(Guard(), config=served, server_state=ServerState(), app_state={})
        self._protocol.connection_made(_Wire())

    async def ask(self, target: bytes) -> None:
        """One request, head to head. TimeoutError when it is not answered."""
        self._answered.clear()
        self._protocol.data_received(b"GET " + target + b" HTTP/1.1\r\nHost: 127.0.0.1:8010\r\n\r\n")
        async with asyncio.timeout(ANSWER_S):
            await self._answered.wait()


def _scope(target: bytes) -> MutableMapping[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "raw_path": target,
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8010")],
        "client": (CLIENT, 50_000),
    }


async def _never() -> Message:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


async def _heads(app: EdgeApp, target: bytes) -> list[tuple[bytes, bytes]]:
    """The headers a segment is answered with, of a body of 16 bytes."""
    found: list[tuple[bytes, bytes]] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            found.extend(pair for pair in message["headers"] if pair[0] != b"content-length")

    await app(_scope(target), _never, send)
    return [*found, (b"content-length", b"16")]


async def _nowhere(message: Message) -> None:
    """Takes what is sent."""
