"""How many sessions of a viewer play at once (SECURITY T2): refused the newest, never who plays."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import httpx
import pytest
from redis.asyncio import Redis

from edge.deliver.limit_stores import PREFIX, MemoryLimitStore, RedisLimitStore
from edge.deliver.limits import LimitStore
from edge.deliver.pace_ledger import StoreLost
from edge.deliver.streams import COUNTERS, IDLE_S, Streams
from keys import Limits
from keys.leases import Lease
from keys.problems import Problem
from tests.edge.parts import MemoryKeys, World, until
from tests.support.eventually import eventually
from tests.support.pacing import Server

Connect = Callable[[], LimitStore]
SEGMENT = "720p/0.m4s"


# ---- the stores, one contract


async def test_places_are_one_number_for_all_edges_and_the_newcomer_gets_none(
    connect_limits: Connect,
) -> None:
    one, other = connect_limits(), connect_limits()
    assert await one.take("anna", "a", 2, 60, sure=False)
    assert await other.take("anna", "b", 2, 60, sure=False)
    assert not await one.take("anna", "c", 2, 60, sure=False)
    assert await other.take("anna", "a", 2, 60, sure=False), "who has a place keeps it, on any edge"
    assert await one.take("berta", "c", 2, 60, sure=False), "every viewer has places of his own"


async def test_of_many_who_begin_at_once_no_more_than_the_limit_get_a_place(connect_limits: Connect) -> None:
    stores = [connect_limits() for _ in range(4)]
    got = await asyncio.gather(*(stores[n % 4].take("anna", f"s{n}", 3, 60, sure=False) for n in range(16)))
    assert sum(got) == 3


async def test_a_place_nobody_kept_is_free_again(connect_limits: Connect) -> None:
    store = connect_limits()
    assert await store.take("anna", "a", 1, 0.2, sure=False)

    async def free() -> bool:
        return await store.take("anna", "b", 1, 0.2, sure=False)

    await eventually(free, within_s=20)
    assert not await store.take("anna", "a", 1, 60, sure=False)


async def test_a_place_given_back_is_free_at_once_but_not_by_turns(connect_limits: Connect) -> None:
    store = connect_limits()
    assert await store.take("anna", "a", 1, 60, sure=False)
    await store.leave("anna", "a", 60, "anna")
    assert await store.take("anna", "b", 1, 60, sure=False)
    assert not await store.take("anna", "a", 1, 60, sure=True), "who left has no claim"
    await store.leave("anna", "b", 60, "anna")
    assert not await store.take("anna", "c", 1, 60, sure=False), "so soon after the last, nobody leaves"


async def test_of_an_asset_each_viewer_may_give_a_place_back(connect_limits: Connect) -> None:
    store = connect_limits()
    for sid in ("a", "b"):
        assert await store.take("asset/film", sid, 2, 60, sure=False)
    await store.leave("asset/film", "a", 60, "anna")
    await store.leave("asset/film", "b", 60, "berta")
    for sid in ("a", "b"):
        assert await store.take("asset/film", sid, 2, 60, sure=True)
    await store.leave("asset/film", "a", 60, "anna")
    assert not await store.take("asset/film", "c", 2, 60, sure=False), "not by turns"


async def test_who_surely_has_a_place_keeps_it_in_a_store_that_forgot(connect_limits: Connect) -> None:
    store = connect_limits()
    assert await store.take("anna", "new", 1, 60, sure=False)
    assert await store.take("anna", "plays", 1, 60, sure=True)


async def test_f34_every_count_of_a_limit_has_an_end(control: Server) -> None:
    store = RedisLimitStore(control.url, timeout_s=5)
    await store.take("anna", "a", 1, 60, sure=False)
    await store.leave("anna", "a", 10, "anna")
    await store.take("anna", "b", 1, 60, sure=False)
    await store.spend("link", 5, 10, 0, 0)
    await store.turn("link", 5, 10**6)
    async with Redis.from_url(control.url) as client:
        keys = [key async for key in client.scan_iter()]
        assert len(keys) == 5 and all(key.startswith(PREFIX.encode()) for key in keys)
        assert all([await client.ttl(key) > 0 for key in keys])
    await store.aclose()


# ---- the worker


@dataclass
class Fragile:
    """A store that can be out of reach, and counts what it is asked."""

    store: MemoryLimitStore
    lost: bool = False
    asked: int = 0

    async def take(self, bucket: str, sid: str, most: int, idle_s: float, *, sure: bool) -> bool:
        self._ask()
        return await self.store.take(bucket, sid, most, idle_s, sure=sure)

    async def leave(self, bucket: str, sid: str, every_s: float, by: str) -> None:
        self._ask()
        await self.store.leave(bucket, sid, every_s, by)

    def _ask(self) -> None:
        self.asked += 1
        if self.lost:
            raise StoreLost("out of reach")


class Bench:
    """Two workers on one store, and a clock to turn."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.counted: Counter[str] = Counter()
        self.memory = MemoryLimitStore(lambda: self.now)
        self.stores = [Fragile(self.memory), Fragile(self.memory)]
        self.workers = [Streams(store, clock=lambda: self.now, count=self._count) for store in self.stores]

    def _count(self, name: str, by: int) -> None:
        assert name in COUNTERS
        self.counted[name] += by

    def lose(self, lost: bool) -> None:
        for store in self.stores:
            store.lost = lost

    async def plays(self, sid: str, worker: int = 0, *, begins: bool = False, most: int | None = 2) -> bool:
        """Whether a request of a session is answered."""
        try:
            await self.workers[worker].heartbeat(lease(sid, most), begins=begins)
        except Problem as problem:
            assert (problem.code, problem.limit) == ("limit", "streams")
            return False
        return True


def lease(sid: str, most: int | None = 2) -> Lease:
    return replace(MemoryKeys().lease_of("A" * 22), sid=sid, limits=Limits(streams=most))


async def test_t2_of_three_uses_at_a_limit_of_two_the_third_is_refused_at_its_first_request() -> None:
    bench = Bench()
    assert await bench.plays("a", 0, begins=True)
    assert await bench.plays("b", 1, begins=True)
    assert not await bench.plays("c", 0, begins=True)
    assert not await bench.plays("c", 1)
    for _ in range(20):
        bench.now += 4
        assert await bench.plays("a", 1)
        assert await bench.plays("b", 0)
        assert not await bench.plays("c", 0)
    assert bench.counted["streams_refused"] == 22


async def test_a_playing_session_asks_the_store_every_few_seconds_only() -> None:
    bench = Bench()
    for _ in range(100):
        await bench.plays("a")
        bench.now += 0.1
    assert bench.stores[0].asked <= 5
    for _ in range(100):
        await bench.plays("free", most=None)
    assert bench.stores[0].asked <= 5, "a session without a limit asks for nothing"


async def test_a_stream_that_stopped_frees_its_place_after_the_stated_time() -> None:
    bench = Bench()
    assert await bench.plays("a", most=1)
    bench.now += IDLE_S - 1
    assert not await bench.plays("b", most=1)
    bench.now += 1
    assert await bench.plays("b", most=1)
    assert not await bench.plays("a", most=1), "it begins anew, as any other"


async def test_an_answer_that_takes_long_keeps_the_place_of_its_session() -> None:
    bench = Bench()
    assert await bench.plays("a", most=1)
    with bench.workers[0].under_way(lease("a", 1)):
        for _ in range(20):
            bench.now += 5
            await bench.workers[0].renew()
        assert not await bench.plays("b", 1, most=1)
    bench.now += IDLE_S + 1
    await bench.workers[0].renew()
    assert await bench.plays("b", 1, most=1)


async def test_f9_without_the_store_who_plays_plays_on_and_nobody_begins() -> None:
    bench = Bench()
    assert await bench.plays("a") and await bench.plays("b")
    bench.lose(True)
    for _ in range(30):
        bench.now += 4
        assert await bench.plays("a", 0) and await bench.plays("b", 1), "on a worker that never saw it, too"
    with pytest.raises(Problem) as told:
        await bench.workers[0].heartbeat(lease("c"), begins=True)
    assert told.value.code == "unavailable"
    assert bench.counted["streams_store_lost"] > 0


async def test_f9_a_store_that_lost_everything_costs_nobody_his_place() -> None:
    bench = Bench()
    assert await bench.plays("a") and await bench.plays("b")
    bench.now += 4
    bench.memory._places.clear()
    assert await bench.plays("c", 1) and await bench.plays("d", 1), "nobody can know better yet"
    assert await bench.plays("a") and await bench.plays("b")
    assert not await bench.plays("e", 1)


async def test_a_player_that_says_it_stops_makes_room_at_once() -> None:
    bench = Bench()
    assert await bench.plays("a", most=1)
    await bench.workers[1].leave(lease("a", 1))
    assert await bench.plays("b", most=1)
    bench.lose(True)
    await bench.workers[1].leave(lease("b", 1))  # as good as silence


# ---- over a socket


async def test_t2_the_edge_refuses_the_newest_with_the_limit_named_and_plays_the_others(
    edge: World, client: httpx.AsyncClient
) -> None:
    edge.keys.limits = Limits(streams=2)
    bases = [edge.session(bytes([n] * 16)) for n in range(3)]
    answers = [await client.get(base + "main.m3u8") for base in bases]
    assert [answer.status_code for answer in answers] == [200, 200, 403]
    told = answers[2].json()
    assert (told["code"], told["limit"]) == ("limit", "streams")
    assert "as many devices as it may" in told["message"]
    for path in (SEGMENT, "720p/key/0", "720p/init.mp4", "720p/index.m3u8"):
        found = [(await client.get(base + path)).status_code for base in bases]
        assert found == [200, 200, 403], path


async def test_t2_an_asset_plays_in_as_many_sessions_as_it_may_whoever_asks(
    edge: World, client: httpx.AsyncClient
) -> None:
    edge.keys.asset_streams = 2
    bases = [edge.session(bytes([n] * 16)) for n in range(3)]
    answers = [await client.get(base + "main.m3u8") for base in bases]
    assert [answer.status_code for answer in answers] == [200, 200, 403]
    told = answers[2].json()
    assert (told["code"], told["limit"]) == ("limit", "asset")
    assert "As many people" in told["message"]
    assert edge.counted["asset_streams_refused"] == 1
    for path in (SEGMENT, "720p/key/0"):
        assert [(await client.get(base + path)).status_code for base in bases] == [200, 200, 403], path
    assert (await client.post(bases[0] + "leave")).status_code == 204
    assert [(await client.get(base + SEGMENT)).status_code for base in bases[::-1]] == [200, 200, 403]


async def test_who_is_refused_at_the_limit_of_an_asset_keeps_no_place_of_his_own(
    edge: World, client: httpx.AsyncClient
) -> None:
    edge.keys.limits, edge.keys.asset_streams = Limits(streams=2), 1
    first, second = (edge.session(bytes([n] * 16)) for n in range(2))
    assert (await client.get(first + SEGMENT)).status_code == 200
    assert (await client.get(second + SEGMENT)).json()["limit"] == "asset"
    edge.keys.asset_streams = None
    third = edge.session(bytes([2] * 16))
    assert (await client.get(third + SEGMENT)).status_code == 200, "the second place is free"


@pytest.mark.parametrize("first", ["aes/main.m3u8", "cbcs/main.m3u8", "cenc/main.mpd"])
async def test_f9_without_the_store_nobody_begins_whatever_he_asks_for_first(
    edge: World, client: httpx.AsyncClient, first: str
) -> None:
    edge.keys.limits = Limits(streams=1)
    edge.app._limits._streams._store = Fragile(MemoryLimitStore(lambda: 0.0), lost=True)
    answer = await client.get(edge.session().removesuffix("aes/") + first)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_a_beacon_of_the_player_frees_its_place(edge: World, client: httpx.AsyncClient) -> None:
    edge.keys.limits = Limits(streams=1)
    first, second = (edge.session(bytes([n] * 16)) for n in range(2))
    assert (await client.get(first + SEGMENT)).status_code == 200
    assert (await client.get(second + SEGMENT)).status_code == 403
    answer = await client.post(first + "leave")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["cache-control"] == "no-store"
    assert (await client.get(second + SEGMENT)).status_code == 200
    assert (await client.get(first + "leave")).status_code == 405
    assert (await client.post(first + SEGMENT)).status_code == 405
    stranger = first.replace("/film/", "/other/") + "leave"
    assert (await client.post(stranger)).status_code == 403


async def test_a_download_is_a_use_too(edge: World, client: httpx.AsyncClient) -> None:
    edge.keys.limits = Limits(streams=1)
    assert (await client.get(edge.session() + SEGMENT)).status_code == 200
    answer = await client.get(edge.download("clip.mp4", bytes([7] * 16)))
    assert (answer.status_code, answer.json()["limit"]) == (403, "streams")


async def test_a_segment_that_is_held_keeps_its_place(edge: World, client: httpx.AsyncClient) -> None:
    edge.keys.limits = Limits(streams=1)
    edge.gate.given.clear()
    held = asyncio.create_task(client.get(edge.session() + SEGMENT))
    await edge.gate.arrived.wait()
    places = edge.app._limits._streams._places
    assert [place.under_way for place in places.values()] == [1]
    edge.gate.given.set()
    assert (await held).status_code == 200
    await until(lambda: [place.under_way for place in places.values()] == [0])
