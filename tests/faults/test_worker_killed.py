"""F16: workers die in the middle of everything. They are replaced, and nobody ever gets a wrong byte."""

import asyncio
import random

from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.load import kill, replaced, under_load

KILLS = 20


async def kill_often(world: Fleet, kills: int, *, seed: int = 16) -> None:
    """Kills workers of both edges at random points of a load on cold objects; checks all that F16 says."""
    chance = random.Random(seed)
    asset = await world.film("kills", {"720p": [3 << 19] * 40, "audio": [60_000] * 40})
    async with under_load(world.system, asset, edges=2) as load:
        for turn in range(kills):
            await asyncio.sleep(chance.uniform(0, 0.3))
            name = f"edge-{turn % 2}-{turn // 2 % 2}"
            worker = world.system.children().get(name)
            if worker is not None:
                kill(worker)
                await replaced(world.system, name, worker)
    assert load.wrong == []
    assert load.refused == [], world.system.logs()
    assert load.broken <= kills * len(load.viewers), "only what was under way at the moment of a kill"

    async def claims_gone() -> bool:
        async with world.redis() as client:
            return not [key async for key in client.scan_iter(match="sluice:c:*")]

    await eventually(claims_gone, within_s=10)
    async with world.redis() as client:
        assert [key async for key in client.scan_iter() if await client.pttl(key) == -1] == []


async def test_f16_killed_workers_are_replaced_and_no_client_gets_a_wrong_byte(world: Fleet) -> None:
    await kill_often(world, KILLS)


async def test_f16_a_cold_fill_survives_the_worker_that_began_it(world: Fleet) -> None:
    """All ask for one cold segment, held half-way; every worker of the edge that fills is killed."""
    asset = await world.film()
    stored = await world.stored(asset)
    other = await world.viewer(asset, 1)
    async with await world.viewer(asset, 0) as viewer:
        await viewer.cipher("audio", 0)
        await other.cipher("audio", 0)
        world.origin.hold_after(1_200_000)
        first = asyncio.create_task(viewer.client.get(viewer.segment_url("720p", 0)))
        await eventually(lambda: _is(world.origin.holding), within_s=10)
        waiting = asyncio.create_task(other.cipher("720p", 0))
        for pid in world.workers(0).values():
            kill(pid)
        await asyncio.wait([first])
        assert first.exception() is not None, "visibly broken, never short as if whole"
        world.origin.heal()
        body = await waiting
        assert len(body) == 16 * (len(stored.segment("720p", 0)) // 16 + 1)
        assert world.asked(asset, "720p/0.m4s") <= 2
    await other.client.aclose()


async def _is(value: bool) -> bool:
    return value
