"""What sessions did lately, told to keys in batches: requests, bytes, seconds of media, last seen,
and what the ripper score is made of (`keys.ripper`).

Noting costs a dictionary look-up; posting happens every few seconds in a task of its own. While keys is
down the batch waits and grows, up to a bound; sessions beyond it are not told of, and counted as dropped.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from edge.deliver.counters import Count, ignore
from edge.deliver.course import Step
from keys.problems import Problem
from keys.sessions import Activity as Seen

EVERY_S: Final = 5.0
MOST_SESSIONS: Final = 10_000
BATCH: Final = 250  # sessions in one call, as keys takes them

log = logging.getLogger("sluice.edge.activity")


class TakesActivity(Protocol):
    """Who is told (`keys.client`)."""

    async def tell_activity(self, seen: Mapping[str, Seen]) -> None:
        """Takes one batch by session ID, at most BATCH sessions. Problem when it does not."""
        ...


class _Sum:
    """What one session did since it was last told."""

    __slots__ = Seen.__slots__

    def __init__(self, at: float) -> None:
        self.at = at
        self.requests = self.bytes = 0
        self.media_s = self.again_s = self.held_s = self.apart_s = 0.0
        self.position_s: float | None = None

    def seen(self) -> Seen:
        return Seen(*(getattr(self, name) for name in Seen.__slots__))

    def add(self, other: "_Sum") -> None:
        """Takes in what is older, and could not be told."""
        self.at = max(self.at, other.at)
        self.requests += other.requests
        self.bytes += other.bytes
        self.media_s += other.media_s
        self.again_s += other.again_s
        self.held_s += other.held_s
        self.apart_s += other.apart_s
        if self.position_s is None:
            self.position_s = other.position_s


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
        self._seen: dict[str, _Sum] = {}

    def note(self, sid: str, size_bytes: int = 0) -> None:
        """One request of a session, answered."""
        if (seen := self._of(sid, 1)) is not None:
            seen.requests += 1
            seen.bytes += size_bytes

    def segment(self, sid: str, size_bytes: int, media_s: float, step: Step | None) -> None:
        """One segment of a session, or the part of it that went out; `step` when its seconds are counted."""
        if (seen := self._of(sid, 1)) is None:
            return
        seen.requests += 1
        seen.bytes += size_bytes
        seen.media_s += media_s
        if step is not None:
            seen.position_s = step.position_s
            if step.again:
                seen.again_s += media_s
            if step.apart:
                seen.apart_s += media_s

    def held(self, sid: str, seconds: float) -> None:
        """A request of a session has waited for pace, so many seconds more."""
        if (seen := self._of(sid, 0)) is not None:
            seen.held_s += seconds

    def progress(self, sid: str, size_bytes: int) -> None:
        """More bytes of a request that was noted when it began."""
        if (seen := self._of(sid, 0)) is not None:
            seen.bytes += size_bytes

    async def run(self) -> None:
        """Posts until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            await self.post()

    async def post(self) -> None:
        """Posts what there is; what keys does not take stays for the next time."""
        waiting, self._seen = list(self._seen.items()), {}
        while waiting:
            batch = {sid: seen.seen() for sid, seen in waiting[:BATCH]}
            try:
                await self._keys.tell_activity(batch)
            except Problem as problem:
                log.warning(
                    "activity of %d sessions not posted: %s", len(waiting), problem.detail or problem.code
                )
                break
            del waiting[:BATCH]
        for sid, seen in waiting:
            if (since := self._of(sid, seen.requests, seen.at)) is not None:
                since.add(seen)

    def _of(self, sid: str, requests: int, at: float = 0.0) -> _Sum | None:
        """What is to be told of a session; None when that is too much, and its requests are dropped."""
        now = at or self._now()
        seen = self._seen.get(sid)
        if seen is None:
            if len(self._seen) >= self._most:
                self._count("activity_dropped", requests)
                return None
            seen = self._seen[sid] = _Sum(now)
        seen.at = max(seen.at, now)
        return seen
