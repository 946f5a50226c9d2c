"""What sessions did lately, told to keys in batches: requests, bytes, seconds of media, last seen.

Noting costs a dictionary look-up; posting happens every few seconds in a task of its own. While keys is
down the batch waits and grows, up to a bound; sessions beyond it are not told of, and counted as dropped.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from keys.problems import Problem

EVERY_S: Final = 5.0
MOST_SESSIONS: Final = 10_000

log = logging.getLogger("sluice.edge.activity")


class TakesActivity(Protocol):
    """Who is told (`keys.client`)."""

    async def activity(self, sessions: dict[str, dict[str, Any]]) -> None:
        """Takes one batch: sid → {"at", "requests", "bytes", "media_s"}."""
        ...


@dataclass(slots=True)
class _Tally:
    at: float  # seconds since the epoch, of the latest request
    requests: int = 0
    bytes: int = 0
    media_s: float = 0.0

    def add(self, at: float, requests: int, size_bytes: int, media_s: float) -> None:
        self.at = max(self.at, at)
        self.requests += requests
        self.bytes += size_bytes
        self.media_s += media_s


class Activity:
    """The batch of one worker."""

    def __init__(
        self,
        keys: TakesActivity,
        *,
        now: Callable[[], float],
        count: Callable[[str, float], None],
        every_s: float = EVERY_S,
        most_sessions: int = MOST_SESSIONS,
    ) -> None:
        self._keys = keys
        self._now = now
        self._count = count
        self._every_s = every_s
        self._most = most_sessions
        self._tallies: dict[str, _Tally] = {}

    def note(self, sid: str, size_bytes: int = 0, media_s: float = 0.0) -> None:
        """One request of a session, answered."""
        self._add(sid, _Tally(self._now(), 1, size_bytes, media_s))

    async def run(self) -> None:
        """Posts until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            await self.post()

    async def post(self) -> None:
        """Posts what there is; what keys does not take stays for the next time."""
        if not self._tallies:
            return
        batch, self._tallies = self._tallies, {}
        fields = {
            sid: {"at": t.at, "requests": t.requests, "bytes": t.bytes, "media_s": round(t.media_s, 3)}
            for sid, t in batch.items()
        }
        try:
            await self._keys.activity(fields)
        except Problem as problem:
            log.warning("activity of %d sessions not posted: %s", len(batch), problem.detail or problem.code)
            for sid, tally in batch.items():
                self._add(sid, tally)

    def _add(self, sid: str, tally: _Tally) -> None:
        known = self._tallies.get(sid)
        if known is not None:
            known.add(tally.at, tally.requests, tally.bytes, tally.media_s)
        elif len(self._tallies) < self._most:
            self._tallies[sid] = tally
        else:
            self._count("sluice_edge_activity_dropped_total", tally.requests)
