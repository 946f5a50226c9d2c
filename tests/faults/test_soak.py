"""`make soak`: the faults in full size, and F34: does anything grow while sessions come and go for long?

SOAK_MINUTES is how long F34 plays (10 by default), and the part of the full sizes that the others take: at 10
and above they take them whole.
"""

import asyncio
import os
import resource
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import pytest

from tests.faults.test_clients import MB, idle_connections, idle_sessions, slow_viewers
from tests.faults.test_herd import herd_on_a_cold_asset
from tests.faults.test_redis_killed import SERVERS, nobody_noticed
from tests.faults.test_worker_killed import kill_often
from tests.support.crowd import Session
from tests.support.fleet import Fleet
from tests.support.load import kill, replaced, under_load
from tests.support.memory import open_files, rss_bytes
from tests.support.slope import Trend

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0)]

MINUTES: Final = float(os.environ.get("SOAK_MINUTES", "10"))
SHARE: Final = min(1.0, MINUTES / 10)

SAMPLE_S: Final = 2.0
WARM: Final = 0.25  # of the time: caches fill, pools grow
NEWCOMERS_S: Final = 0.5  # between two new sessions
PER_SESSION: Final = 60 * MB / 10_000  # bytes in all workers of an edge (SECURITY F21)
KEPT_S: Final = 15 * 60.0  # an idle session's lease is let go after so long
PER_HOUR: Final = 1 * MB  # besides
ARENA: Final = 1 * MB  # Python takes memory from the system in such pieces, and one may just be due
KEYS_PER_SESSION: Final = 4  # in Redis
FILES: Final = 0.01  # how much of the open files may come to it, and two


def sized(full: int) -> int:
    """The size of this run."""
    return max(20, round(full * SHARE))


@pytest.fixture(autouse=True)
def as_many_files_as_may_be() -> None:
    """This process holds the clients' end of every connection."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def test_f16_workers_killed_again_and_again(world: Fleet) -> None:
    await kill_often(world, sized(200))


@pytest.mark.parametrize("edges", [1, 2])
async def test_f19_a_thousand_on_a_cold_asset(world: Fleet, edges: int) -> None:
    await herd_on_a_cold_asset(world, sized(1000), edges)


async def test_f21_ten_thousand_idle_sessions(world: Fleet) -> None:
    await idle_sessions(world, sized(10_000))


async def test_f22_ten_thousand_idle_connections(world: Fleet) -> None:
    for each in await idle_connections(world, sized(10_000)):
        each.close()


async def test_f31_hundreds_who_take_forever(world: Fleet) -> None:
    await slow_viewers(world, sized(200))


@pytest.mark.parametrize("which", SERVERS)
async def test_f9_f10_redis_dies_and_freezes_under_a_crowd(world: Fleet, which: str) -> None:
    asset = await world.film()
    async with under_load(world.system, asset, sized(200), edges=2) as load:
        server = world.system.children()[which]
        kill(server)
        await load.more(sized(400))
        await replaced(world.system, which, server)
        with world.stopped(which):
            await load.more(sized(400))
    assert nobody_noticed(load), world.system.logs()


@dataclass
class Watch:
    """Samples of what may grow."""

    world: Fleet
    moments: list[float] = field(default_factory=list)
    figures: dict[str, list[float]] = field(default_factory=dict)
    sessions: list[int] = field(default_factory=list)  # that had come by then

    async def look(self, came: int) -> None:
        """One sample."""
        self.moments.append(time.monotonic())
        self.sessions.append(came)
        for name, pid in sorted(self.world.system.children().items()):
            if not name.startswith("redis"):
                self._note(f"{name} memory", rss_bytes(pid))
            self._note(f"{name} files", open_files(pid))
        for name in ("cache", "control"):
            async with self.world.redis(name) as client:
                self._note(f"redis-{name} keys", float(await client.dbsize()))

    def _note(self, what: str, figure: float) -> None:
        self.figures.setdefault(what, []).append(figure)

    def grown(self) -> list[str]:
        """Says what each figure did after the warm-up; those that grew more than they may."""
        start = int(len(self.moments) * WARM)
        moments = self.moments[start:]
        seconds = moments[-1] - moments[0]
        came = (self.sessions[-1] - self.sessions[start]) * min(1.0, KEPT_S / seconds)
        print(f"\nF34: {seconds / 60:.1f} minutes after the warm-up, {came:.0f} sessions came")
        bad: list[str] = []
        for what, figures in self.figures.items():
            trend = Trend.of(moments, figures[start:])
            may = self._may(what, came, seconds, trend.first)
            unit = MB if what.endswith("memory") else 1
            line = (
                f"{what}: {trend.first / unit:.1f}, {trend.growth / unit:+.2f} "
                f"(surely {trend.at_least / unit:+.2f}, may {may / unit:.2f})"
            )
            print("  " + line)
            if trend.at_least > may:
                bad.append(line)
        return bad

    @staticmethod
    def _may(what: str, came: float, seconds: float, first: float) -> float:
        if what.endswith("memory"):
            return ARENA + PER_HOUR * seconds / 3600 + PER_SESSION * came
        if what.endswith("files"):
            return 2 + FILES * first
        return KEYS_PER_SESSION * came


@asynccontextmanager
async def sessions_come_and_go(world: Fleet, asset: str) -> AsyncIterator[list[int]]:
    """New viewers all the time, who take a little and leave; how many is in the list."""
    came = [0]

    async def come() -> None:
        while True:
            session = await Session.opened(world.system, asset, came[0] % 2)
            for name in ("720p/index.m3u8", "720p/key/0", "720p/0.m4s"):
                assert (await session.patient(name)).status == 200
            session.client.close()
            came[0] += 1
            await asyncio.sleep(NEWCOMERS_S)

    coming = asyncio.create_task(come())
    try:
        yield came
        assert not coming.done(), coming
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


async def test_f34_nothing_grows_while_sessions_come_and_go(world: Fleet) -> None:
    asset = await world.film()
    watch = Watch(world)
    until = time.monotonic() + 60 * MINUTES
    async with (
        under_load(world.system, asset, edges=2) as load,
        sessions_come_and_go(world, asset) as came,
    ):
        while time.monotonic() < until:
            await watch.look(came[0])
            await asyncio.sleep(SAMPLE_S)
    assert nobody_noticed(load), world.system.logs()
    assert watch.grown() == []
    for name in SERVERS:
        async with world.redis(name.removeprefix("redis-")) as client:
            assert [key async for key in client.scan_iter(count=1000) if await client.pttl(key) == -1] == []
