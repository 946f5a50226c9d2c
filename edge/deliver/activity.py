"""What sessions did lately, told to keys in batches: requests, bytes, seconds of media, last seen.

Noting costs a dictionary look-up; posting happens every few seconds in a task of its own. While keys is
down the batch waits and grows, up to a bound; sessions beyond it are not told of, and counted as dropped.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from edge.deliver.counters import Count, ignore
from keys.problems import Problem
from keys.sessions import Activity as Seen

EVERY_S: Final = 5.0
MOST_SESSIONS: Final = 10_000
BATCH: Final = 500  # sessions in one call, as keys takes them

log = logging.getLogger("sluice.edge.activity")


class TakesActivity(Protocol):
    """Who is told (`keys.client`)."""

    async def tell_activity(self, seen: Mapping[str, Seen]) -> None:
        """Takes one batch by session ID, at most BATCH sessions. Problem when it does not."""
        ...


def _sum(a: Seen, b: Seen) -> Seen:
    return Seen(max(a.at, b.at), a.requests + b.requests, a.bytes + b.bytes, a.media_s + b.media_s)


class Activity:
    """The batch of one worker."""

    def __init__(
        self,
        keys: TakesActivity,
        *,
        now: Callable[[], float],
        count: Count = ignore,
        every_s: float = EVERY_S,
        most_sessions: int = MOST_SESSIONS,
    ) -> None:
        self._keys = keys
        self._now = now
        self._count = count
        self._every_s = every_s
        self._most = most_sessions
        self._seen: dict[str, Seen] = {}

    def note(self, sid: str, size_bytes: int = 0, media_s: float = 0.0) -> None:
        """One request of a session, answered."""
        self._add(sid, Seen(self._now(), 1, size_bytes, media_s))

    def progress(self, sid: str, size_bytes: int) -> None:
        """More bytes of a request that was noted when it began."""
        self._add(sid, Seen(self._now(), 0, size_bytes, 0.0))

    async def run(self) -> None:
        """Posts until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            await self.post()

    async def post(self) -> None:
        """Posts what there is; what keys does not take stays for the next time."""
        waiting, self._seen = list(self._seen.items()), {}
        while waiting:
            batch = dict(waiting[:BATCH])
            try:
                await self._keys.tell_activity(batch)
            except Problem as problem:
                log.warning(
                    "activity of %d sessions not posted: %s", len(waiting), problem.detail or problem.code
                )
                break
            del waiting[:BATCH]
        for sid, seen in waiting:
            self._add(sid, seen)

    def _add(self, sid: str, seen: Seen) -> None:
        known = self._seen.get(sid)
        if known is not None:
            self._seen[sid] = _sum(known, seen)
        elif len(self._seen) < self._most:
            self._seen[sid] = seen
        else:
            self._count("activity_dropped", seen.requests)
