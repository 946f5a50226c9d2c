"""F1, F2, F6, F32 on zones: origins that are away, swallowed, or in trouble, with and without another one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from edge.cache.breaker import SharedOutage
from edge.zone.health import LIMIT, PAUSE_S
from edge.zone.origins import FAILOVER_S
from edge.zone.upstream import CONNECT_S, Asked, Reply, Upstream
from edge.zone.zone import FIRST_BYTE_S, Origin, Zone
from tests.support.proxy import Proxy
from tests.support.serving import eventually, served
from tests.support.zone_origins import Edge, Stub, edge_of, port_of, refusing, swallowing

pytestmark = pytest.mark.heavy

STALE = [(b"cache-control", b"max-age=1, stale-if-error=86400"), (b"etag", b'"1"')]


@dataclass
class World:
    """Two origins behind proxies, and an edge in front of both."""

    edge: Edge
    first: Stub
    second: Stub
    proxies: tuple[Proxy, Proxy]


async def entered(stack: AsyncExitStack, count: int, first_byte_s: float = 2.0) -> World:
    stubs = Stub(), Stub()
    urls = [await stack.enter_async_context(served(stub)) for stub in stubs]
    proxies = [stack.enter_context(Proxy(("127.0.0.1", port_of(url)))) for url in urls]
    zone = replace(
        Zone.parse("/=" + ",".join(proxy.url for proxy in proxies[:count])), first_byte_s=first_byte_s
    )
    edge = await stack.enter_async_context(edge_of([zone]))
    return World(edge, *stubs, (proxies[0], proxies[1]))


@pytest.fixture
async def alone() -> AsyncIterator[World]:
    """A zone with one origin."""
    async with AsyncExitStack() as stack:
        yield await entered(stack, 1)


@pytest.fixture
async def pair() -> AsyncIterator[World]:
    """A zone with two origins."""
    async with AsyncExitStack() as stack:
        yield await entered(stack, 2)


def test_f2_the_limits_are_those_that_are_promised() -> None:
    assert (CONNECT_S, FIRST_BYTE_S, FAILOVER_S) == (2.0, 5.0, 3.0)
    assert (LIMIT, PAUSE_S) == (5, 5.0)


@pytest.mark.parametrize("how", ["refuse", "hang"])
async def test_f1_all_that_is_cached_is_served_and_a_dead_origin_sees_one_probe_a_pause(
    alone: World, how: str
) -> None:
    edge, proxy = alone.edge, alone.proxies[0]
    alone.first.fields = STALE
    for number in range(30):
        assert (await edge.get(f"/{number}")).status_code == 200
    before = len(proxy.asked)
    edge.clock.ahead = 100  # all of it is stale now
    if how == "refuse":
        proxy.refuse()
    else:
        proxy.blackhole = True
    for number in range(LIMIT):  # the breaker opens
        assert (await edge.get(f"/{number}")).text == "hello"
    assert edge.counts["zone_breaker_open"] == 1
    tries = edge.counts["zone_origin_requests"]
    for number in range(60):
        got = await edge.get(f"/{number % 30}")
        assert (got.status_code, got.text) == (200, "hello")
        assert int(got.headers["age"]) >= 100 and "edge-a; fwd=stale" in got.headers["cache-status"]
    assert edge.counts["zone_origin_requests"] == tries, "an origin that is away is left alone"
    for pause in range(1, 4):
        edge.monotonic.ahead = pause * (PAUSE_S + 0.1)
        for number in range(20):
            assert (await edge.get(f"/{number}")).text == "hello"
        assert edge.counts["zone_origin_requests"] == tries + pause, "one probe a pause"
    assert len(proxy.asked) == before, "and nothing of it came through"
    proxy.heal()
    proxy.drop()
    edge.monotonic.ahead += PAUSE_S + 0.1
    again = await edge.get("/0")
    assert again.status_code == 200 and "fwd=stale; stored" in again.headers["cache-status"]
    assert "stored" in (await edge.get("/1")).headers["cache-status"], "and everybody is let through again"


async def test_f2_a_patient_zone_does_not_let_those_wait_who_can_have_something_stale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge.zone.origins.FIRST_BYTE_S", 1.0)
    async with AsyncExitStack() as stack:
        world = await entered(stack, 1, first_byte_s=3600)
        world.first.fields = STALE
        assert (await world.edge.get("/a")).status_code == 200
        world.edge.clock.ahead = 100
        world.proxies[0].blackhole = True
        async with asyncio.timeout(60):
            got = await world.edge.get("/a")
        assert got.text == "hello" and "fwd=stale" in got.headers["cache-status"]


async def test_f1_those_who_come_together_send_one_probe(alone: World) -> None:
    edge, proxy = alone.edge, alone.proxies[0]
    proxy.refuse()
    for number in range(LIMIT):
        await edge.get(f"/{number}")
    tries = edge.counts["zone_origin_requests"]
    edge.monotonic.ahead = PAUSE_S + 0.1
    await asyncio.gather(*(edge.get(f"/together/{number}") for number in range(50)))
    assert edge.counts["zone_origin_requests"] == tries + 1


async def test_f1_the_workers_of_an_edge_send_one_probe_between_them(tmp_path: Path) -> None:
    def outage(origin: Origin) -> SharedOutage:
        return SharedOutage(tmp_path / f"{origin.port}.outage")

    stub = Stub(fields=[])
    async with served(stub) as url:
        with Proxy(("127.0.0.1", port_of(url))) as proxy:
            zone = Zone.parse(f"/={proxy.url}")
            async with edge_of([zone], outage=outage) as one, edge_of([zone], outage=outage) as two:
                proxy.refuse()
                for worker in (one, two):
                    for number in range(LIMIT):
                        await worker.get(f"/{number}")
                for worker in (one, two):
                    worker.monotonic.ahead = PAUSE_S + 0.1
                    for number in range(10):
                        await worker.get(f"/{number}")
                tried = one.counts["zone_origin_requests"] + two.counts["zone_origin_requests"]
                assert tried == 2 * LIMIT + 1
                proxy.accept()
                for worker in (one, two):
                    worker.monotonic.ahead = 2 * (PAUSE_S + 0.1)
                    assert (await worker.get("/")).status_code == 200, "one was answered: both ask again"


async def test_f2_a_refusing_origin_is_a_502_then_a_503_and_harms_no_other_zone() -> None:
    other = Stub()
    async with served(other) as url:
        with refusing() as refused:
            async with edge_of([Zone.parse(f"/={refused}"), Zone.parse(f"/well/={url}")]) as edge:
                for number in range(LIMIT):
                    got = await edge.get(f"/{number}")
                    assert got.status_code == 502 and int(got.headers["retry-after"]) > 0
                    assert got.headers["proxy-status"] == "edge-a; error=connection_refused"
                for number in range(20):
                    got = await edge.get(f"/{number}")
                    assert got.status_code == 503 and 0 < int(got.headers["retry-after"]) <= PAUSE_S
                    assert got.headers["proxy-status"] == "edge-a; error=destination_unavailable"
                    assert (await edge.get(f"/well/{number}")).status_code == 200
                assert edge.counts["zone_origin_requests"] == LIMIT + 20
                assert edge.counts["zone_unavailable"] == 20


async def test_f2_an_origin_in_a_black_hole_is_a_504_and_takes_nobody_elses_connections() -> None:
    other = Stub()
    async with served(other) as url:
        with swallowing() as hole:
            async with edge_of([Zone.parse(f"/={hole}"), Zone.parse(f"/well/={url}")]) as edge:
                waiting = [asyncio.create_task(edge.get(f"/{number}")) for number in range(40)]
                await eventually(lambda: edge.counts["zone_origin_requests"] >= 40)
                assert (await edge.get("/well/")).status_code == 200
                assert not any(each.done() for each in waiting), "the others were served meanwhile"
                for got in await asyncio.gather(*waiting):
                    assert got.status_code == 504 and int(got.headers["retry-after"]) > 0
                    assert got.headers["proxy-status"] == "edge-a; error=connection_timeout"
                assert (await edge.get("/")).status_code == 503


async def test_f2_an_origin_that_takes_requests_and_answers_none_is_a_504(alone: World) -> None:
    alone.proxies[0].blackhole = True
    for number in range(LIMIT):
        got = await alone.edge.get(f"/{number}")
        assert got.status_code == 504 and int(got.headers["retry-after"]) > 0
        assert got.headers["proxy-status"] == "edge-a; error=http_response_timeout"
    assert (await alone.edge.get("/")).status_code == 503
    assert alone.first.asked == []


async def test_f2_those_who_wait_together_learn_together_that_there_is_no_answer(alone: World) -> None:
    alone.proxies[0].blackhole = True
    answers = await asyncio.gather(*(alone.edge.get("/same") for _ in range(50)))
    assert {got.status_code for got in answers} == {504}
    assert alone.edge.counts["zone_origin_requests"] == 1


class Recording(Upstream):
    """Connections as ever; remembers how long each was allowed to take."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: list[float] = []

    async def ask(self, origin: Origin, asked: Asked, **limits: Any) -> Reply:
        self.limits.append(limits["connect_s"])
        return await super().ask(origin, asked, **limits)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_f32_what_cannot_be_reached_is_passed_over_within_the_limit(method: str) -> None:
    stub = Stub(fields=[])
    async with served(stub) as url:
        with swallowing() as hole, refusing() as refused:
            zone = Zone.parse(f"/={hole},{refused},{url}")
            upstream = Recording()
            async with edge_of([zone], upstream) as edge:
                got = await edge.client.request(method, "/a", content=b"x" if method == "POST" else None)
                assert got.status_code == 200
                assert len(upstream.limits) == 3 and sum(upstream.limits) <= FAILOVER_S
                assert stub.asked == [f"{method} /a"]
                assert edge.counts["zone_failovers"] == 2 and not edge.counts["zone_retries"]


async def test_f32_a_cut_between_regions_costs_no_request_and_ends_well(pair: World) -> None:
    edge, (near, far) = pair.edge, pair.proxies
    far.delay_s = 0.1  # each way
    assert (await edge.get("/local")).status_code == 200
    near.refuse()
    for number in range(40):
        assert (await edge.get(f"/{number}")).status_code == 200
        assert "hit" in (await edge.get("/local")).headers["cache-status"]
    assert len(pair.second.asked) == 40 and edge.counts["zone_failovers"] == LIMIT
    near.heal()
    edge.monotonic.ahead = PAUSE_S + 0.1
    before = len(pair.first.asked)
    for number in range(10):
        assert (await edge.get(f"/later/{number}")).status_code == 200
    assert len(pair.first.asked) == before + 10, "it is asked first again"


async def test_f32_origins_of_which_none_is_there_are_each_tried_once(pair: World) -> None:
    for proxy in pair.proxies:
        proxy.refuse()
    got = await pair.edge.get("/")
    assert got.status_code == 502 and pair.edge.counts["zone_origin_requests"] == 2


async def test_f32_an_origin_that_hangs_is_passed_over_for_what_may_be_sent_twice(pair: World) -> None:
    pair.proxies[0].blackhole = True
    assert (await pair.edge.get("/a")).status_code == 200
    got = await pair.edge.client.head("/b")
    assert got.status_code == 200
    assert pair.second.asked == ["GET /a", "HEAD /b"] and pair.edge.counts["zone_retries"] == 2


async def test_an_unsafe_request_that_may_have_come_through_is_never_sent_again(pair: World) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        pair.proxies[0].cut(after=0)
        got = await pair.edge.client.request(method, "/a", content=b"x")
        assert got.status_code == 502 and "retry-after" in got.headers
    assert len(pair.first.asked) == 4 and pair.second.asked == []
    pair.first.status = 503
    assert (await pair.edge.client.post("/a", content=b"x")).status_code == 503
    assert pair.second.asked == [] and not pair.edge.counts["zone_retries"]


async def test_a_get_with_a_body_is_sent_once(pair: World) -> None:
    pair.proxies[0].cut(after=0)
    got = await pair.edge.client.request("GET", "/a", content=b"x")
    assert got.status_code == 502 and pair.second.asked == []


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
async def test_f6_trouble_is_kept_by_nobody_and_stale_is_served_where_that_is_allowed(
    alone: World, status: int
) -> None:
    edge = alone.edge
    alone.first.fields = STALE
    await edge.get("/old")
    edge.clock.ahead = 10
    alone.first.status, alone.first.fields = status, []
    for number in range(30):
        assert (await edge.get(f"/{number % 5}")).status_code == status, "as the origin said it"
        got = await edge.get("/old")
        assert got.status_code == (200 if status != 429 else 429)
    alone.first.status, alone.first.fields = 200, STALE
    edge.monotonic.ahead = PAUSE_S + 0.1
    for number in range(5):
        assert (await edge.get(f"/{number}")).status_code == 200
    assert (await edge.get("/old")).status_code == 200


async def test_f6_a_pause_the_origin_asks_for_is_kept_by_all_who_have_a_choice(alone: World) -> None:
    edge = alone.edge
    alone.first.fields = STALE
    await edge.get("/old")
    edge.clock.ahead = 10
    alone.first.status, alone.first.fields = 503, [(b"retry-after", b"7")]
    asked = len(alone.first.asked)
    for _ in range(20):
        assert (await edge.get("/old")).text == "hello"
    assert len(alone.first.asked) == asked + 1, "the first was told to wait"
    assert (await edge.get("/new")).headers["retry-after"] == "7", "who has nothing else may ask"
    edge.monotonic.ahead = 7.1
    alone.first.status, alone.first.fields = 200, STALE
    assert "stored" in (await edge.get("/old")).headers["cache-status"]


async def test_f6_an_origin_that_keeps_saying_when_to_come_back_is_left_alone_until_then(
    alone: World,
) -> None:
    alone.first.status, alone.first.fields = 503, [(b"retry-after", b"7")]
    for number in range(40):
        got = await alone.edge.get(f"/{number}")
        assert got.status_code == 503 and 0 < int(got.headers["retry-after"]) <= 7
    assert len(alone.first.asked) == LIMIT
    alone.edge.monotonic.ahead = 7.1
    alone.first.status = 200
    assert (await alone.edge.get("/")).status_code == 200


async def test_f6_a_pause_asked_for_sends_everybody_to_the_next_origin(pair: World) -> None:
    pair.first.status, pair.first.fields = 503, [(b"retry-after", b"30")]
    for number in range(20):
        assert (await pair.edge.get(f"/{number}")).status_code == 200
    assert (len(pair.first.asked), len(pair.second.asked)) == (1, 20)


async def test_f6_retries_stay_within_a_tenth_of_the_requests(pair: World) -> None:
    pair.first.statuses = [503, 200] * 150  # never enough in a row to be left alone
    found = [(await pair.edge.get(f"/{number}")).status_code for number in range(300)]
    assert len(pair.first.asked) == 300
    assert len(pair.second.asked) == pair.edge.counts["zone_retries"] <= 30
    assert len(pair.second.asked) >= 25, "and are made as long as there are some left"
    assert found.count(503) == 150 - len(pair.second.asked)


async def test_f6_a_burst_of_errors_does_not_double_the_load() -> None:
    async with AsyncExitStack() as stack:
        pair = await entered(stack, 2, first_byte_s=60)
        pair.first.status = pair.second.status = 503
        answers = await asyncio.gather(*(pair.edge.get(f"/{number}") for number in range(100)))
        assert {got.status_code for got in answers} == {503}
        asked = len(pair.first.asked) + len(pair.second.asked)
        assert asked <= 110, "at most a tenth more than what came"


async def test_a_zones_health_path_takes_an_unwell_origin_out_and_back_in() -> None:
    first, second = Stub(status=500, fields=[]), Stub(fields=[])
    async with served(first) as one, served(second) as two:
        zone = replace(Zone.parse(f"/={one},{two}"), health_path="/healthz")
        async with edge_of([zone]) as edge:
            await eventually(lambda: first.asked == second.asked == ["GET /healthz"])  # by itself
            await edge.app.origins.check(zone, zone.origins[0])
            assert edge.counts["zone_checks_failed"] == 2
            await edge.get("/a")
            assert second.asked[-1] == "GET /a", "it is passed over"
            first.status = 200
            await edge.app.origins.check(zone, zone.origins[0])
            await edge.get("/b")
            assert first.asked[-1] == "GET /b"
            assert first.hosts[0] == one.removeprefix("http://")


async def test_what_an_origin_redirects_to_is_the_clients_to_follow(alone: World) -> None:
    inside = Stub()
    async with served(inside) as url:
        alone.first.status = 302
        alone.first.fields = [(b"location", f"{url}/secret".encode())]
        got = await alone.edge.get("/")
        assert (got.status_code, got.headers["location"]) == (302, f"{url}/secret")
    assert inside.asked == []
