"""Segments wait for their pace: across workers, behind one another, and no longer than they must."""

import asyncio
import time

import pytest

from edge.deliver.pace import DRIPPING, PaceGate
from edge.deliver.pace_ledger import MARKER, PaceStore
from edge.deliver.pace_stores import MemoryPaceStore
from keys.pace import AHEAD, JUMP_REFILL, Pace
from keys.problems import Problem
from tests.support.pacing import PACE, SLOW, Connect, Counts, Fragile, ask, burst, gate


async def test_a_burst_passes_and_the_next_segment_is_held_until_it_is_due(connect: Connect) -> None:
    count = Counts()
    paced = gate(connect(), count)
    await burst(paced, SLOW)
    with ask(paced, 5, SLOW) as grant:
        assert not await grant.wait(0.01)
        assert not grant.granted
        assert not await grant.wait(0)  # and again, between the bytes of a trickle
    assert count["pace_waits"] == 1
    with ask(paced, 6, PACE) as grant:
        assert await grant.wait(5)
    await paced.aclose()


async def test_a_viewer_who_leaves_while_waiting_is_not_charged(connect: Connect) -> None:
    now = time.time()
    paced = gate(connect(), now=lambda: now)
    await burst(paced, SLOW)
    for _ in range(3):
        with ask(paced, 5, SLOW) as grant:
            assert not await grant.wait(0.01)

    async def stay() -> bool:
        with ask(paced, 5, SLOW) as grant:
            return await grant.wait(60)

    waiting = asyncio.create_task(stay())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    now += 40  # exactly one segment later
    with ask(paced, 6, SLOW) as grant:
        assert await grant.wait(5)
    await paced.aclose()


async def test_what_is_paid_is_granted_at_once_without_asking_the_store() -> None:
    store = Fragile(MemoryPaceStore(time.monotonic))
    paced = gate(store)
    await burst(paced, SLOW)
    asked = store.asked
    for number in range(5):
        assert ask(paced, number, SLOW).granted
    assert store.asked == asked
    await paced.aclose()


async def test_who_plays_on_asks_the_store_for_every_fourth_segment_and_pays_for_each() -> None:
    store, now, pace = Fragile(MemoryPaceStore(time.monotonic)), 1e9, Pace(burst_s=80, rate=1, jumps=0)
    paced = gate(store, now=lambda: now)

    async def play(number: int) -> bool:
        with paced.request("viewer", "video", pace, "film:1", number, 4.0, (4.0,) * AHEAD) as grant:
            return await grant.wait(0.1)

    assert await play(0)
    asked = store.asked
    for number in range(1, 1 + AHEAD):
        assert await play(number)
    assert store.asked == asked
    taken = 1 + AHEAD
    while await play(taken):
        taken += 1
    assert taken == 20, "the burst is what it was"
    await paced.aclose()


async def test_what_was_paid_at_another_edge_is_free_here_even_behind_one_that_waits(
    connect: Connect,
) -> None:
    here, there = gate(connect()), gate(connect())
    await burst(there, SLOW)
    with ask(here, 9, SLOW) as held, ask(here, 3, SLOW) as free:
        assert await free.wait(5)
        assert not held.granted
    await asyncio.gather(here.aclose(), there.aclose())


async def test_only_the_first_in_the_queue_asks_the_store() -> None:
    now = time.time()
    store = Fragile(MemoryPaceStore(time.monotonic))
    paced = gate(store, now=lambda: now)
    await burst(paced, SLOW)
    first = ask(paced, 5, SLOW)
    assert not await first.wait(0.01)
    asked = store.asked
    rest = [ask(paced, number, SLOW) for number in (6, 7, 6, 7)]
    assert not await rest[-1].wait(0.01)
    assert store.asked == asked
    await paced.aclose()
    assert not any(grant.granted for grant in [first, *rest])


async def test_t1_only_the_first_few_of_a_bucket_may_drip() -> None:
    paced = gate(MemoryPaceStore(time.monotonic))
    await burst(paced, SLOW)
    many = [ask(paced, 100 + number, SLOW) for number in range(3 * DRIPPING)]
    assert not await many[0].wait(0.01)
    assert [grant.may_drip() for grant in many] == [True] * DRIPPING + [False] * 2 * DRIPPING
    assert not many[-1].may_drip()
    many[3].cancel()
    assert many[-1].may_drip()  # a place is free again
    assert not many[-2].may_drip()
    with ask(paced, 1, SLOW) as paid:
        assert not paid.may_drip()
    await paced.aclose()


async def test_a_seek_passes_those_who_wait(connect: Connect) -> None:
    pace = Pace(burst_s=20, rate=0.1, jumps=1)
    now = time.time()
    paced = gate(connect(), now=lambda: now)
    await burst(paced, pace)
    with ask(paced, 5, pace) as held:
        assert not await held.wait(0.02)
        with ask(paced, 700, pace) as jumped:
            assert await jumped.wait(5)
    await paced.aclose()


async def test_buckets_of_viewers_and_of_sound_are_their_own(connect: Connect) -> None:
    paced = gate(connect())
    await burst(paced, SLOW)
    with (
        paced.request("viewer", "audio", SLOW, "film:1", 5, 4.0) as audio,
        ask(paced, 5, SLOW, bucket="b") as other,
    ):
        assert await audio.wait(5)
        assert await other.wait(5)
    await paced.aclose()


@pytest.mark.parametrize("sessions", [1, 8])
async def test_t1_all_that_one_link_gets_at_two_edges_is_within_the_bound(
    connect: Connect, sessions: int
) -> None:
    pace = Pace(burst_s=40, rate=400, jump_s=8, jumps=3)
    edges = [gate(connect()), gate(connect())]
    started, taken = time.time(), set()

    async def rip(session: int) -> None:
        for step in range(120 // sessions):
            number = step * sessions + session if step % 5 else 100_000 - step * sessions - session
            with ask(edges[(session + step) % 2], number, pace) as grant:
                assert await grant.wait(30)  # slowed, never refused
            taken.add(number)
            elapsed = time.time() - started
            assert 4 * len(taken) <= 40 + 8 * 3 + (400 + 8 * JUMP_REFILL) * elapsed + 1e-3

    await asyncio.gather(*(rip(session) for session in range(sessions)))
    await asyncio.gather(*(edge.aclose() for edge in edges))


async def test_watching_at_reading_pace_never_waits(connect: Connect) -> None:
    now, count = time.time(), Counts()
    paced = gate(connect(), count, now=lambda: now)
    for number in range(60):
        with ask(paced, number, Pace(burst_s=20, rate=2, jumps=0)) as grant:
            assert await grant.wait(5)
        now += 4.0
    assert count["pace_waits"] == 0
    await paced.aclose()


async def test_who_waits_at_the_end_hears_of_it_and_nobody_waits_after() -> None:
    paced = gate(MemoryPaceStore(time.monotonic))
    await burst(paced, SLOW)
    waiting = asyncio.create_task(ask(paced, 5, SLOW).wait(60))
    await asyncio.sleep(0)
    await paced.aclose()
    with pytest.raises(Problem, match="unavailable"):
        await waiting
    with pytest.raises(Problem, match="unavailable"):
        await ask(paced, 9, SLOW).wait(60)


async def test_a_fault_of_ours_ends_the_wait_and_not_the_gate() -> None:
    paced = gate(MemoryPaceStore(time.monotonic))
    with pytest.raises(ValueError, match="number"):
        await ask(paced, -1).wait(60)
    with ask(paced, 0) as grant:
        assert await grant.wait(5)
    await paced.aclose()


async def test_a_gate_remembers_no_more_buckets_than_its_limit() -> None:
    paced = PaceGate(MemoryPaceStore(time.monotonic), now=time.time, limit=4)
    held = ask(paced, 0, SLOW, bucket="viewer-0")
    for viewer in range(20):
        with ask(paced, 0, bucket=f"viewer-{viewer}") as grant:
            assert await grant.wait(5)
    assert held.granted
    assert len(paced._lanes) <= 4
    await paced.aclose()


async def test_who_comes_while_the_bucket_is_written_has_not_waited_for_the_pace() -> None:
    """Players ask for several segments at once; nobody was ever too early here."""
    count = Counts()
    store = Slow(MemoryPaceStore(time.monotonic))
    paced = gate(store, count)
    with ask(paced, 0) as first:
        await store.writing.wait()
        with ask(paced, 1) as second:
            store.written.set()
            assert await first.wait(5)
            assert await second.wait(5)
    assert count["pace_waits"] == 0
    await paced.aclose()


class Slow:
    """A store that writes buckets when it is told to."""

    def __init__(self, store: PaceStore) -> None:
        self._store = store
        self.writing, self.written = asyncio.Event(), asyncio.Event()

    async def load(self, key: str) -> bytes | None:
        return await self._store.load(key)

    async def swap(self, key: str, old: bytes | None, new: bytes, ttl_s: int) -> bool:
        if key != MARKER:
            self.writing.set()
            await self.written.wait()
        return await self._store.swap(key, old, new, ttl_s)
