"""Purging: writes the log of purges, and answers the long polls of edges that read it.

A purge made in this process wakes the polls at once; one made in another with the same database is found
within a second. Redis has no part in it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

from keys.feed import LONGEST_WAIT_S, LOOK_EVERY_S
from keys.problems import Problem
from keys.purge import Purge, Purges, Rate, named
from keys.store_purges import PurgeStore
from keys.zone_names import ZoneNames

A_SECOND: Final = 20.0  # purges that every edge can follow, on the long run
AT_ONCE: Final = 200

log = logging.getLogger(__name__)


class Purger:
    """The log of purges. `run()` must be running for those of other processes to be seen while waiting."""

    def __init__(self, store: PurgeStore, now: Callable[[], float], count: Callable[[str], None]) -> None:
        self._store, self._now, self._count = store, now, count
        self._zones = ZoneNames()
        self._rate = Rate(A_SECOND, AT_ONCE)
        self._version = 0  # the newest that is known here
        self._news = asyncio.Condition()
        self._closed = False

    async def purge(self, zone: str, kind: str, value: str, *, soft: bool) -> Purge:
        """Purge on every edge. Problem bad_request, or too_many when they come too fast."""
        found = named(zone, kind, value)
        if not self._rate.take(self._now()):
            raise Problem("too_many", "Too many purges at once: wait, or purge by prefix or key.")
        entry = await self._store.add(*found, soft=soft, now=self._now())
        self._count("keys_purges")
        log.info("purge zone=%s kind=%s soft=%s version=%d", zone, kind, soft, entry.version)
        await self._heard(entry.version)
        return entry

    def said(self, node: str, zones: str | None) -> None:
        """A node that polls said which zones it has, or nothing of it."""
        self._zones.said(node, zones, self._now())

    def warning(self, zone: str) -> str:
        """What is to be told to who purges in this zone; nothing where some node has it, or may have."""
        return self._zones.warning(zone, self._now())

    def zones(self) -> list[dict[str, object]]:
        """Each zone that nodes that poll say they have, by name: `{name, nodes}`."""
        return self._zones.listed(self._now())

    async def after(self, version: int, wait_s: float) -> Purges:
        """What came after `version`; held up to `wait_s` ≤ LONGEST_WAIT_S while there is nothing."""
        found = await self._store.after(version)
        if found.version == version:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(wait_s, LONGEST_WAIT_S)), self._news:
                    await self._news.wait_for(lambda: self._closed or self._version > version)
            found = await self._store.after(version)
        return found

    async def close(self) -> None:
        """Answer every waiting poll now: the service is going away."""
        self._closed = True
        async with self._news:
            self._news.notify_all()

    async def run(self) -> None:
        """Look for other processes' purges, until cancelled. A database in trouble is asked again."""
        while True:
            try:
                await self._heard(await self._store.version())
            except Exception:  # whatever it is, the next look may succeed
                log.exception("the log of purges cannot be read")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _heard(self, version: int) -> None:
        if version > self._version:
            self._version = version
            async with self._news:
                self._news.notify_all()
