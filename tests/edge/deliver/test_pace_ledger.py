"""When the store of pace buckets is gone, has forgotten, went back in time, or somebody else was faster."""

import asyncio
import os
import time

from edge.deliver.pace_ledger import MARKER
from edge.deliver.pace_stores import MemoryPaceStore, RedisPaceStore
from keys.pace import Pace
from tests.support.pacing import PACE, SLOW, Connect, Counts, Fragile, Server, ask, burst, gate


async def test_f9_without_the_store_media_goes_on_at_real_time_with_no_burst() -> None:
    now, count = time.time(), Counts()
    store = Fragile(MemoryPaceStore(time.monotonic))
    paced = gate(store, count, now=lambda: now)
    await burst(paced, SLOW)
    store.lost = True
    for number in range(5, 9):
        with ask(paced, number, Pace(burst_s=20, rate=2)) as grant:
            assert await grant.wait(5)
        with ask(paced, number + 1, Pace(burst_s=20, rate=2)) as grant:
            assert not await grant.wait(0.03)
        now += 4.0
    assert count["pace_store_lost"] > 0
    await paced.aclose()


async def test_f9_what_was_handed_out_without_the_store_is_settled_when_it_is_back() -> None:
    now = time.time()
    store = Fragile(MemoryPaceStore(time.monotonic))
    paced, other = gate(store, now=lambda: now), gate(store, now=lambda: now)
    with ask(paced, 0, PACE) as grant:
        assert await grant.wait(5)
    store.lost = True
    with ask(paced, 1, SLOW) as grant:
        assert await grant.wait(5)
    store.lost = False
    with ask(paced, 2, SLOW) as grant:
        assert await grant.wait(5)
        await asyncio.sleep(0.03)
    with ask(paced, 3, SLOW) as three, ask(other, 1, SLOW) as paid:
        assert await three.wait(5)
        assert await paid.wait(5)
    with ask(other, 4, SLOW) as four, ask(other, 5, SLOW) as five:
        assert await four.wait(5)
        assert not await five.wait(0.02)  # 20 s of burst: 0 to 4, and number 1 is among them
    await asyncio.gather(paced.aclose(), other.aclose())


async def test_f9_a_killed_redis_holds_nobody_up_and_gives_nobody_a_second_burst(control: Server) -> None:
    stores = [RedisPaceStore(control.url, timeout_s=1) for _ in range(3)]
    count = Counts()
    knows, serves, new = (gate(store, count) for store in stores)
    await burst(serves, SLOW)
    with ask(knows, 0, SLOW, bucket="somebody") as grant:
        assert await grant.wait(5)
    control.kill()
    with ask(serves, 5, SLOW) as grant:
        assert await grant.wait(5)
    control.start()  # empty
    with ask(knows, 6, SLOW) as grant:  # this worker has never seen the viewer
        assert not await grant.wait(0.1)
    with ask(new, 7, SLOW) as grant:  # nor has this one, which has only just started
        assert not await grant.wait(0.1)
    with ask(serves, 8, SLOW) as grant:
        assert not await grant.wait(0.1)
    assert count["pace_data_lost"] == 1
    assert count["pace_store_lost"] > 0
    await asyncio.gather(*(g.aclose() for g in (knows, serves, new)), *(s.aclose() for s in stores))


async def test_f12_a_store_that_went_back_in_time_gives_nothing_twice() -> None:
    memory = MemoryPaceStore(time.monotonic)
    paced = gate(memory)
    with ask(paced, 0, SLOW) as grant:
        assert await grant.wait(5)
    old = dict(memory._held)
    for number in range(1, 5):
        with ask(paced, number, SLOW) as grant:
            assert await grant.wait(5)
    memory._held.clear()
    memory._held.update(old)
    with ask(paced, 5, SLOW) as grant:
        assert not await grant.wait(0.02)
    await paced.aclose()


async def test_a_bucket_the_store_forgot_is_known_here_but_has_no_burst_left() -> None:
    memory, count = MemoryPaceStore(time.monotonic), Counts()
    paced = gate(memory, count)
    with ask(paced, 0, SLOW) as grant:
        assert await grant.wait(5)
    memory._held.clear()
    with ask(paced, 1, SLOW) as grant, ask(paced, 0, SLOW) as paid:
        assert not await grant.wait(0.02)
        assert paid.granted
    assert count["pace_data_lost"] == 1
    await paced.aclose()


async def test_f15_a_damaged_bucket_is_an_empty_one_and_mends(connect: Connect) -> None:
    store = connect()
    assert await store.swap("video:viewer", None, os.urandom(40), 60)
    paced = gate(store)
    with ask(paced, 0, SLOW) as grant:
        assert not await grant.wait(0.02)
    with ask(paced, 0, PACE) as grant:
        assert await grant.wait(5)
    await paced.aclose()


async def test_a_bucket_another_worker_keeps_changing_is_asked_again_until_it_holds_still() -> None:
    class Contended(Fragile):
        refusals = 10

        async def swap(self, key: str, old: bytes | None, new: bytes, ttl_s: int) -> bool:
            if key != MARKER and self.refusals:
                self.refusals -= 1
                return False
            return await super().swap(key, old, new, ttl_s)

    count = Counts()
    paced = gate(Contended(MemoryPaceStore(time.monotonic)), count)
    with ask(paced, 0) as grant:
        assert await grant.wait(5)
    assert count["pace_conflicts"] == 10
    await paced.aclose()


async def test_a_store_that_keeps_nothing_is_a_lost_one() -> None:
    class Leaky(Fragile):
        async def swap(self, key: str, old: bytes | None, new: bytes, ttl_s: int) -> bool:
            return False

    count = Counts()
    paced = gate(Leaky(MemoryPaceStore(time.monotonic)), count)
    with ask(paced, 0) as grant:
        assert await grant.wait(5)
    assert count["pace_store_lost"] > 0
    await paced.aclose()


async def test_two_first_workers_agree_on_one_marker() -> None:
    memory, count = MemoryPaceStore(time.monotonic), Counts()

    class Racing(Fragile):
        """The other worker makes the marker between our look and our attempt."""

        async def swap(self, key: str, old: bytes | None, new: bytes, ttl_s: int) -> bool:
            if key == MARKER and old is None:
                assert await memory.swap(key, None, bytes(16), ttl_s)
            return await super().swap(key, old, new, ttl_s)

    paced = gate(Racing(memory), count)
    await burst(paced)
    assert count == {}
    await paced.aclose()


async def test_who_left_before_the_look_is_not_charged() -> None:
    release = asyncio.Event()

    class Slow(Fragile):
        async def load(self, key: str) -> bytes | None:
            found = await super().load(key)
            await release.wait()
            return found

    store = Slow(MemoryPaceStore(time.monotonic))
    paced = gate(store)
    with ask(paced, 0, SLOW) as grant:
        await store.changed.wait()
    assert not grant.granted
    release.set()
    await asyncio.gather(*(lane.task for lane in paced._lanes.values() if lane.task is not None))
    with ask(paced, 1, SLOW) as grant:
        assert await grant.wait(5)
    with ask(paced, 0, SLOW) as grant:
        assert not grant.granted
    await paced.aclose()
