"""The purges keys tells of, as one worker hears them: a long poll, and what is done with the answers.

Who cannot know what he missed purges everything, softly: at the first answer (what he kept before it may
have been purged meanwhile), and when he was away for longer than keys' log goes back. He then also does all
hard ones among the latest 500 of a day: the second level may hold parts of bodies from before those.
While keys is away, what is kept stays as it is.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from keys.problems import Problem
from keys.purge import ANSWERED_MOST, NEW, Purge, Purges

WAIT_S: Final = 5.0  # how long keys may hold a poll
LONGEST_PAUSE_S: Final = 5.0

log = logging.getLogger("sluice.zone.purges")


class GivesPurges(Protocol):
    """Who is asked (`keys.client`)."""

    async def purges(self, after: int, wait_s: float = 0) -> Purges:
        """What came after a version. Problem when keys cannot be asked."""
        ...


class PurgeFeed:
    """The poll of one worker. `purge` is what it tells: `ZoneApp.purge`."""

    def __init__(
        self,
        keys: GivesPurges,
        purge: Callable[[Sequence[Purge] | None], Awaitable[object]],
        wait_s: float = WAIT_S,
    ) -> None:
        self._keys, self._purge, self._wait_s = keys, purge, wait_s
        self.version = NEW  # up to which all is done
        self.heard = NEW  # and what is known of, also while it is being done
        self._doing = asyncio.Lock()
        self.known = asyncio.Event()  # set at the first answer
        self.news = asyncio.Condition()  # told whenever `version` went on

    async def run(self) -> None:
        """Polls until cancelled; after trouble with growing pauses, jittered so that workers spread out."""
        pause = wait_s = 0.0
        while True:
            try:
                await self.poll(wait_s)
                pause, wait_s = 0.0, self._wait_s
            except Problem as problem:
                log.warning("purges: %s", problem.detail or problem.code)
                pause, wait_s = min(LONGEST_PAUSE_S, max(0.25, 2 * pause)), 0.0
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))

    async def poll(self, wait_s: float = 0.0) -> None:
        """Asks once, to be held up to `wait_s`, and does what the answer says. Problem.

        Several may be under way: what was asked from a version that is not ours any more is not needed.
        """
        known = self.version
        found = await self._keys.purges(known, wait_s)
        if found.version and not found.joins(known):
            # Of half as many as one answer holds: others may come between the two questions.
            found = await self._keys.purges(max(0, found.version - ANSWERED_MOST // 2))
        async with self._doing:
            if self.version == known:
                await self._do(found)

    async def _do(self, found: Purges) -> None:
        if found.joins(self.version):
            if not found.entries:
                return
            self.heard = found.version
            await self._purge(found.entries)
        else:
            if self.version != NEW:
                log.warning("a gap in the log of purges: everything that is kept is stale now")
            self.heard = found.version
            await self._purge(None)
            hard = [each for each in found.entries if not each.soft]
            if hard:
                await self._purge(hard)
        self.version = found.version
        self.known.set()
        async with self.news:
            self.news.notify_all()
