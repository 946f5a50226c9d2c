"""F1–F6 on the running system: an origin that is away, slow, cuts, alters, or is in trouble."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from origin.media.seal import SLICE
from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.serving import served
from tests.support.viewer import Viewer, decrypt

TROUBLE = (502, 503, 504)


async def plain(viewer: Viewer, rendition: str, number: int) -> bytes:
    """A segment, decrypted."""
    key = await viewer.key(rendition, f"key/{number // 3}")
    return decrypt(key, number, await viewer.cipher(rendition, number))


async def comes(viewer: Viewer, number: int) -> bool:
    """Whether a segment can be had again: after failures an origin is left alone for a moment."""
    answer = await viewer.client.get(viewer.segment_url("720p", number))
    assert answer.status_code in (200, 503)
    return answer.status_code == 200


async def refused(viewer: Viewer, number: int, rendition: str = "720p") -> httpx.Response:
    """The answer for a segment that cannot be had: trouble, said plainly and stored by nobody."""
    answer = await viewer.client.get(viewer.segment_url(rendition, number))
    assert answer.status_code in TROUBLE, answer.status_code
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["code"] in ("bad_upstream", "unavailable")
    if answer.status_code == 503:
        assert int(answer.headers["retry-after"]) > 0
    return answer


async def counted(world: Fleet, name: str) -> float:
    """A counter, summed over both edges."""
    return sum([world.system.counts(edge)[name] for edge in range(2)])


async def test_f1_a_dead_origin_is_tried_by_a_node_once_a_pause_and_cached_plays_on(world: Fleet) -> None:
    cached, cold = await world.film(), await world.film("cold", {"720p": [1000] * 60})
    stored = await world.stored(cached)
    async with await world.viewer(cached) as viewer, await world.viewer(cold) as other:
        await viewer.playlist("720p")
        for number in range(6):
            assert await plain(viewer, "720p", number) == stored.segment("720p", number)
        await other.cipher("720p", 59)  # its documents are known
        world.origin.refuse()
        before = await counted(world, "origin_requests")
        for number in range(40):  # until the breakers of both workers are open, and on
            await refused(other, number)
            assert await plain(viewer, "720p", number % 6) == stored.segment("720p", number % 6)
        tried = await counted(world, "origin_requests") - before
        assert tried <= 2 * 5 + 4, "five failures open each worker's breaker; then one try in 5 s"
        health = await viewer.client.get(f"{world.system.edges[0]}/healthz")
        assert health.status_code == 200, "an edge without origin still serves what it has"
        world.origin.accept()

        async def back() -> bool:
            answer = await other.client.get(other.segment_url("720p", 0))
            return answer.status_code == 200

        await eventually(back, within_s=20)


async def test_f2_an_origin_that_answers_nothing_is_given_up_and_said(world: Fleet) -> None:
    asset = await world.film("hole", {"720p": [1000] * 4})
    async with await world.viewer(asset) as viewer:
        await viewer.cipher("720p", 3)
        world.origin.blackhole = True
        answers = await asyncio.gather(*(refused(viewer, 0) for _ in range(4)))
        assert world.asked(asset, "720p/0.m4s") == 0 and len(answers) == 4
        world.origin.heal()

        async def back() -> bool:
            return (await viewer.client.get(viewer.segment_url("720p", 0))).status_code == 200

        await eventually(back, within_s=20)


async def test_f3_a_slow_origin_is_asked_once_by_all_who_wait_and_hits_go_on(world: Fleet) -> None:
    asset = await world.film()
    stored = await world.stored(asset)
    viewers = [await world.viewer(asset, edge % 2) for edge in range(6)]
    cached = await plain(viewers[0], "audio", 0)
    world.origin.hold_after(100_000)  # what comes after that waits for us
    waiting = [asyncio.create_task(plain(viewer, "720p", 1)) for viewer in viewers]
    await eventually(lambda: _is(world.origin.holding), within_s=10)
    assert not any(each.done() for each in waiting)
    for viewer in viewers:  # what is cached does not wait for what is not
        assert await plain(viewer, "audio", 0) == cached == stored.segment("audio", 0)
    assert not any(each.done() for each in waiting)
    world.origin.heal()
    world.origin.rate = 4e6
    assert set(await asyncio.gather(*waiting)) == {stored.segment("720p", 1)}
    assert world.asked(asset, "720p/1.m4s") == 1
    for viewer in viewers:
        await viewer.client.aclose()


async def _is(value: bool) -> bool:
    return value


@pytest.mark.parametrize("how", ["cut", "fin"])
async def test_f4_a_body_that_ends_early_is_resumed_by_range(world: Fleet, how: str) -> None:
    asset = await world.film()
    stored = await world.stored(asset)
    async with await world.viewer(asset) as viewer:
        await plain(viewer, "audio", 0)
        resumes = await counted(world, "fill_resumes")
        getattr(world.origin, how)(after=SLICE + 200_000)
        assert await plain(viewer, "720p", 0) == stored.segment("720p", 0)
        assert world.asked(asset, "720p/0.m4s") == 2 and world.origin.fired
        assert await counted(world, "fill_resumes") == resumes + 1
        assert await plain(await world.viewer(asset, 1), "720p", 0) == stored.segment("720p", 0)
        assert world.asked(asset, "720p/0.m4s") == 2, "what is cached is whole"


async def test_f4_a_body_that_is_always_cut_is_refused_or_breaks_visibly_and_is_not_cached(
    world: Fleet,
) -> None:
    asset = await world.film()
    stored = await world.stored(asset)
    async with await world.viewer(asset) as viewer:
        await plain(viewer, "audio", 0)
        world.origin.cut(after=50_000, times=4)
        await refused(viewer, 0)
        assert world.asked(asset, "720p/0.m4s") == 4, "one request and three resumptions"
        world.origin.fin(after=SLICE + 100_000)
        world.origin.cut(after=50_000, times=3)
        with pytest.raises(httpx.TransportError):  # its first slice is out: it ends visibly
            await viewer.client.get(viewer.segment_url("720p", 1))
        for number in range(2):
            await eventually(lambda n=number: comes(viewer, n), within_s=30)  # type: ignore[misc]
            assert await plain(viewer, "720p", number) == stored.segment("720p", number)


async def test_f5_an_altered_byte_is_noticed_fetched_again_and_reaches_nobody(world: Fleet) -> None:
    asset = await world.film()
    stored = await world.stored(asset)
    viewers = [await world.viewer(asset, edge) for edge in range(2)]
    await asyncio.gather(*(plain(viewer, "audio", 0) for viewer in viewers))
    bad = await counted(world, "bad_slices")
    world.origin.corrupt(at=SLICE + 300_000)
    found = await asyncio.gather(*(plain(viewer, "720p", 2) for viewer in viewers))
    assert set(found) == {stored.segment("720p", 2)}
    assert (world.asked(asset, "720p/2.m4s"), await counted(world, "bad_slices")) == (2, bad + 1)
    world.origin.corrupt(at=30_000, times=3)
    await refused(viewers[0], 3, "audio")
    assert world.asked(asset, "audio/3.m4s") == 3, "fetched again twice at most"
    assert await plain(viewers[0], "audio", 3) == stored.segment("audio", 3)
    for viewer in viewers:
        await viewer.client.aclose()


class Trouble:
    """An origin that answers everything with one status, and counts."""

    def __init__(self) -> None:
        self.status = 500
        self.asked = 0
        self.app = Starlette(routes=[Route("/{path:path}", self._answer)])

    async def _answer(self, request: Request) -> Response:
        self.asked += 1
        return Response("trouble", self.status, {"retry-after": "7", "cache-control": "max-age=3600"})


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_f6_trouble_at_the_origin_is_cached_by_nobody_and_hardly_retried(
    world: Fleet, status: int
) -> None:
    asset = await world.film()
    stored = await world.stored(asset)
    found, before = Trouble(), world.origin.target
    found.status = status
    async with await world.viewer(asset) as viewer, served(found.app) as url:
        await plain(viewer, "audio", 0)
        world.origin.target = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
        world.origin.drop()
        for number in range(30):
            answer = await refused(viewer, number % 6)
            if number == 0:
                assert int(answer.headers["retry-after"]) >= 7, "what the origin asked for"
        assert found.asked <= 2 * 5 + 2, "one a request until the breakers are open, then none"
        world.origin.target = before
        world.origin.drop()

        async def back() -> bool:
            return (await viewer.client.get(viewer.segment_url("720p", 0))).status_code == 200

        await eventually(back, within_s=20)
        for number in range(6):
            assert await plain(viewer, "720p", number) == stored.segment("720p", number)
