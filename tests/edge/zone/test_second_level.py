"""Several edges, one Redis: the origin is asked once for all, and nobody believes what lies in Redis (T20).

Each edge is a ZoneApp with a memory of its own, as a worker or another node has it.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from starlette.types import Send

from edge.cache.redis import RedisSlices
from edge.http.entry import PLAIN, Rules
from edge.http.partial import SLICE
from edge.zone.sealing import entry_name
from edge.zone.second_level import SecondLevel
from edge.zone.zone import Zone
from keys.purge import Purge
from keys.region_ring import RegionRing
from tests.edge.zone.test_serving import Clock, Origin, Seen, answer
from tests.support.large_origin import LargeOrigin, content
from tests.support.serving import served
from tests.support.zone_edge import ZoneEdge, edge_of

RING = RegionRing.of(bytes(range(32)), 0.0)
HOST = {"host": "films.example"}
FRESH = [(b"cache-control", b"max-age=60"), (b"etag", b'"1"')]
TOTAL = 6 * SLICE + 12_345


@dataclass
class Region:
    """Edges that share a Redis, and what they count together."""

    redis: Any
    stack: contextlib.AsyncExitStack
    clock: Clock = field(default_factory=Clock)
    counts: Counter[str] = field(default_factory=Counter)
    ring: Callable[[], RegionRing | None] = lambda: RING

    def level(self, url: str = "", **times: float) -> SecondLevel:
        """A worker's way to the second level."""
        patient = {"timeout_s": 2.0, "slice_timeout_s": 5.0} | times  # a busy machine is no dead Redis
        store = RedisSlices(url or self.redis.url, count=self.count, **patient)  # type: ignore[arg-type]
        self.stack.push_async_callback(store.close)

        def ring() -> RegionRing | None:
            return self.ring()

        return SecondLevel(
            store, ring, now=self.clock, clock=time.monotonic, count=lambda name, by, _: self.count(name, by)
        )

    async def edge(self, origin: str, *, rules: Rules = PLAIN, level: SecondLevel | None = None) -> ZoneEdge:
        """One more edge."""
        second = level or self.level()
        return await self.stack.enter_async_context(
            edge_of(origin, now=self.clock, second=second, rules=rules)
        )

    def count(self, name: str, by: int) -> None:
        self.counts[name] += by

    async def keys(self) -> dict[bytes, bytes]:
        """What is in Redis of zones, claims left out."""
        async with self.redis.client() as client:
            names = [key async for key in client.scan_iter(count=1000) if not key.startswith(b"sluice:z:c:")]
            return {name: await client.get(name) for name in names}

    async def stored(self, many: int) -> dict[bytes, bytes]:
        """The same, when there are so many."""
        async with asyncio.timeout(20):
            while len(found := await self.keys()) < many:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            return found


@pytest.fixture
async def region(redis_server: Any) -> AsyncIterator[Region]:
    async with contextlib.AsyncExitStack() as stack:
        yield Region(redis_server, stack)


async def get(edge: ZoneEdge, path: str = "/", **fields: str) -> httpx.Response:
    return await edge.client.get(path, headers=HOST | {n.replace("_", "-"): v for n, v in fields.items()})


async def test_what_one_edge_fetched_the_others_have(region: Region) -> None:
    origin = Origin(fields=FRESH, body=b"x" * 5000)
    async with served(origin) as url:
        one, two = await region.edge(url), await region.edge(url)
        first = await get(one, "/a?b=1")
        await region.stored(1)
        second, third = await get(two, "/a?b=1"), await get(two, "/a?b=1")
    assert (first.content, second.content, third.content) == (b"x" * 5000,) * 3
    assert "fwd=uri-miss; stored" in first.headers["cache-status"]
    assert "hit; ttl=" in second.headers["cache-status"] and "detail=l2" in second.headers["cache-status"]
    assert "detail" not in third.headers["cache-status"]
    assert second.headers["age"] and second.headers["etag"] == '"1"'
    assert len(origin.seen) == 1 and region.counts["zone_l2_hits"] == 1


async def test_f19_of_a_herd_at_many_edges_one_asks_the_origin(region: Region) -> None:
    gate = asyncio.Event()

    async def slowly(origin: Origin, seen: Seen, send: Send) -> None:
        await gate.wait()
        await answer(send, 200, FRESH, b"y" * 300_000)

    origin = Origin(give=slowly)
    async with served(origin) as url:
        edges = [await region.edge(url) for _ in range(4)]
        waiting = [asyncio.create_task(get(edge)) for edge in edges * 10]
        while not origin.seen:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        gate.set()
        answers = await asyncio.gather(*waiting)
    assert {(each.status_code, each.content) for each in answers} == {(200, b"y" * 300_000)}
    assert len(origin.seen) == 1


async def test_f19_a_large_cold_object_over_three_edges_costs_its_slices_once(region: Region) -> None:
    origin = LargeOrigin(TOTAL)
    async with origin.served() as url:
        edges = [await region.edge(url) for _ in range(3)]
        answers = await asyncio.gather(*(get(edge) for edge in edges * 4))
    assert {each.content == content(0, TOTAL) for each in answers} == {True}
    assert origin.sent <= TOTAL + 2 * SLICE, "not more than a slice of the lead may be asked for twice"
    assert len(origin.asked) <= 7


async def test_slices_flow_to_other_edges_while_the_fill_runs(region: Region) -> None:
    gate = asyncio.Event()

    async def before(start: int) -> None:
        if start >= 4 * SLICE:
            await gate.wait()

    origin = LargeOrigin(TOTAL, before=before)
    async with origin.served() as url:
        one, two = await region.edge(url), await region.edge(url)
        first = asyncio.create_task(get(one))
        await region.stored(3)
        async with two.client.stream("GET", "/", headers=HOST) as reading:
            got = b""
            async for piece in reading.aiter_raw():
                got += piece
                if len(got) >= 3 * SLICE:
                    gate.set()
        assert (await first).content == got == content(0, TOTAL)
    assert region.counts["zone_l2_slices"] >= 3
    assert len(origin.asked) <= 2


async def test_a_range_of_a_large_object_comes_from_slices_others_have(region: Region) -> None:
    origin = LargeOrigin(TOTAL)
    async with origin.served() as url:
        one, two = await region.edge(url), await region.edge(url)
        await get(one)
        await region.stored(8)
        before = origin.sent
        found = await get(two, range=f"bytes={2 * SLICE + 5}-{2 * SLICE + 9}")
    assert (found.status_code, found.content) == (206, content(2 * SLICE + 5, 2 * SLICE + 10))
    assert origin.sent == before


async def test_holes_are_refilled_never_padded(region: Region) -> None:
    origin = LargeOrigin(TOTAL)
    async with origin.served() as url:
        one, two = await region.edge(url), await region.edge(url)
        await get(one)
        found = await region.stored(8)
        async with region.redis.client() as client:
            for name in found:
                if name.endswith((b"/1", b"/4")):
                    await client.delete(name)
        assert (await get(two)).content == content(0, TOTAL)
    ranges = [f"bytes={index * SLICE}-{(index + 1) * SLICE - 1}" for index in (1, 4)]
    assert origin.ranges_asked == [None, *ranges]


async def test_answers_that_are_nobody_elses_never_queue_at_any_edge(region: Region) -> None:
    gate, arrived = asyncio.Event(), asyncio.Event()

    async def slowly(origin: Origin, seen: Seen, send: Send) -> None:
        if seen.target == "/private" and len(origin.seen) > 1:
            if len(origin.seen) == 4:
                arrived.set()
            await gate.wait()
        await answer(send, 200, [(b"cache-control", b"private")], b"mine")

    origin = Origin(give=slowly)
    async with served(origin) as url:
        edges = [await region.edge(url) for _ in range(3)]
        await get(edges[0], "/private")
        await asyncio.sleep(0.3)  # what was learnt of it is told
        waiting = [asyncio.create_task(get(edge, "/private")) for edge in edges]
        async with asyncio.timeout(20):
            await arrived.wait()
        gate.set()
        assert {each.text for each in await asyncio.gather(*waiting)} == {"mine"}
    assert await region.keys() == {}


async def test_for_what_comes_slowly_other_edges_do_not_wait_till_it_is_whole(region: Region) -> None:
    gate = asyncio.Event()

    async def slowly(origin: Origin, seen: Seen, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": FRESH})
        await send({"type": "http.response.body", "body": b"first ", "more_body": True})
        if len(origin.seen) == 1:
            await gate.wait()
        await send({"type": "http.response.body", "body": b"last"})

    origin = Origin(give=slowly)
    async with served(origin) as url:
        one, two = await region.edge(url), await region.edge(url)
        waiting = asyncio.create_task(get(one))
        while not origin.seen:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert (await get(two)).text == "first last", "before the first is whole"
        gate.set()
        assert (await waiting).text == "first last"


async def test_f7_when_the_origin_has_another_edition_what_is_in_redis_of_the_old_is_left(
    region: Region,
) -> None:
    origin = LargeOrigin(TOTAL)
    async with origin.served() as url:
        await get(await region.edge(url))
        found = await region.stored(8)
        async with region.redis.client() as client:
            for name in found:
                if name.endswith((b"/0", b"/3")):
                    await client.delete(name)
        origin.edition = 2
        two, three = await region.edge(url), await region.edge(url)
        assert (await get(two)).content == content(0, TOTAL, 2)
        await region.stored(13)
        before = len(origin.asked)
        assert (await get(three)).content == content(0, TOTAL, 2)
        assert len(origin.asked) == before


async def test_variants_are_kept_apart(region: Region) -> None:
    async def speak(origin: Origin, seen: Seen, send: Send) -> None:
        language = seen.fields.get("accept-language", "none")
        await answer(send, 200, [*FRESH, (b"vary", b"accept-language")], language.encode())

    origin = Origin(give=speak)
    async with served(origin) as url:
        one, two = await region.edge(url), await region.edge(url)
        for language in ("de", "fr"):
            assert (await get(one, accept_language=language)).text == language
        await region.stored(3)
        for language in ("fr", "de"):
            assert (await get(two, accept_language=language)).text == language
        assert len(origin.seen) == 2
        assert (await get(two, accept_language="it")).text == "it"
    assert len(origin.seen) == 3


async def test_what_was_renewed_by_one_is_fresh_for_all(region: Region) -> None:
    async def renew(origin: Origin, seen: Seen, send: Send) -> None:
        await answer(send, 304 if "if-none-match" in seen.fields else 200, FRESH, b"hello")

    origin = Origin(give=renew)
    async with served(origin) as url:
        one, two = await region.edge(url), await region.edge(url)
        region.clock.ahead = -61  # so that what is renewed is of now, as its Date says
        await get(one)
        before = await region.stored(1)
        await get(two)
        region.clock.ahead = 0
        assert "fwd-status=304" in (await get(one)).headers["cache-status"]
        async with asyncio.timeout(20):
            while await region.keys() in (before, {}):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        second = await get(two)
    assert "detail=l2" in second.headers["cache-status"] and int(second.headers["age"]) < 30
    assert [seen.fields.get("if-none-match") for seen in origin.seen] == [None, '"1"']


@pytest.mark.parametrize("status", [200, 304])
async def test_what_may_not_be_kept_any_more_goes_from_redis_too(region: Region, status: int) -> None:
    swr = b"max-age=60, stale-while-revalidate=600"

    async def give(origin: Origin, seen: Seen, send: Send) -> None:
        if len(origin.seen) == 1:
            await answer(send, 200, [(b"cache-control", swr), (b"etag", b'"1"')], b"everybody's")
        else:
            await answer(send, status, [(b"cache-control", b"private"), (b"etag", b'"1"')], b"mine")

    origin = Origin(give=give)
    async with served(origin) as url:
        region.clock.ahead = -61
        one, two = await region.edge(url), await region.edge(url)
        await get(one)
        await region.stored(1)
        region.clock.ahead = 0
        assert (await get(one)).text == "everybody's", "while it is renewed"
        async with asyncio.timeout(20):
            while await region.keys():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        found = await get(two)
    assert "detail=l2" not in found.headers["cache-status"]


async def test_an_unsafe_request_takes_it_from_redis_as_well(region: Region) -> None:
    origin = Origin(fields=FRESH)
    async with served(origin) as url:
        one, two = await region.edge(url), await region.edge(url)
        await get(one)
        await region.stored(1)
        await one.client.post("/", headers=HOST, content=b"new")
        async with asyncio.timeout(20):
            while await region.keys():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await get(two)
    assert [seen.method for seen in origin.seen] == ["GET", "POST", "GET"]


@pytest.mark.parametrize("kind", ["url", "prefix", "key", "zone"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("ahead_s", [0.0, 4.0])
async def test_what_was_purged_does_not_come_back_from_redis(
    region: Region, kind: str, soft: bool, ahead_s: float
) -> None:
    origin = Origin(fields=[*FRESH, (b"surrogate-key", b"red")], body=b"old")
    value = {"url": "/a", "prefix": "/", "key": "red", "zone": ""}[kind]
    async with served(origin) as url:
        one, two = await region.edge(url), await region.edge(url)
        region.clock.ahead = ahead_s  # the clock of who fetched
        assert (await get(one, "/a")).content == b"old"
        await region.stored(1)
        region.clock.ahead = 0.0
        origin.body, origin.fields[1] = b"new", (b"etag", b'"2"')
        await two.app.purge([Purge(1, "films.example", kind, value, soft=soft)])
        assert [(await get(two, "/a")).content for _ in range(2)] == [b"new", b"new"]
        assert len(origin.seen) == 2


async def test_keys_live_as_long_as_what_they_hold_is_of_use_and_a_day_at_most(region: Region) -> None:
    lives = {"/a": b"max-age=60", "/b": b"max-age=10, stale-while-revalidate=20", "/c": b"max-age=9999999"}

    async def give(origin: Origin, seen: Seen, send: Send) -> None:
        path = seen.target
        said = b"no-cache" if path == "/d" else b"no-store" if path == "/e" else lives[path]
        await answer(send, 200, [(b"cache-control", said), (b"etag", b'"1"')], path.encode())

    async with served(Origin(give=give)) as url:
        edge = await region.edge(url)
        for path in (*lives, "/d", "/e"):
            assert (await get(edge, path)).text == path
        names = await region.stored(3)
        async with region.redis.client() as client:
            ttls = sorted([await client.ttl(name) for name in names])
    assert len(names) == 3
    assert 50 < ttls[1] <= 60 and 20 < ttls[0] <= 30 and 86_000 < ttls[2] <= 86_400


async def test_t20_redis_holds_no_plain_byte_of_a_zone(region: Region) -> None:
    body = os.urandom(3000)
    origin = Origin(fields=[*FRESH, (b"x-secret", b"planted-canary")], body=body)
    async with served(origin) as url:
        await get(await region.edge(url), "/secret-path")
        found = await region.stored(1)
    for name, value in found.items():
        assert all(body[at : at + 16] not in value for at in range(0, 2900, 100))
        assert b"canary" not in value and b"secret" not in name + value


@pytest.mark.parametrize(
    "lie", ["flipped", "cut", "longer", "empty", "random", "swapped", "of another URI", "old"]
)
async def test_f15_t20_poisoned_entries_are_detected_counted_and_fetched_again(
    region: Region, lie: str
) -> None:
    origin = Origin(fields=FRESH, body=b"right")
    async with served(origin) as url:
        one = await region.edge(url)
        await get(one, "/a")
        (name,) = await region.stored(1)
        await get(one, "/b")
        found = await region.stored(2)
        good = found.pop(name)
        (other,) = found.values()
        lies = {
            "flipped": good[:50] + bytes([good[50] ^ 1]) + good[51:],
            "cut": good[:-1],
            "longer": good + b"x",
            "empty": b"",
            "random": os.urandom(len(good)),
            "swapped": other,
            "of another URI": other,
            "old": good,
        }
        async with region.redis.client() as client:
            for each in found:
                await client.set(each, good if lie == "swapped" else found[each])
            await client.set(name, lies[lie])
        region.clock.ahead = 61 if lie == "old" else 0
        two = await region.edge(url)
        assert (await get(two, "/a")).text == "right"
    assert len(origin.seen) == 3
    assert region.counts["zone_l2_bad"] == (0 if lie == "old" else 1), (
        "an old one is bounded by its freshness"
    )
    assert region.counts["zone_l2_hits"] == 0


@pytest.mark.parametrize("lie", ["flipped", "cut", "swapped", "random", "of another edition"])
async def test_f15_t20_poisoned_slices_are_detected_counted_and_fetched_again(
    region: Region, lie: str
) -> None:
    origin = LargeOrigin(TOTAL)
    async with origin.served() as url:
        await get(await region.edge(url))
        found = await region.stored(8)
        slices = {name: value for name, value in found.items() if b":z:s:" in name}
        assert len(slices) == 7
        by_index = {int(name.rpartition(b"/")[2]): name for name in slices}
        if lie == "of another edition":
            other = await region.edge(url)
            origin.edition = 2
            await get(other, "/other")
            later = await region.stored(16)
            swapped = {
                int(n.rpartition(b"/")[2]): v for n, v in later.items() if b":z:s:" in n and n not in found
            }
            origin.edition = 1
        async with region.redis.client() as client:
            for index, name in by_index.items():
                good = slices[name]
                bad = {
                    "flipped": good[:99] + bytes([good[99] ^ 1]) + good[100:],
                    "cut": good[:-1],
                    "swapped": slices[by_index[(index + 1) % 7]],
                    "random": os.urandom(len(good)),
                    "of another edition": swapped[index] if lie == "of another edition" else b"",
                }[lie]
                await client.set(name, bad)
        assert (await get(await region.edge(url))).content == content(0, TOTAL)
    assert region.counts["zone_l2_bad"] >= 1
    assert region.counts["zone_l2_slices"] == 0 or region.counts["zone_l2_bad"] >= 1


async def test_what_needs_a_newer_key_is_a_miss_left_alone_and_told(region: Region) -> None:
    told = asyncio.Event()
    origin = Origin(fields=FRESH)
    async with served(origin) as url:
        one = await region.edge(url)
        ring, region.ring = region.ring, lambda: RING.rotated(bytes(32), time.time())
        await get(one)
        before = await region.stored(1)
        region.ring = ring
        level = region.level()
        level._newer = told.set
        two = await region.edge(url, level=level)
        assert (await get(two)).text == "hello"
    assert told.is_set() and region.counts["zone_l2_bad"] >= 1
    assert set(await region.keys()) == set(before) and len(origin.seen) == 2


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
async def test_f9_f10_without_redis_every_edge_is_for_itself(region: Region, fault: signal.Signals) -> None:
    origin = Origin(fields=FRESH)
    async with served(origin) as url:
        edges = [
            await region.edge(url, level=region.level(timeout_s=0.1, slice_timeout_s=0.25)) for _ in range(2)
        ]
        await get(edges[0], "/before")
        region.redis.signal(fault)
        answers = await asyncio.gather(*(get(edge, f"/{n}") for edge in edges for n in range(8)))
        region.redis.signal(signal.SIGCONT)
    assert {each.status_code for each in answers} == {200}
    assert len(origin.seen) == 1 + 16


async def test_f14_who_is_cut_off_asks_once_more(region: Region) -> None:
    if region.redis.servers > 1:
        pytest.skip("tests/edge/cache/test_redis_cluster.py cuts off a cluster")
    origin = LargeOrigin(TOTAL)
    async with origin.served() as url:
        level = region.level("redis://127.0.0.1:1", timeout_s=0.1, slice_timeout_s=0.25)
        edges = [await region.edge(url), await region.edge(url), await region.edge(url, level=level)]
        answers = await asyncio.gather(*(get(edge) for edge in edges * 3))
    assert {each.content == content(0, TOTAL) for each in answers} == {True}
    assert origin.sent <= 2 * TOTAL + 2 * SLICE


async def test_f16_when_the_holder_of_a_turn_dies_another_takes_it(region: Region) -> None:
    origin = Origin(fields=FRESH)
    async with served(origin) as url:
        edge = await region.edge(url)
        store = RedisSlices(region.redis.url, timeout_s=2.0)
        assert await store.claim(
            f"z:c:{entry_name(Zone.parse(f'/={url}'), 'http://films.example/')}", b"who died", 1500
        )
        assert (await get(edge)).text == "hello"
        await store.close()
    assert len(origin.seen) == 1


async def test_without_a_region_key_nothing_is_shared_and_all_is_served(region: Region) -> None:
    region.ring = lambda: None
    origin = Origin(fields=FRESH)
    async with served(origin) as url:
        one, two = await region.edge(url), await region.edge(url)
        assert [(await get(edge)).text for edge in (one, two)] == ["hello"] * 2
    assert len(origin.seen) == 2 and await region.keys() == {}


async def test_after_a_rotation_what_was_sealed_before_is_still_of_use(region: Region) -> None:
    origin = Origin(fields=FRESH)
    async with served(origin) as url:
        one, two = await region.edge(url), await region.edge(url)
        await get(one)
        await region.stored(1)
        ring = RING.rotated(bytes(32), time.time())
        region.ring = lambda: ring
        await get(two)
    assert len(origin.seen) == 1


async def test_slices_that_were_purged_do_not_come_back_from_redis(region: Region) -> None:
    """Nor under the validator they had: what was wrong in them may be why they were purged."""
    origin = LargeOrigin(TOTAL, fields={"cache-control": "max-age=600", "surrogate-key": "red"})
    last = {"range": f"bytes={TOTAL - 99}-{TOTAL - 1}"}
    async with origin.served() as url:
        one, two = await region.edge(url), await region.edge(url)
        await get(one, "/a")
        await region.stored(8)
        assert (await get(two, "/a", **last)).content == content(TOTAL - 99, TOTAL)
        purge = Purge(1, "films.example", "key", "red", soft=False)
        for edge in (one, two):
            await edge.app.purge([purge])
        origin.same_tag, origin.edition = True, 2
        for ahead_s, edge in ((1.0, two), (10.0, one)):  # at once, and when all edges have heard of it
            region.clock.ahead = ahead_s
            assert (await get(edge, "/a", range="bytes=0-9")).content == content(0, 10, 2)
            assert (await get(edge, "/a", **last)).content == content(TOTAL - 99, TOTAL, 2)
        two.app.store.remove(two.app.store.get("http://films.example/a")[0])
        await region.stored(8)
        asked, region.clock.ahead = len(origin.asked), 20.0
        assert (await get(two, "/a", **last)).content == content(TOTAL - 99, TOTAL, 2)
        assert len(origin.asked) == asked, "what was fetched since is shared"


async def test_slices_that_were_asked_for_before_a_purge_are_not_stored_after_it(region: Region) -> None:
    go, half = asyncio.Event(), asyncio.Event()

    async def before(at: int) -> None:
        if at >= 2 * SLICE:
            half.set()
            await go.wait()

    origin = LargeOrigin(TOTAL, before=before)
    async with origin.served() as url:
        edge = await region.edge(url)
        taking = asyncio.create_task(get(edge, "/a"))
        await half.wait()
        await region.stored(3)
        await edge.app.purge([Purge(1, "films.example", "url", "/a", soft=False)])
        go.set()
        assert (await taking).content == content(0, TOTAL)
        await asyncio.gather(*edge.app._filling._tasks)
        assert len(await region.keys()) <= 3
