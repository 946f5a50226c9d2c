"""The keys of the region, as keys handed them out last: what zones' entries in Redis are sealed with.

In memory only, in each worker. Asked for at start, every two minutes, and when something was sealed with a
newer one. Without an answer yet, zones share nothing; keys being away later changes nothing.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol, Self

from keys.problems import Problem
from keys.region_ring import RegionRing
from keys.tasks import end_tasks

REGION: Final = "default"
EVERY_S: Final = 120.0
AFTER_TROUBLE_S: Final = 0.5  # doubled up to LONGEST_PAUSE_S
LONGEST_PAUSE_S: Final = 15.0
GAP_S: Final = (
    5.0  # between two askings for the sake of a newer key: anybody who writes to Redis can name one
)

log = logging.getLogger("sluice.zone")


class GivesRegionKeys(Protocol):
    """Who is asked (`keys.client`)."""

    async def region_keys(self, region: str) -> RegionRing:
        """Problem when keys cannot be asked."""
        ...


class RegionKeys:
    """Enter it to begin asking."""

    def __init__(self, keys: GivesRegionKeys, *, clock: Callable[[], float]) -> None:
        self._keys, self._clock = keys, clock
        self._ring: RegionRing | None = None
        self._asked = float("-inf")
        self._sooner = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None

    def ring(self) -> RegionRing | None:
        """What there is; None before keys has answered."""
        return self._ring

    def newer(self) -> None:
        """Something was sealed with a newer key than we have, as it says."""
        if self._clock() - self._asked >= GAP_S:
            self._sooner.set()

    async def __aenter__(self) -> Self:
        self._asking = asyncio.create_task(self._ask_on(), name="region keys")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._asking is not None:
            await end_tasks([self._asking])

    async def _ask_on(self) -> None:
        pause_s = AFTER_TROUBLE_S
        while True:
            self._asked = self._clock()
            self._sooner.clear()
            try:
                self._ring = await self._keys.region_keys(REGION)
                wait_s, pause_s = EVERY_S, AFTER_TROUBLE_S
            except Problem as problem:
                wait_s, pause_s = pause_s, min(2 * pause_s, LONGEST_PAUSE_S)
                log.info("region keys: %s", problem.detail or problem.code)
            try:
                async with asyncio.timeout(wait_s):
                    await self._sooner.wait()
            except TimeoutError:
                continue
