"""One contract for both stores of pace buckets, and what Redis must bear besides."""

import asyncio

import pytest
from redis.asyncio import Redis

from edge.deliver.pace_ledger import StoreLost
from edge.deliver.pace_stores import PREFIX, MemoryPaceStore, RedisPaceStore
from tests.support.pacing import Connect, Server, burst, gate


async def test_a_value_is_changed_only_by_who_knows_it(connect: Connect) -> None:
    one, other = connect(), connect()
    assert await one.load("k") is None
    assert not await one.swap("k", b"guess", b"x", 60)
    assert await one.swap("k", None, b"\x00\xff1", 60)
    assert await other.load("k") == b"\x00\xff1"
    assert not await other.swap("k", None, b"2", 60)
    assert not await other.swap("k", b"1", b"2", 60)
    assert await other.swap("k", b"\x00\xff1", b"2", 60)
    assert await one.load("k") == b"2"
    assert await one.load("other") is None


async def test_of_many_who_change_a_value_at_once_one_succeeds(connect: Connect) -> None:
    stores = [connect() for _ in range(4)]
    done = await asyncio.gather(*(s.swap("k", None, bytes([i]), 60) for i, s in enumerate(stores * 5)))
    assert sum(done) == 1


async def test_memory_forgets_what_ended_and_what_is_too_much() -> None:
    now = 0.0
    store = MemoryPaceStore(lambda: now, limit=2)
    for key in "abc":
        assert await store.swap(key, None, b"1", 60)
    assert [await store.load(key) for key in "abc"] == [None, b"1", b"1"]
    now = 60.0
    assert await store.load("c") is None
    assert await store.swap("c", None, b"2", 60)


async def test_f34_no_key_in_redis_is_without_an_end(control: Server) -> None:
    store = RedisPaceStore(control.url, timeout_s=2)
    paced = gate(store)
    await burst(paced)
    async with Redis.from_url(control.url) as client:
        keys = [key async for key in client.scan_iter()]
        assert len(keys) == 2
        assert all(key.startswith(PREFIX.encode()) for key in keys)
        assert all([await client.ttl(key) > 0 for key in keys])
    await paced.aclose()
    await store.aclose()


async def test_f10_a_frozen_redis_is_lost_in_time_and_its_late_answers_are_nobodys(control: Server) -> None:
    store = RedisPaceStore(control.url)
    assert await store.swap("a", None, b"A", 60)
    assert await store.swap("b", None, b"B", 60)
    control.freeze(True)
    for _ in range(3):
        with pytest.raises(StoreLost):
            await store.load("a")
    control.freeze(False)
    store._line._timeout_s = 5
    assert [await store.load("b") for _ in range(5)] == [b"B"] * 5
    await store.aclose()
