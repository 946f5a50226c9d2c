"""An edge of zones over a real socket, served as every service of ours is."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

import httpx

from deploy.http_guard import Guard
from deploy.serve import Server, config
from edge.guard.limits import Limits
from edge.http.entry import PLAIN, Rules
from edge.zone.app import ZoneApp
from edge.zone.second_level import SecondLevel
from edge.zone.sliced import Sliced
from edge.zone.store import Held
from edge.zone.zone import Zone


@dataclass
class ZoneEdge:
    """One edge in front of one origin, and a client of it."""

    client: httpx.AsyncClient
    app: ZoneApp

    def held(self, path: str = "/") -> list[Held]:
        """What is kept of a path."""
        url = self.client.base_url
        return list(self.app.store.get(f"http://{url.host}:{url.port}{path}"))

    def sliced(self, path: str = "/") -> Sliced:
        """The one body kept of a path, which is in slices."""
        (held,) = self.held(path)
        assert isinstance(held.body, Sliced)
        return held.body


@contextlib.asynccontextmanager
async def edge_of(
    url: str,
    *,
    memory: int = 64 << 20,
    now: Callable[[], float] = time.time,
    second: SecondLevel | None = None,
    rules: Rules = PLAIN,
) -> AsyncIterator[ZoneEdge]:
    """An edge while entered."""
    zone = replace(Zone.parse(f"/={url}"), rules=rules)
    app = ZoneApp([zone], name="edge-a", memory_bytes=memory, now=now, second=second)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(config(app, guard=Guard(Limits(any_method=True)), finish_s=1))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        base = f"http://127.0.0.1:{listening.getsockname()[1]}"
        limits = httpx.Limits(max_connections=None)
        try:
            async with httpx.AsyncClient(base_url=base, timeout=60, limits=limits) as client:
                yield ZoneEdge(client, app)
        finally:
            server.should_exit = True
            await serving
