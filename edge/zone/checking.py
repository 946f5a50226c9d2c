"""Health checks of origins, where a zone has a path for them: a request to each, again and again."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence
from typing import Final

from edge.zone.origins import Origins
from edge.zone.zone import Origin, Zone

EVERY_S: Final = 5.0

log = logging.getLogger("sluice.zone")


class Checks:
    """Checks the origins of these zones from `start` to `close`."""

    def __init__(self, zones: Sequence[Zone], origins: Origins, *, every_s: float = EVERY_S) -> None:
        self._origins, self._every_s = origins, every_s
        self._wanted = [
            (zone, origin)
            for zone in zones
            if zone.health_path
            for origin in zone.origins
            if not origin.shield_of
        ]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins."""
        self._tasks = [asyncio.create_task(self._watch(*each)) for each in self._wanted]

    async def close(self) -> None:
        """Ends."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _watch(self, zone: Zone, origin: Origin) -> None:
        while True:
            try:
                await self._origins.check(zone, origin)
            except Exception:  # the next check may go better
                log.exception("%s could not be checked", origin.authority.decode("ascii"))
            await asyncio.sleep(self._every_s * random.uniform(0.9, 1.1))
