"""What operators see of a service besides its counters: gauges, and how each worker's part is read.

A worker reads its own about once a second into the memory it shares with the others (`deploy.counters`), so
whoever answers `/metrics` can tell of all of them.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

from deploy.counters import Counters, Gauge
from keys.problems import Problem

EVERY_S: Final = 1.0
LIVE_S: Final = 60.0  # a session that asked for something within this time is live


def least(values: Iterable[int]) -> int:
    """The smallest, 0 where no worker lives."""
    return min(values, default=0)


def most(values: Iterable[int]) -> int:
    """The largest, 0 where no worker lives."""
    return max(values, default=0)


EDGE: Final[Mapping[str, Gauge]] = {
    "workers": Gauge("worker processes of this edge that run"),
    "workers_wanted": Gauge("worker processes this edge is to have", most),
    "start_time_seconds": Gauge("when its oldest worker started, in seconds since the epoch", least),
    "l1_bytes": Gauge("bytes in the first cache level, the memory of this edge"),
    "l1_limit_bytes": Gauge("bytes the first cache level may take", most),
    "l2_up": Gauge("1 while every worker gets answers of the second cache level; 0 also without one", least),
    "origin_up": Gauge("1 while no worker has found the origin to fail again and again", least),
    "shields_up": Gauge(
        "shields that are not found to fail again and again, of the worker with fewest", least
    ),
    "revocation_feed_age_seconds": Gauge(
        "seconds since the last word of keys, of the worker it is worst for", most
    ),
    "clock_skew_seconds": Gauge("seconds this edge's clock is off keys', ahead or behind", most),
}
SHIELD: Final[Mapping[str, Gauge]] = {
    "workers": Gauge("worker processes of this shield that run"),
    "workers_wanted": Gauge("worker processes this shield is to have", most),
    "start_time_seconds": Gauge("when its oldest worker started, in seconds since the epoch", least),
    "l1_bytes": Gauge("bytes in the memory of this shield, all of them sealed or signed"),
    "l1_limit_bytes": Gauge("bytes its memory may take", most),
    "origin_up": Gauge("1 while no worker has found the origin to fail again and again", least),
}
KEYS: Final[Mapping[str, Gauge]] = {
    "keys_start_time_seconds": Gauge("when keys started, in seconds since the epoch"),
    "keys_sessions_live": Gauge(f"sessions that asked for anything in the last {LIVE_S:.0f} s"),
}

Reading = Callable[[], float]


@asynccontextmanager
async def read_into(
    counters: Counters, readings: Mapping[str, Reading], every_s: float = EVERY_S
) -> AsyncIterator[None]:
    """Keeps this worker's part of the gauges up to date while entered."""

    async def look() -> None:
        for name, reading in readings.items():
            counters.set(name, max(0, int(min(reading(), 2**62))))

    async with _repeated(look, every_s):
        yield


@asynccontextmanager
async def live_sessions_into(
    counters: Counters, live: Callable[[float], Awaitable[int]], every_s: float = 5 * EVERY_S
) -> AsyncIterator[None]:
    """Keeps the number of live sessions up to date while entered; `live` counts those of so many seconds."""

    async def look() -> None:
        with suppress(Problem):  # the database is away: the last number stays
            counters.set("keys_sessions_live", await live(LIVE_S))

    async with _repeated(look, every_s):
        yield


def started_now() -> Reading:
    """The moment of this call, ever again."""
    moment = time.time()
    return lambda: moment


@asynccontextmanager
async def _repeated(look: Callable[[], Awaitable[None]], every_s: float) -> AsyncIterator[None]:
    async def run() -> None:
        while True:
            await look()
            await asyncio.sleep(every_s)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
