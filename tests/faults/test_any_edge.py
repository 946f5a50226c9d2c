"""K4 and F17: every edge gives a session the same bytes under the same tags, so it goes on at any of them."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx

from tests.support.fleet import Fleet
from tests.support.load import kill
from tests.support.viewer import Viewer, decrypt

SAME = ("etag", "content-type", "content-length", "accept-ranges", "content-range")

Get = Callable[..., Awaitable[httpx.Response]]


async def test_k4_two_edges_give_a_session_identical_bytes_and_tags(world: Fleet) -> None:
    asset = await world.film()
    async with await world.viewer(asset, 0) as viewer:
        names = ["main.m3u8"]
        for rendition in viewer.renditions():
            names += [f"{rendition}/{name}" for name in ("index.m3u8", "init.mp4", "key/0", "key/1")]
            names += [f"{rendition}/{number}.m4s" for number in range(6)]
        base = viewer.url.rsplit("/", 1)[0]
        for name in names:
            answers = [await viewer.client.get(world.at(f"{base}/{name}", edge)) for edge in range(2)]
            assert [a.status_code for a in answers] == [200, 200], name
            assert answers[0].content == answers[1].content, name
            for field in SAME:
                assert answers[0].headers.get(field) == answers[1].headers.get(field), (name, field)
            if "key/" not in name:
                assert answers[0].headers["etag"].startswith('"')
    assert world.keys.asked.count("/v1/sessions") == 1, "nobody logged in a second time"


async def test_k4_a_segment_begun_at_one_edge_is_resumed_at_the_other(world: Fleet) -> None:
    asset = await world.film()
    stored = await world.stored(asset)
    async with await world.viewer(asset, 0) as viewer:
        url = viewer.segment_url("720p", 4)
        first = await viewer.client.get(url, headers={"range": "bytes=0-999999"})
        tag = first.headers["etag"]
        rest = await viewer.client.get(world.at(url, 1), headers={"range": "bytes=1000000-", "if-range": tag})
        assert (first.status_code, rest.status_code, rest.headers["etag"]) == (206, 206, tag)
        key = await viewer.key("720p", "key/1")
        assert decrypt(key, 4, first.content + rest.content) == stored.segment("720p", 4)
        known = await viewer.client.get(world.at(url, 1), headers={"if-none-match": tag})
        assert known.status_code == 304


class Wanderer:
    """Plays by the doors: when an edge fails him, he goes to the other with the same URL, as players do."""

    def __init__(self, world: Fleet, viewer: Viewer) -> None:
        self._world, self._viewer, self._edge = world, viewer, 0
        self.failed = 0

    async def get(self, url: str) -> httpx.Response:
        """The answer of whichever edge gives one."""
        for _ in range(4):
            try:
                return await self._viewer.client.get(self._world.at(url, self._edge, door=True))
            except httpx.TransportError:
                self.failed += 1
                self._edge = 1 - self._edge
        raise AssertionError("no edge answers")

    async def play(self, rendition: str, taken: asyncio.Semaphore) -> list[bytes]:
        """Every segment of a rendition, decrypted."""
        found = []
        for number in range(6):
            url = self._viewer.segment_url(rendition, number)
            key = await self.get(f"{url.rsplit('/', 1)[0]}/key/{number // 3}")
            body = await self.get(url)
            assert (key.status_code, body.status_code) == (200, 200), self._world.system.logs()
            found.append(decrypt(key.content, number, body.content))
            taken.release()
        return found


async def test_f17_an_edge_dies_under_load_and_every_session_goes_on_at_the_other(world: Fleet) -> None:
    asset = await world.film()
    stored = await world.stored(asset)
    viewers = [await world.viewer(asset, 0) for _ in range(20)]
    opened = world.keys.asked.count("/v1/sessions")
    wanderers = [Wanderer(world, viewer) for viewer in viewers]
    taken = asyncio.Semaphore(0)
    playing = [asyncio.create_task(each.play("720p", taken)) for each in wanderers]
    for _ in range(20):
        await taken.acquire()
    world.doors[0].refuse()  # nobody reaches it any more
    for pid in world.workers(0).values():
        kill(pid)
    whole = [stored.segment("720p", number) for number in range(6)]
    assert all(found == whole for found in await asyncio.gather(*playing))
    assert all(each.failed <= 1 for each in wanderers), "one request of each at most is asked for again"
    assert sum(each.failed for each in wanderers) > 0
    assert world.keys.asked.count("/v1/sessions") == opened, "no new login"
    for viewer in viewers:
        await viewer.client.aclose()
