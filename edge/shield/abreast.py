"""Whether a shield has heard of the purges that an edge has (`keys.purge`), which may be the faster of them.

A node says with each question how far its log of purges is. A shield that is behind asks keys at once, and
has a moment for it; what it knows by then it can answer with. If it is behind still, what it asked the origin
for before it was first told of that number may have been purged, and needs the origin. Without a purge
between the two this is a comparison of numbers.
"""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Final

from edge.zone.purges import PurgeFeed
from keys.problems import Problem
from keys.purge import NEW
from keys.tasks import end_tasks

CATCH_UP_S: Final = 0.5  # for all who wait for one answer of keys; an edge waits 2.5 s for its own
EAGER_S: Final = 1.0  # between two questions about the same number

_SAID: Final = re.compile(rb"(-1|0|[1-9][0-9]{0,17})(; anew)?")  # `edge.zone.through.told`

log = logging.getLogger("sluice.shield")


class Abreast:
    """One worker's. `now` is the time of day, `clock` monotonic, both in seconds."""

    def __init__(self, feed: PurgeFeed, *, now: Callable[[], float], clock: Callable[[], float]) -> None:
        self._feed, self._now, self._clock = feed, now, clock
        self._heard, self._heard_at = NEW, 0.0  # the highest number any node told of, and when it first did
        self._asking: asyncio.Task[None] | None = None
        self._asked, self._asked_for = float("-inf"), NEW

    async def close(self) -> None:
        """Asks no more."""
        if self._asking is not None:
            await end_tasks([self._asking])

    async def doubted(self, said: bytes | None) -> float | None:
        """What was asked of the origin by this time needs it again for this node; None: nothing does."""
        found = _SAID.fullmatch(said or b"")
        if found is None:
            return None
        if found[2]:
            return self._now()
        number = int(found[1])
        if number <= self._feed.version:
            return None
        if number > self._heard:
            self._heard, self._heard_at = number, self._now()
        return None if await self._catches_up(number) else self._heard_at

    async def _catches_up(self, number: int) -> bool:
        """Whether all purges up to this one are done here, after a moment at most."""
        if self._asking is None and (number > self._asked_for or self._clock() - self._asked >= EAGER_S):
            self._asked, self._asked_for = self._clock(), number
            self._asking = asyncio.create_task(self._ask(), name="purges that an edge knows")
        left_s = self._asked + CATCH_UP_S - self._clock()
        if self._asking is not None and left_s > 0:
            await asyncio.wait([self._asking], timeout=left_s)
        return number <= self._feed.version

    async def _ask(self) -> None:
        try:
            await self._feed.poll()
        except Problem as problem:
            log.warning("behind an edge in the log of purges: %s", problem.detail or problem.code)
        finally:
            self._asking = None
