"""First bytes are observed where viewers wait for them, by what was asked and where it came from."""

import asyncio

import httpx
from starlette.types import Message

from edge.deliver.first_byte import FirstByte
from edge.deliver.hold import AT_ONCE_S, Client
from tests.edge.parts import Leave, World


async def test_each_class_and_source_is_observed_once_a_body(edge: World, client: httpx.AsyncClient) -> None:
    base = edge.session()
    for target in (f"{base}main.m3u8", f"{base}720p/index.m3u8", f"{base}720p/key/0", f"{base}720p/0.m4s"):
        assert (await client.get(target)).status_code == 200
    edge.library.source = "origin"
    assert (await client.get(f"{base}720p/1.m4s", headers={"range": "bytes=0-9"})).status_code == 206
    await client.get(edge.download("clip.mp4"), headers={"range": "bytes=0-1,900-901"})
    edge.library.source = "l2"
    await client.get(edge.download("clip.mp4"))
    assert [series for series, _ in edge.observed] == [
        *("playlist", "playlist", "key", "segment_hit", "segment_fill", "download_fill", "download_hit")
    ]
    assert all(0 <= seconds < 60 for _, seconds in edge.observed)


async def test_what_has_no_body_or_is_refused_is_not_observed(edge: World, client: httpx.AsyncClient) -> None:
    base = edge.session()
    etag = (await client.get(f"{base}720p/0.m4s")).headers["etag"]
    playlist = (await client.get(f"{base}main.m3u8")).headers["etag"]
    edge.observed.clear()
    await client.head(f"{base}720p/0.m4s")
    await client.get(f"{base}720p/0.m4s", headers={"if-none-match": etag})
    await client.get(f"{base}main.m3u8", headers={"if-none-match": playlist})
    await client.get(f"{base}720p/key/999")
    await client.get(f"{base}720p/999.m4s")
    assert (await client.get(edge.link(), follow_redirects=False)).status_code == 302
    assert edge.observed == []


def test_time_held_for_the_pace_is_taken_off() -> None:
    taken: list[tuple[str, float]] = []
    watch = FirstByte(lambda: 100.0, lambda *seen: taken.append(seen))
    watch.goes("key", 90.0, 9.5)
    watch.goes("key", 90.0, 10.5)
    assert taken == [("key", 0.5), ("key", 0.0)]


async def test_a_client_held_for_longer_than_pace_takes_to_answer_knows_how_long() -> None:
    grant, begun = Leave(asyncio.Event()), asyncio.get_running_loop().time()

    async def silence() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    with Client(silence) as client:
        assert not await client.wait(grant, AT_ONCE_S + 0.05)
        held = client.held_s
        assert 0 < held <= asyncio.get_running_loop().time() - begun
        grant.given.set()
        assert await client.wait(grant, 5)
        assert client.held_s == held, "who is granted at once was not held"
