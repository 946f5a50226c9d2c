"""The limits of one process over all its connections: one look at each of them once a second.

So a request costs no timers, and every deadline is exact to that second (`edge.guard.limits`).
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from edge.deliver.clients import Network
from edge.deliver.counters import Count, ignore
from edge.guard.crowd import THIS_MACHINE, Crowd
from edge.guard.limits import Limits


class Guarded(Protocol):
    """A connection."""

    loop: asyncio.AbstractEventLoop

    def look(self, now: float) -> None: ...


class Guard:
    """The limits of one process and all the connections they hold for."""

    def __init__(
        self, limits: Limits | None = None, uncapped: Sequence[Network] = THIS_MACHINE, count: Count = ignore
    ) -> None:
        """`uncapped` are networks whose addresses stand for many clients, such as front proxies'."""
        self.limits = limits or Limits()
        self.crowd = Crowd(self.limits, uncapped)
        self.count = count
        self._connections: set[Guarded] = set()

    def joined(self, connection: Guarded) -> None:
        """A connection to look at from now on."""
        if not self._connections:
            connection.loop.call_later(self.limits.look_every_s, self._look, connection.loop)
        self._connections.add(connection)

    def left(self, connection: Guarded) -> None:
        """It is gone."""
        self._connections.discard(connection)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in list(self._connections):
            connection.look(now)
        if self._connections:
            loop.call_later(self.limits.look_every_s, self._look, loop)
