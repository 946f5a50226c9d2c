"""Shields in this process, for tests: real HTTP on a loopback port, in front of any origin, told to fail."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from starlette.types import Receive, Scope, Send

from deploy.serve import Server, config
from edge.cache.claims import Claims
from edge.cache.levels import SealedLevels
from edge.cache.library import Library
from edge.cache.memory import PrivateMemory
from edge.cache.tiers import source
from edge.cache.upstream import OriginClient
from edge.shield.blobs import Blobs
from keys.nodes import Node
from keys.problems import Problem
from tests.support.serving import listening_on

GOOD = "Bearer node-token"


class TestShield:
    """One worker of a shield. `faults` answers requests in the shield's place while it is set."""

    __test__ = False

    def __init__(self, name: str, origins: Sequence[str], published: Any, room: Path, port: int = 0) -> None:
        self.name, self.counts = name, Counter[str]()
        self.memory = PrivateMemory(64 << 20, count=self.count)
        self.fields: list[dict[bytes, bytes]] = []
        self.silent = False
        self.url = ""
        make = lambda url, **how: OriginClient(  # noqa: E731
            url, lambda: "shield-token", name=name, count=self.count, **how
        )
        self.library = Library(
            self.memory,
            None,
            Claims(room / f"{name}-claims", None, count=self.count),
            source((), origins, make, count=self.count),
            published.public,
            levels=SealedLevels,
            count=self.count,
        )
        self.blobs = Blobs(self.library, _check, name=name, key=bytes(32), count=self.count)
        self._server: Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._listener = listening_on(port)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def count(self, name: str, by: int) -> None:
        """Counts."""
        self.counts[name] += by

    async def start(self) -> "TestShield":
        """Serves."""
        await self.library.start()
        self._server = Server(config(self, finish_s=1))
        self._task = asyncio.create_task(self._server.serve([self._listener]))
        return self

    async def stop(self) -> None:
        """Refuses connections from now on, and cuts those there are."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = self._server.force_exit = True
            await self._task
            self._task = None
            await self.library.close()
        self._listener.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "lifespan":
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})
            return
        self.fields.append(dict(scope["headers"]))
        if self.silent:
            await asyncio.sleep(3600)
        await self.blobs(scope, receive, send)


Shields = Callable[..., Awaitable[TestShield]]


async def _check(authorization: str) -> Node:
    if authorization not in (GOOD, "Bearer shield-token"):
        raise Problem("unauthenticated")
    return Node("edge-1", "edge", None)  # type: ignore[arg-type]
