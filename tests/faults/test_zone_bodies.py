"""F1, F3, F4, F5 on zones: an origin that is stopped, slow, cuts what it sends, or alters it."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import httpx
import pytest

from edge.http.partial import SLICE
from edge.zone.health import LIMIT, PAUSE_S
from edge.zone.zone import Zone
from tests.support.large_origin import LargeOrigin, content
from tests.support.proxy import Proxy
from tests.support.serving import eventually, served
from tests.support.zone_origins import Edge, Stub, edge_of, port_of

BODY = bytes(range(256)) * 2000  # 500 KiB


@dataclass
class World:
    """An origin behind a proxy, and an edge in front."""

    edge: Edge
    stub: Stub
    proxy: Proxy


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """All of it works so far."""
    stub = Stub(body=BODY)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(served(stub))
        proxy = stack.enter_context(Proxy(("127.0.0.1", port_of(url))))
        edge = await stack.enter_async_context(edge_of([Zone.parse(f"/={proxy.url}")]))
        yield World(edge, stub, proxy)


async def test_f3_a_slow_origin_is_asked_once_by_all_who_wait_and_hits_go_on(world: World) -> None:
    assert (await world.edge.get("/cached")).content == BODY
    world.proxy.hold_after(100_000)
    waiting = [asyncio.create_task(world.edge.get("/slow")) for _ in range(50)]
    await eventually(lambda: world.proxy.holding)
    for _ in range(20):  # what is cached does not wait for what is not
        assert (await world.edge.get("/cached")).content == BODY
    assert not any(each.done() for each in waiting)
    world.proxy.heal()
    world.proxy.rate = 4e6
    assert {got.content for got in await asyncio.gather(*waiting)} == {BODY}
    assert world.stub.asked == ["GET /cached", "GET /slow"]


async def test_f3_a_head_that_takes_long_holds_up_nobody_else(world: World) -> None:
    await world.edge.get("/cached")
    world.proxy.hold_after(0)
    waiting = [asyncio.create_task(world.edge.get("/slow")) for _ in range(50)]
    await eventually(lambda: world.proxy.holding)
    assert (await world.edge.get("/cached")).content == BODY
    assert not any(each.done() for each in waiting)
    world.proxy.heal()
    assert {got.content for got in await asyncio.gather(*waiting)} == {BODY}
    assert world.stub.asked.count("GET /slow") == 1


@pytest.mark.parametrize("how", ["cut", "fin"])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("after", [400, 50_000, len(BODY) - 1])
async def test_f4_what_is_cut_is_never_whole_to_anybody_nor_kept(
    world: World, how: str, chunked: bool, after: int
) -> None:
    world.stub.chunked = chunked
    getattr(world.proxy, how)(after=after)
    first = [asyncio.create_task(world.edge.get("/a")) for _ in range(3)]
    for came in await asyncio.gather(*first, return_exceptions=True):
        if isinstance(came, httpx.Response):  # that of one who asked when it was over
            assert came.content == BODY
        else:
            assert isinstance(came, httpx.RemoteProtocolError)
    assert world.proxy.fired == 1
    asked = len(world.stub.asked)
    assert (await world.edge.get("/a")).content == BODY
    assert (await world.edge.get("/a")).content == BODY
    assert len(world.stub.asked) <= asked + 1, "the next one is asked for again, and kept"


async def test_f4_an_answer_that_ends_before_its_head_is_a_502_or_asked_of_the_next(world: World) -> None:
    world.proxy.cut(after=20)
    got = await world.edge.get("/a")
    assert got.status_code == 502 and int(got.headers["retry-after"]) > 0
    assert (await world.edge.get("/a")).content == BODY


async def test_f4_a_head_cut_at_one_origin_comes_from_the_next() -> None:
    stub = Stub(body=BODY)
    async with served(stub) as url:
        with Proxy(("127.0.0.1", port_of(url))) as cutting:
            async with edge_of([Zone.parse(f"/={cutting.url},{url}")]) as edge:
                for number in range(3):
                    cutting.cut(after=20)
                    assert (await edge.get(f"/{number}")).content == BODY
                assert edge.counts["zone_retries"] == 3


@pytest.mark.parametrize("edition", [1, 2])
async def test_f4_slices_come_from_another_origin_if_it_has_the_same_and_are_never_mixed(
    edition: int,
) -> None:
    total = 4 * SLICE
    near, far = LargeOrigin(total), LargeOrigin(total, edition=edition)
    async with near.served() as url, far.served() as other:
        with Proxy(("127.0.0.1", port_of(url))) as proxy:
            async with edge_of([Zone.parse(f"/={proxy.url},{other}")]) as edge:
                first = await edge.client.get("/", headers={"range": "bytes=0-9"})
                assert first.content == content(0, 10)
                proxy.refuse()
                if edition != near.edition:  # its beginning is out when the rest turns out to be of another
                    with pytest.raises(httpx.RemoteProtocolError):
                        await edge.get()
                whole = await edge.get()
                assert whole.content == content(0, total, edition)
                assert len(far.asked) >= 1 and edge.counts["zone_failovers"] >= 1


async def test_f5_a_byte_altered_in_a_zones_body_cannot_be_noticed_here(world: World) -> None:
    """A zone's origin signs nothing: docs/zones.md says so. What can be noticed is the framing."""
    world.proxy.corrupt(at=50_000)
    got = await world.edge.get("/a")
    differing = [at for at in range(len(BODY)) if got.content[at] != BODY[at]]
    assert len(got.content) == len(BODY) and len(differing) == 1


async def test_f5_a_status_line_altered_is_a_502_and_not_kept(world: World) -> None:
    world.proxy.corrupt(at=0)
    got = await world.edge.get("/a")
    assert got.status_code == 502 and got.headers["proxy-status"] == "edge-a; error=http_protocol_error"
    assert (await world.edge.get("/a")).content == BODY


ORIGIN = """
import http.server
class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("cache-control", "max-age=1, stale-if-error=86400")
        self.send_header("content-length", "5")
        self.end_headers()
        self.wfile.write(b"hello")
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
print(server.server_port, flush=True)
server.serve_forever()
"""


async def test_f1_what_is_cached_of_a_stopped_origin_is_served_and_it_comes_back() -> None:
    origin = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ORIGIN, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert origin.stdout is not None
        port = int(await origin.stdout.readline())
        zone = replace(Zone.parse(f"/=http://127.0.0.1:{port}"), first_byte_s=1.5)
        async with edge_of([zone]) as edge:
            for number in range(20):
                assert (await edge.get(f"/{number}")).text == "hello"
            edge.clock.ahead = 100
            origin.send_signal(signal.SIGSTOP)
            before = edge.counts["zone_origin_requests"]
            for number in range(40):
                assert (await edge.get(f"/{number % 20}")).text == "hello"
            assert edge.counts["zone_origin_requests"] == before + LIMIT
            assert (await edge.get("/cold")).status_code == 503
            origin.send_signal(signal.SIGCONT)
            edge.monotonic.ahead = PAUSE_S + 0.1
            assert (await edge.get("/cold")).status_code == 200
    finally:
        origin.kill()
        await origin.wait()
