"""Bytes of a link: no number of sessions stretches its budget, no number of connections its speed."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from edge.deliver.limit_stores import AHEAD_S, AT_ONCE_S, MemoryLimitStore
from edge.deliver.limits import LimitStore
from edge.deliver.meter import BLOCK, COUNTERS, LONGEST_S, Meter
from edge.deliver.pace_ledger import StoreLost
from keys import Limits
from keys.limits import SLOWEST
from keys.problems import Problem
from tests.edge.parts import FILES, MemoryKeys, World

Connect = Callable[[], LimitStore]


# ---- the stores, one contract


async def test_a_budget_is_one_number_for_all_edges(connect_limits: Connect) -> None:
    one, other = connect_limits(), connect_limits()
    assert await one.spend("link", 60, 100, 0, 0) == (True, 60)
    assert await other.spend("link", 41, 100, 0, 0) == (False, 60)
    assert await other.spend("link", 40, 100, 0, 0) == (True, 100)
    assert await one.spend("link", -30, 100, 60, 0) == (True, 70)
    assert await one.spend("link", 1, 100, 999, 20) == (True, 91), "what is held counts, and what is owed"
    assert await one.spend("other", 1, 100, 70, 5) == (True, 71), (
        "a store that forgot goes on from what is known"
    )
    assert await one.spend("other", -500, 100, 0, 0) == (True, 0)


async def test_of_many_who_spend_at_once_all_get_no_more_than_there_is(connect_limits: Connect) -> None:
    stores = [connect_limits() for _ in range(4)]
    had = await asyncio.gather(*(stores[n % 4].spend("link", 10, 75, 0, 0) for n in range(20)))
    assert sum(found for found, _ in had) == 7


async def test_turns_of_a_link_are_one_line_for_all_edges(connect_limits: Connect) -> None:
    one, other = connect_limits(), connect_limits()
    assert await one.turn("link", 1_000, 1_000) == 0, "a second's worth at once"
    first, second = await one.turn("link", 2_000, 1_000), await other.turn("link", 3_000, 1_000)
    assert 0 <= first <= 0.1 and 1 <= second <= 2.1
    assert await one.turn("link", 1, 1_000) <= AHEAD_S
    assert await other.turn("link", 1, 1_000) < 0 or second < 2, "nobody books far ahead"
    assert await other.turn("another", 1, 1_000) == 0


# ---- the worker


@dataclass
class Fragile(MemoryLimitStore):
    """A store that can be out of reach."""

    now: Callable[[], float]
    lost: bool = False

    def __post_init__(self) -> None:
        super().__init__(self.now)

    async def spend(self, link: str, size: int, budget: int, known: int, owed: int) -> tuple[bool, int]:
        self._ask()
        return await super().spend(link, size, budget, known, owed)

    async def turn(self, link: str, size: int, speed: int) -> float:
        self._ask()
        return await super().turn(link, size, speed)

    def _ask(self) -> None:
        if self.lost:
            raise StoreLost("out of reach")


@dataclass
class Bench:
    """Workers on one store and one clock, which goes on while they sleep."""

    now: float = 1000.0
    counted: Counter[str] = field(default_factory=Counter)
    sent: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = Fragile(self.clock)
        self.workers = [
            Meter(
                self.store,
                MemoryLimitStore(self.clock),
                clock=self.clock,
                count=self._count,
                sleep=self.sleep,
            )
            for _ in range(2)
        ]

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def _count(self, name: str, by: int) -> None:
        assert name in COUNTERS
        self.counted[name] += by

    async def send(self, message: Message) -> None:
        self.sent.append(bytes(message.get("body", b"")))

    async def answer(self, limits: Limits, size: int, worker: int = 0, *, sends: int | None = None) -> bool:
        """Whether an answer of so many bytes, of which `sends` go out, could begin and go on."""
        lease = replace(MemoryKeys().lease_of("A" * 22), limits=limits)
        sends = size if sends is None else sends
        try:
            async with self.workers[worker].measured(lease, self.send) as send:
                headers = [(b"content-length", str(size).encode())]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                for at in range(0, sends, 262_144):
                    part = bytes(min(262_144, sends - at))
                    more = at + len(part) < size
                    await send({"type": "http.response.body", "body": part, "more_body": more})
        except Problem as problem:
            assert (problem.code, problem.limit) == ("limit", "budget")
            return False
        return True


async def test_answers_within_the_budget_go_out_and_then_none_does() -> None:
    bench, limits = Bench(), Limits(budget=1000)
    assert await bench.answer(limits, 600)
    assert not await bench.answer(limits, 401, worker=1)
    assert await bench.answer(limits, 400, worker=1)
    assert not await bench.answer(limits, 1)
    assert await bench.answer(limits, 0), "a refusal without a body costs nothing"
    assert bench.counted["budgets_refused"] == 2


async def test_what_was_not_sent_is_given_back() -> None:
    bench, limits = Bench(), Limits(budget=2 * BLOCK)
    for _ in range(5):
        assert await bench.answer(limits, 2 * BLOCK, sends=1000)
    assert bench.store._spent.popitem()[1] == 5000


async def test_a_long_answer_stops_where_the_budget_ends() -> None:
    bench, limits = Bench(), Limits(budget=BLOCK + 1000)
    assert not await bench.answer(limits, 3 * BLOCK)
    assert sum(map(len, bench.sent)) == BLOCK


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 1), st.booleans()), max_size=30))
async def test_no_order_of_answers_and_losses_takes_more_than_each_worker_could_know(
    answers: list[tuple[int, int, bool]],
) -> None:
    bench, limits, alone = Bench(), Limits(budget=1000), 0
    for size, worker, lost in answers:
        bench.store.lost = lost
        bench.now += 2
        if await bench.answer(limits, size, worker):
            alone += size if lost else 0
    assert sum(map(len, bench.sent)) <= 1000 + alone


async def test_f9_what_was_spent_without_the_store_is_settled_when_it_is_back() -> None:
    bench, limits = Bench(), Limits(budget=1000)
    assert await bench.answer(limits, 300)
    bench.store.lost = True
    assert await bench.answer(limits, 300) and not await bench.answer(limits, 500)
    bench.store.lost = False
    bench.now += 2
    assert await bench.answer(limits, 100)
    assert not await bench.answer(limits, 301, worker=1)
    assert bench.counted["meter_store_lost"] == 1
    bench.store._spent.clear()
    assert not await bench.answer(limits, 301), "a store that forgot everything is told"


@pytest.mark.parametrize("lost", [False, True])
async def test_bytes_go_out_at_the_links_speed_whatever_the_store_does(lost: bool) -> None:
    bench, speed = Bench(), 100_000
    bench.store.lost = lost
    began = bench.now
    for _ in range(4):
        assert await bench.answer(Limits(speed=speed), 500_000)
    took = bench.now - began
    assert 2_000_000 / speed - AT_ONCE_S - 1 <= took <= 2_000_000 / speed
    assert max(map(len, bench.sent)) <= speed / 4, "smoothly"


async def test_two_connections_share_the_speed_of_their_link() -> None:
    bench = Bench()
    began = bench.now
    await asyncio.gather(*(bench.answer(Limits(speed=SLOWEST), SLOWEST * 10, n) for n in range(2)))
    assert bench.now - began >= 20 - AT_ONCE_S - 2


async def test_a_connection_too_many_for_the_speed_gives_up() -> None:
    bench = Bench()
    await bench.store.turn("link", SLOWEST * 1000, SLOWEST)

    async def sleep(seconds: float) -> None:
        bench.now += seconds / 100  # others take every turn

    bench.workers[0]._sleep = sleep
    began = bench.now
    with pytest.raises(Problem) as refused:
        await bench.workers[0].wait_for_turn("link", SLOWEST, SLOWEST)
    assert refused.value.code == "unavailable" and bench.now - began >= LONGEST_S


# ---- over a socket


async def test_segments_and_downloads_of_a_link_share_its_budget(
    edge: World, client: httpx.AsyncClient
) -> None:
    segment = edge.session() + "720p/0.m4s"
    size = len((await client.get(segment)).content)
    edge.keys.limits = Limits(budget=2 * size + FILES["clip.mp4"])
    async with AsyncExitStack() as stack:
        stack.callback(setattr, edge.keys, "limits", Limits())
        bases = [edge.session(bytes([n] * 16)) for n in (1, 2, 3)]
        for base in bases[:2]:
            assert (await client.get(base + "720p/0.m4s")).status_code == 200
        assert (await client.get(edge.download("clip.mp4", bytes([4] * 16)))).status_code == 200
        answer = await client.get(bases[2] + "720p/0.m4s")
        assert (answer.status_code, answer.json()["limit"]) == (403, "budget")
        answer = await client.get(edge.download("clip.mp4", bytes([4] * 16)))
        assert (answer.status_code, answer.json()["limit"]) == (403, "budget")
        for path in ("main.m3u8", "720p/index.m3u8", "720p/key/0", "720p/init.mp4"):
            assert (await client.get(bases[2] + path)).status_code == 200, "only media is counted"
        assert (await client.head(bases[2] + "720p/0.m4s")).status_code in (200, 403)


async def test_a_download_longer_than_the_budget_breaks_off_visibly(
    edge: World, client: httpx.AsyncClient
) -> None:
    edge.keys.limits = Limits(budget=FILES["film.mp4"] - 1)
    answer = await client.get(edge.download("film.mp4"))
    assert answer.status_code == 403, "one that could not be whole within one block does not begin"


async def test_a_slow_link_delivers_the_same_bytes(edge: World, client: httpx.AsyncClient) -> None:
    fast = (await client.get(edge.session() + "720p/5.m4s")).content
    edge.keys.limits = Limits(speed=10**6)
    slow = await client.get(edge.session(bytes([9] * 16)) + "audio/5.m4s")
    assert slow.status_code == 200 and len(slow.content) == len(fast)
    assert (await client.get(edge.download("film.mp4", bytes([8] * 16)))).content
