"""Zones at a shield: for edges alone, each of which shows its node's bearer, cached or not.

A zone stands at a shield as it does at an edge, but public to nodes: who among viewers may have what, the
edges have checked. Requests of nodes nobody knows, and for zones this shield has not, are refused in a way
that no edge takes for an answer of the origin (`edge.zone.through`).
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager

from starlette.types import Receive, Scope, Send

from edge.cache.counters import Count, ignore
from edge.deliver.answer import refusal, send_answer
from edge.http.fields import get
from edge.running import kept_running
from edge.shield.abreast import Abreast
from edge.zone.beside import Beside
from edge.zone.forwarding import OfNode
from edge.zone.keying import Zones
from edge.zone.through import BLOCK, NODE, PURGES, REFUSED
from edge.zone.zone import UNDER
from keys.nodes import Node
from keys.problems import Problem
from keys.tasks import end_tasks

log = logging.getLogger("sluice.shield")


class ShieldZones:
    """The zones of one worker of a shield; `names` are theirs."""

    def __init__(
        self,
        beside: Beside,
        names: Collection[str],
        check_node: Callable[[str], Awaitable[Node]],
        count: Count = ignore,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._beside, self._names, self._check_node, self._count = beside, frozenset(names), check_node, count
        self._abreast = Abreast(beside.purges, now=now, clock=clock)

    @staticmethod
    def takes(scope: Scope) -> bool:
        """Whether a request is for a zone."""
        return Zones.takes(scope["raw_path"])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What goes on by itself, while entered: checks of origins, and hearing of purges."""
        async with self._beside.running():
            hearing = asyncio.create_task(kept_running(self._beside.purges.run))
            try:
                yield
            finally:
                await end_tasks([hearing])
                await self._abreast.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        try:
            bearer = get(scope["headers"], NODE) or b""
            await self._check_node(f"Bearer {bearer.decode('latin-1')}")
            name = scope["raw_path"].removeprefix(UNDER.encode()).partition(b"/")[0].decode("latin-1")
            if name not in self._names:
                raise Problem("not_found", "This shield has no such zone.")
        except Problem as problem:
            self._count("refused", 1)
            log.info("%s refused: %s", problem.id, problem)
            await send_answer(send, refusal(problem), [(NODE, REFUSED)], head=scope["method"] == "HEAD")
            return
        self._count("requests", 1)
        fields = scope["headers"]
        doubted = await self._abreast.doubted(get(fields, PURGES))
        size = get(fields, BLOCK) or b""
        block = int(size) if size.isdigit() and len(size) <= 18 else None
        await self._beside(scope, receive, send, OfNode(doubted, block or None))


class NoLinks:
    """In the place of revocations, which no zone of a shield asks: there are no links here."""

    def check(self, **_: object) -> None:
        """Never asked."""
        raise Problem("forbidden", detail="a shield takes no links")

    def may_open(self) -> None:
        """Never asked."""
        self.check()

    def may_go_on(self) -> None:
        """Never asked."""
        self.check()
