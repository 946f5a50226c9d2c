"""F9, F10, F11: Redis dies, stands still, is full, or evicts. That costs speed; nothing else."""

import asyncio

import pytest

from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.load import Load, kill, replaced, under_load
from tests.support.system import ON_A_CLUSTER
from tests.support.viewer import decrypt

SERVERS = ["redis-control"] if ON_A_CLUSTER else ["redis-cache", "redis-control"]  # see test_redis_cluster.py


def nobody_noticed(load: Load) -> bool:
    return (load.wrong, load.refused, load.broken) == ([], [], 0)


@pytest.mark.parametrize("which", SERVERS)
async def test_f9_killing_redis_fails_no_request(world: Fleet, published: str, which: str) -> None:
    async with under_load(world.system, published, edges=2) as load:
        server = world.system.children()[which]
        kill(server)
        await load.more(20)
        await replaced(world.system, which, server)
        await load.more(10)
    assert nobody_noticed(load), world.system.logs()


async def test_f9_a_new_viewer_starts_while_redis_is_dying_again_and_again(
    world: Fleet, published: str
) -> None:
    for _ in range(3):
        for name in SERVERS:
            if name in (children := world.system.children()):
                kill(children[name])
        async with await world.viewer(published) as viewer:
            assert (await viewer.get(viewer.segment_url("720p", 0))).status_code == 200


@pytest.mark.parametrize("which", SERVERS)
async def test_f10_a_frozen_redis_fails_no_request_and_serves_again(world: Fleet, which: str) -> None:
    asset = await world.film()
    later = await world.film("later", {"720p": [1000] * 200})
    async with under_load(world.system, asset, edges=2) as load:
        with world.stopped(which):
            await load.more(20)  # cold objects too: nobody has taken them all yet
    assert nobody_noticed(load), world.system.logs()
    async with await world.viewer(later) as one, await world.viewer(later, 1) as other:
        numbers = iter(range(200))

        async def edges_share() -> bool:
            some = [next(numbers) for _ in range(4)]
            for number in some:
                assert await one.cipher("720p", number) != await other.cipher("720p", number)
            return all(world.asked(later, f"720p/{number}.m4s") == 1 for number in some)

        await eventually(edges_share, within_s=5)


async def test_f11_a_full_redis_stores_nothing_and_nobody_notices(world: Fleet) -> None:
    asset = await world.film()
    async with world.redis() as client:
        before = sum([world.system.counts(edge)["l2_unstored"] for edge in range(2)])
        settings = await client.config_get("maxmemory*")
        await client.config_set("maxmemory-policy", "noeviction")
        await client.config_set("maxmemory", "1mb")
        try:
            async with under_load(world.system, asset, edges=2) as load:
                await load.more(20)
            assert nobody_noticed(load), world.system.logs()
            assert sum(world.system.counts(edge)["l2_unstored"] for edge in range(2)) > before
        finally:
            for name in ("maxmemory", "maxmemory-policy"):
                await client.config_set(name, str(settings[name]))


async def test_f11_what_was_evicted_is_fetched_again_and_nothing_is_padded(world: Fleet) -> None:
    asset = await world.film()
    stored = await world.stored(asset)
    async with await world.viewer(asset) as one, await world.viewer(asset, 1) as other:
        for number in range(3):
            await one.cipher("720p", number)
        async with world.redis() as client:
            names = [f"sluice:s:default/{asset}/1/720p/{n}.m4s/{i}" for n, i in ((0, 0), (1, 1), (2, 0))]

            async def all_stored() -> None:
                while await client.exists(*names) != len(names):  # noqa: ASYNC110 - another process's
                    await asyncio.sleep(0.02)

            await asyncio.wait_for(all_stored(), 10)
            assert await client.delete(*names) == len(names)
        for number in range(3):
            key = await other.key("720p", "key/0")
            body = decrypt(key, number, await other.cipher("720p", number))
            assert body == stored.segment("720p", number)
            assert world.asked(asset, f"720p/{number}.m4s") == 2, "once by each edge: the hole only"


async def test_f16_f34_no_key_in_redis_is_without_end(world: Fleet, published: str) -> None:
    async with under_load(world.system, published, edges=2):
        pass
    for name in ("cache", "control"):
        async with world.redis(name) as client:
            names = [key async for key in client.scan_iter(count=1000)]
            assert names
            left = [key for key in names if await client.pttl(key) == -1]
            assert left == []
