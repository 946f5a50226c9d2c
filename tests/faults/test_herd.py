"""F19, F20: a crowd on something cold costs the origin one copy; who leaves it leaves the rest alone."""

import asyncio

import pytest

from origin.media.seal import SLICE, sealed_length
from tests.support.crowd import Answer, Session, crowd
from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.viewer import decrypt

CROWD = 300
BIG = {"720p": [2 * SLICE] * 3, "audio": [1000] * 3}


async def right(world: Fleet, asset: str, session: Session, number: int, answer: Answer) -> None:
    """The answer is the segment, encrypted for this session."""
    stored = await world.stored(asset)
    key = await session.patient("720p/key/0")
    assert (answer.status, key.status) == (200, 200)
    assert decrypt(key.body, number, answer.body) == stored.segment("720p", number)


async def held(world: Fleet) -> None:
    async def holding() -> bool:
        return world.origin.holding

    await eventually(holding, within_s=15)


async def herd_on_a_cold_asset(world: Fleet, size: int, edges: int) -> None:
    """F19: all want one cold segment at once; the origin stops half-way until each has some of it."""
    asset = await world.film("herd", BIG)
    sessions = await crowd(world.system, asset, size, edges=edges)
    before = await world.origin_bytes()
    documents = [await each.patient("720p/index.m3u8") for each in sessions[:edges]]
    assert {answer.status for answer in documents} == {200}
    await sessions[0].get("audio/0.m4s")  # from here on only 720p/0 is missing
    await asyncio.gather(*(each.patient("720p/key/0") for each in sessions))  # all have their lease
    world.origin.hold_after(SLICE + 300_000, alive=True)  # a crowd takes longer than a silent origin has
    waiting = [asyncio.create_task(each.get("720p/0.m4s")) for each in sessions]
    await held(world)
    await asyncio.gather(*(each.client.moved.wait() for each in sessions))
    assert [task for task in waiting if task.done()] == [], "bytes flow while the fill runs"
    world.origin.heal()
    answers = await asyncio.gather(*waiting)
    assert {answer.status for answer in answers} == {200}
    assert {len(answer.body) for answer in answers} == {2 * SLICE + 16}
    assert world.asked(asset, "720p/0.m4s") == 1
    for number in range(0, size, max(1, size // 20)):
        await right(world, asset, sessions[number], 0, answers[number])
    sent = await world.origin_bytes() - before
    assert sent <= 1.02 * (sealed_length(2 * SLICE) + 50_000), "its documents, a little sound, and one copy"
    for each in sessions:
        each.client.close()


@pytest.mark.parametrize("edges", [1, 2])
async def test_f19_a_crowd_on_a_cold_asset_costs_the_origin_one_request(world: Fleet, edges: int) -> None:
    await herd_on_a_cold_asset(world, CROWD, edges)


async def test_f20_the_fill_goes_on_for_the_others_when_its_first_client_leaves(world: Fleet) -> None:
    asset = await world.film("leader", BIG)
    leader, follower, third = await crowd(world.system, asset, 3)
    await leader.get("audio/0.m4s")
    before = world.system.counts()["misses"]
    world.origin.hold_after(300_000)
    leading = asyncio.create_task(leader.get("720p/1.m4s"))
    await held(world)
    following = [asyncio.create_task(each.get("720p/1.m4s")) for each in (follower, third)]

    async def all_wait() -> bool:
        return world.system.counts()["misses"] >= before + 3

    await eventually(all_wait, within_s=10)
    leading.cancel()
    leader.client.close()
    world.origin.heal()
    for session, task in zip((follower, third), following, strict=True):
        await right(world, asset, session, 1, await task)
    assert world.asked(asset, "720p/1.m4s") == 1


async def test_f20_a_fill_nobody_waits_for_stops_within_a_slice_and_what_it_got_is_kept(world: Fleet) -> None:
    asset = await world.film("left", {"720p": [12 * SLICE], "audio": [1000]})
    first, second = await crowd(world.system, asset, 2)
    await first.get("audio/0.m4s")
    abandoned = world.system.counts()["fills_abandoned"]
    before = world.system.counts()["origin_bytes"]
    world.origin.hold_after(2 * SLICE + 100_000)
    leading = asyncio.create_task(first.get("720p/0.m4s"))
    await held(world)
    await first.client.moved.wait()
    leading.cancel()
    first.client.close()
    world.origin.heal()
    world.origin.rate = 4e6

    async def stopped() -> bool:
        return world.system.counts()["fills_abandoned"] == abandoned + 1

    await eventually(stopped, within_s=10)
    assert world.system.counts()["origin_bytes"] - before < 7 * SLICE
    world.origin.heal()
    await right(world, asset, second, 0, await second.get("720p/0.m4s"))
    second.client.close()
