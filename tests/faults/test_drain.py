"""F18: workers are told to end, one by one, under load. Nobody notices: not one request fails."""

import asyncio
import os
import signal

from tests.support.fleet import Fleet
from tests.support.load import replaced, under_load


async def test_f18_every_worker_is_replaced_under_load_without_a_failed_request(world: Fleet) -> None:
    asset = await world.film()
    before = world.system.children()
    async with under_load(world.system, asset, edges=2) as load:
        told = await asyncio.to_thread(world.system.sluice, "restart")
        assert (told.returncode, told.stdout) == (0, "4 workers replaced\n"), told.stderr
    assert (load.wrong, load.refused, load.broken) == ([], [], 0), world.system.logs()
    after = world.system.children()
    for name in before:
        assert (before[name] != after[name]) == name.startswith("edge-"), name
    counts = [world.system.counts(edge)["segments"] for edge in range(2)]
    assert sum(counts) >= load.right, "what replaced workers counted is not lost"


async def test_f18_a_worker_told_to_end_loses_no_request_and_is_started_again(world: Fleet) -> None:
    asset = await world.film()
    async with under_load(world.system, asset, edges=2) as load:
        for edge in range(2):
            name, pid = sorted(world.workers(edge).items())[0]
            os.kill(pid, signal.SIGTERM)
            await replaced(world.system, name, pid)
    assert (load.wrong, load.refused, load.broken) == ([], [], 0), world.system.logs()


async def test_f18_a_segment_held_for_its_viewers_pace_is_finished_before_the_worker_ends(
    world: Fleet,
) -> None:
    slow = {"burst_s": 8.0, "rate": 2.0, "jumps": 0}
    asset = await world.film(pace=slow)
    stored = await world.stored(asset)
    async with await world.viewer(asset) as viewer:
        for number in range(2):
            await viewer.cipher("720p", number)
        held = asyncio.create_task(viewer.client.get(viewer.segment_url("720p", 2)))
        await asyncio.wait([held], timeout=0.3)
        assert not held.done(), "its pace holds it"
        workers = world.workers(0)
        for pid in workers.values():
            os.kill(pid, signal.SIGTERM)
        answer = await held
        assert answer.status_code == 200
        assert len(answer.content) == 16 * (len(stored.segment("720p", 2)) // 16 + 1)
        for name, pid in workers.items():
            await replaced(world.system, name, pid)
