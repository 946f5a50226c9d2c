"""The limits of one process over all its connections: one look at each of them once a second.

So a request costs no timers, and every deadline is exact to that second (`edge.guard.limits`).
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from edge.deliver.clients import Network
from edge.deliver.counters import Count, ignore
from edge.guard.crowd import THIS_MACHINE, Crowd
from edge.guard.limits import Limits

log = logging.getLogger("sluice.guard")


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
        self._looking = False

    def joined(self, connection: Guarded) -> None:
        """A connection to look at from now on."""
        self._connections.add(connection)
        if not self._looking:
            self._looking = True
            connection.loop.call_later(self.limits.look_every_s, self._look, connection.loop)

    def left(self, connection: Guarded) -> None:
        """It is gone."""
        self._connections.discard(connection)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._connections:
            self._looking = False
            return
        loop.call_later(self.limits.look_every_s, self._look, loop)
        now = loop.time()
        for connection in list(self._connections):
            try:
                connection.look(now)
            except Exception:  # one connection must not keep us from looking at the others
                log.exception("a connection could not be looked at")
