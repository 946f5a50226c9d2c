"""F21, F22, F31: many clients who do nothing, and some who take forever or are cut off all the time."""

import asyncio
import random

from tests.support.crowd import Broken, Client, Session, crowd
from tests.support.fleet import Fleet
from tests.support.memory import open_files, rss_bytes
from tests.support.viewer import decrypt

MB = 1 << 20
IDLE = 500  # 10,000 in the long run (`make soak`)
SLOW = 40  # 200 there
PER_SLOW = 256 << 10  # bytes (SECURITY F31)
SLACK = 16 * MB


def memory(world: Fleet) -> int:
    return sum(rss_bytes(pid) for edge in range(2) for pid in world.workers(edge).values())


async def take_one_each(sessions: list[Session]) -> None:
    """Each takes a segment and leaves."""
    for turn in range(0, len(sessions), 50):
        some = sessions[turn : turn + 50]
        answers = await asyncio.gather(*(each.patient("720p/0.m4s") for each in some))
        assert {answer.status for answer in answers} == {200}
        for each in some:
            each.client.close()


async def idle_sessions(world: Fleet, size: int) -> None:
    """F21: sessions that were opened and do nothing more."""
    asset = await world.film("idle", {"720p": [1000], "audio": [1000]})
    await take_one_each(await crowd(world.system, asset, 100, edges=2))  # the workers' warming up
    before = memory(world)
    async with world.redis("control") as client:
        redis_before = int((await client.info("memory"))["used_memory"])
    for turn in range(0, size, 50):  # whose connections end: F22 is about those that are kept
        await take_one_each(await crowd(world.system, asset, min(50, size - turn), edges=2))
    assert memory(world) - before <= 60 * MB * size / 10_000 + SLACK
    async with world.redis("control") as client:
        grown = int((await client.info("memory"))["used_memory"]) - redis_before
        assert grown <= 20 * MB * size / 10_000 + MB
        names = [key async for key in client.scan_iter(count=1000)]
        endless = [key for key in names if await client.pttl(key) == -1]
    assert endless == [], "every record of a session goes by itself"
    late = await Session.opened(world.system, asset)
    assert (await late.patient("720p/0.m4s")).status == 200


async def test_f21_idle_sessions_cost_little_and_leave_nothing_without_end(world: Fleet) -> None:
    await idle_sessions(world, IDLE)


async def idle_connections(world: Fleet, size: int) -> list[Client]:
    """F22: connections kept open on which nobody asks anything more; they are still open at the end."""
    asset = await world.film("kept", {"720p": [1000], "audio": [1000]})
    viewer = await Session.opened(world.system, asset, 1)
    before = memory(world)
    clients = [Client.of(world.system.edges[1]) for _ in range(size)]
    for turn in range(0, size, 100):
        answers = await asyncio.gather(*(each.get("/healthz") for each in clients[turn : turn + 100]))
        assert {answer.status for answer in answers} == {200}
    assert sum(map(open_files, world.workers(1).values())) >= size
    assert memory(world) - before <= 200 * MB * size / 10_000 + SLACK
    for _ in range(20):
        assert (await viewer.get("720p/0.m4s")).status == 200
    return clients


async def test_f22_idle_connections_cost_little_and_keep_nobody_out(world: Fleet) -> None:
    clients = await idle_connections(world, IDLE)
    for each in clients:
        each.close()


async def slow_viewers(world: Fleet, size: int) -> None:
    """F31: all take one big segment, so slowly that each is in the middle of it at once."""
    asset = await world.film("slow", {"720p": [4 * MB] * 2, "audio": [1000] * 2})
    stored = await world.stored(asset)
    sessions = await crowd(world.system, asset, size)
    held = await asyncio.gather(*(each.patient("720p/key/0") for each in sessions))  # all have their lease
    assert {answer.status for answer in held} == {200}
    await sessions[0].patient("720p/0.m4s")  # cached from here on, and every pool has been used
    before = memory(world)
    world.doors[0].rate = 20_000
    for each in sessions:
        each.client.close()
        each.client.port = world.doors[0].port
    taking = [asyncio.create_task(each.get("720p/0.m4s")) for each in sessions]
    await asyncio.gather(*(each.client.moved.wait() for each in sessions))
    assert not any(task.done() for task in taking)
    assert memory(world) - before <= size * PER_SLOW + SLACK
    world.doors[0].rate = None
    for session, task in zip(sessions, taking, strict=True):
        answer = await task
        key = await session.get("720p/key/0")
        assert decrypt(key.body, 0, answer.body) == stored.segment("720p", 0)
        session.client.close()


async def test_f31_viewers_who_take_forever_cost_little_memory_and_get_every_byte(world: Fleet) -> None:
    await slow_viewers(world, SLOW)


async def test_f31_viewers_who_are_cut_off_all_the_time_get_it_all_in_the_end(world: Fleet) -> None:
    asset = await world.film()
    stored = await world.stored(asset)
    chance = random.Random(31)
    for _ in range(20):
        world.doors[1].cut(after=chance.randrange(2_000_000))
    sessions = await crowd(world.system, asset, 10, edges=2)

    async def play(session: Session) -> int:
        broken = 0
        session.client.close()
        session.client.port = world.doors[1].port
        for number in range(6):
            while True:
                try:
                    key = await session.patient(f"720p/key/{number // 3}")
                    answer = await session.patient(f"720p/{number}.m4s")
                    break
                except Broken:
                    broken += 1
            assert (key.status, answer.status) == (200, 200)
            assert decrypt(key.body, number, answer.body) == stored.segment("720p", number)
        session.client.close()
        return broken

    broken = sum(await asyncio.gather(*(play(session) for session in sessions)))
    assert 0 < broken <= 20 == world.doors[1].fired, "each cut was seen, and cost one request"
