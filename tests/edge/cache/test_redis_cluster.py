"""What only a cluster does to the second level: slots on the move, a new primary, an old one (F12-F14)."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis

from edge.cache.redis import RedisSlices
from edge.cache.slot_table import slot_of
from origin.media.seal import SLICE
from tests.edge.cache.servers import TestRedisCluster
from tests.support.proxy import Proxy
from tests.support.redis_cluster import Node

PATIENT: dict[str, Any] = {"timeout_s": 2.0, "slice_timeout_s": 2.0}


@pytest.fixture
def cluster() -> Iterator[TestRedisCluster]:
    found = TestRedisCluster(replicas=1)
    yield found
    found.close()


@pytest.fixture
def counts() -> Counter[str]:
    return Counter()


@pytest.fixture
async def store(cluster: TestRedisCluster, counts: Counter[str]) -> AsyncIterator[RedisSlices]:
    found = RedisSlices(cluster.url, count=lambda name, by: counts.update({name: by}), **PATIENT)
    yield found
    await found.close()


async def stored(store: RedisSlices, key: str, value: bytes) -> None:
    task = store.put_soon(key, value)
    assert task is not None
    await task


def had_by(cluster: TestRedisCluster, node: Node, count: int) -> list[str]:
    """Keys of this primary."""
    names = (f"s:{number}" for number in range(10_000))
    return [name for name in names if cluster.owner(f"sluice:{name}") is node][:count]


async def test_f13_while_a_slot_moves_its_keys_are_found_where_they_are(
    cluster: TestRedisCluster, store: RedisSlices, counts: Counter[str]
) -> None:
    source, target = cluster.primaries[0], cluster.primaries[1]
    key = had_by(cluster, source, 1)[0]
    slot = slot_of(f"sluice:{key}")
    here, gone, new = (f"{{sluice:{key}}}{name}" for name in ("here", "gone", "new"))
    plain = RedisSlices(cluster.url, prefix="", count=lambda name, by: counts.update({name: by}), **PATIENT)
    for name in (here, gone):
        await stored(plain, name, name.encode())
    target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
    source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
    source.call("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", gone)
    assert [await plain.get(name) for name in (here, gone, new)] == [here.encode(), gone.encode(), None]
    assert await plain.present([here, gone, new, "elsewhere"]) == [True, True, False, False]
    assert [await plain.present([name]) for name in (here, gone, new)] == [[True], [True], [False]]
    await stored(plain, new, b"new")
    assert await plain.get(new) == b"new"
    assert target.client.dbsize() == 2, "what is new is where the slot goes"
    assert await plain.claim(f"{new}2", b"me", 60000) is True
    assert await plain.claim(f"{new}2", b"you", 60000) is False
    assert counts == {}
    assert await plain.extend(f"{new}2", b"me", 5000) is None, "it ends with its time instead"
    counts.clear()
    cluster.move(range(slot, slot + 1), source, target)
    assert [await plain.get(name) for name in (here, gone, new)] == [here.encode(), gone.encode(), b"new"]
    assert await plain.present([here, gone, new, "elsewhere"]) == [True, True, True, False]
    assert await plain.extend(f"{new}2", b"me", 5000) is True
    assert await plain.release(f"{new}2", b"me") is True
    assert counts == {}
    await plain.close()


@pytest.mark.heavy
async def test_f13_a_reshard_under_load_is_no_error_and_no_wrong_value(
    cluster: TestRedisCluster, store: RedisSlices, counts: Counter[str]
) -> None:
    done = asyncio.Event()
    wrong: list[str] = []
    written = 0

    async def work(worker: int) -> None:
        nonlocal written
        mine: dict[str, bytes] = {}
        while not done.is_set() or len(mine) < 300:
            name = f"s:{worker}/{len(mine)}"
            mine[name] = random.randbytes(2000)
            await stored(store, name, mine[name])
            written += 1
            some = random.sample(sorted(mine), min(5, len(mine)))
            wrong.extend([name for name in some if await store.get(name) != mine[name]])
            if not all(await store.present(some)):
                wrong.append(f"one of {some}")
        for name, value in mine.items():
            if await store.get(name) != value:
                wrong.append(name)

    workers = [asyncio.create_task(work(number)) for number in range(8)]
    source, target = cluster.primaries[0], cluster.primaries[2]
    await asyncio.to_thread(cluster.move, range(1500), source, target)
    done.set()
    await asyncio.gather(*workers)
    assert (wrong, dict(counts)) == ([], {}), f"{written} written"
    assert written >= 2400


async def test_f12_when_another_takes_a_dead_primarys_place_it_is_found(
    cluster: TestRedisCluster, store: RedisSlices, counts: Counter[str]
) -> None:
    dead = cluster.primaries[0]
    lost, others = had_by(cluster, dead, 3), had_by(cluster, cluster.primaries[1], 3)
    for key in lost + others:
        await stored(store, key, key.encode())
    dead.kill()
    assert [await store.get(key) for key in lost] == [None] * 3
    assert not any(await store.present(lost))
    await asyncio.to_thread(cluster.promoted, dead)
    async with asyncio.timeout(30):
        while not store.up or await store.get(lost[0]) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await stored(store, lost[0], b"again")
    assert await store.get(lost[0]) == b"again"
    assert [await store.get(key) for key in others] == [key.encode() for key in others]
    counts.clear()
    await asyncio.gather(*(store.get(key) for key in lost + others))
    assert counts == {}


async def test_f12_a_lost_primary_costs_its_own_keys_only_and_the_table_is_not_asked_for_in_a_rush(
    cluster: TestRedisCluster, store: RedisSlices
) -> None:
    dead, other = cluster.primaries[1], cluster.primaries[2]  # it has no replica
    for node in cluster.nodes:
        node.call("CONFIG", "SET", "cluster-require-full-coverage", "no")
    lost, kept = had_by(cluster, dead, 5), had_by(cluster, other, 5)
    for key in lost + kept:
        await stored(store, key, key.encode())
    dead.kill()
    asked = _slots_asked(cluster)
    began = asyncio.get_running_loop().time()
    for _ in range(100):
        found = await asyncio.gather(*(store.get(key) for key in lost + kept))
        assert found == [None] * 5 + [key.encode() for key in kept]
    passed = asyncio.get_running_loop().time() - began
    assert _slots_asked(cluster) - asked <= 3 * (1 + passed / 0.3), "three that live, at most each 0.3 s"


def _slots_asked(cluster: TestRedisCluster) -> int:
    told = [node.client.info("commandstats") for node in cluster.nodes if node.process is not None]
    return sum(each.get("cmdstat_cluster|slots", {"calls": 0})["calls"] for each in told)


async def test_f14_who_is_cut_off_from_the_cluster_fetches_once_more_and_nothing_is_wrong(
    bench: Any, origin: Any, cluster: TestRedisCluster
) -> None:
    bench.redis_url = cluster.url
    with Proxy(("127.0.0.1", cluster.nodes[0].port)) as proxy:
        libraries = [await bench.library("n1"), await bench.library("n3")]
        bench.redis_url, bench.redis_timeouts_s = f"redis+cluster://127.0.0.1:{proxy.port}", (0.1, 0.25)
        proxy.blackhole = True
        cut_off = await bench.library("n2")
        bodies = await asyncio.gather(*(bench.read(each, "0.m4s") for each in [*libraries, cut_off] * 4))
        proxy.heal()
    assert set(bodies) == {bench.published.plain["0.m4s"]}
    assert origin.requests["720p/0.m4s"] == 2


async def test_f14_who_still_sees_an_old_primary_gets_nothing_wrong_of_it(
    bench: Any, origin: Any, cluster: TestRedisCluster
) -> None:
    """It comes back as a server of its own, with cut and swapped values, and takes whatever it is told."""
    bench.redis_url = cluster.url
    library = await bench.fill("n1", "0.m4s")
    stale = await bench.library("n2")
    await bench.read(stale, "1.m4s")
    await asyncio.gather(library.settled(), stale.settled())
    old = cluster.primaries[0]
    values = {name: old.client.get(name) for name in old.client.scan_iter()}
    old.kill()
    await asyncio.to_thread(cluster.promoted, old)
    old.start("--cluster-enabled", "no")
    swapped = [*list(values.values())[1:], b"random"]
    for name, value in zip(values, swapped, strict=True):
        assert value is not None
        old.client.set(name, value[:-1] if len(value) % 2 else value)
    before = origin.requests["720p/0.m4s"]
    for name in ("0.m4s", "1.m4s", "2.m4s"):
        for each in (stale, await bench.library("n3")):
            assert await bench.read(each, name) == bench.published.plain[name]
    assert bench.counts["bad_l2"] > 0
    slices = -(-len(bench.published.plain["0.m4s"]) // SLICE)
    assert origin.requests["720p/0.m4s"] <= before + 2 * slices, "once more a slice and a side at most"


async def test_a_cluster_that_is_not_there_yet_is_a_miss_and_used_when_it_comes(
    cluster: TestRedisCluster, counts: Counter[str]
) -> None:
    cluster.signal(signal.SIGSTOP)
    store = RedisSlices(cluster.url, count=lambda name, by: counts.update({name: by}))
    assert await asyncio.gather(*(store.get(f"s:{number}") for number in range(20))) == [None] * 20
    assert not store.up
    assert store.put_soon("s:x", b"sealed") is None
    cluster.signal(signal.SIGCONT)
    await asyncio.to_thread(cluster.settled)
    async with asyncio.timeout(30):
        while await store.claim("c:x", b"me", 60000) is not True:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await store.close()


def test_three_servers_agree_about_their_slots(cluster: TestRedisCluster) -> None:
    assert {cluster.owner(f"sluice:{number}").port for number in range(50)} == {
        node.port for node in cluster.primaries
    }
    with pytest.raises(redis.exceptions.MovedError):
        cluster.primaries[0].call("GET", "foo")  # slot 12182
