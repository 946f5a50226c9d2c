"""What every viewer gets: the same playlists, bytes of his own, and nothing plain at rest."""

import asyncio
import re

import httpx
import pytest

from tests.support.packaged import Packaged
from tests.support.system import System
from tests.support.viewer import Viewer, decrypt

BLOCK = 16


def blocks(body: bytes) -> set[bytes]:
    """Every aligned 16-byte block."""
    return {body[i : i + BLOCK] for i in range(0, len(body), BLOCK)}


async def two_sessions(system: System, film: str) -> tuple[Viewer, Viewer]:
    return await Viewer(system.link(film)).opened(), await Viewer(system.link(film)).opened()


async def test_two_sessions_share_playlists_and_no_ciphertext_block(system: System, film: str) -> None:
    one, two = await two_sessions(system, film)
    async with one, two:
        assert one.url != two.url
        assert one.multivariant == two.multivariant
        for rendition in one.renditions():
            playlist = await one.playlist(rendition)
            await two.playlist(rendition)
            assert one.media_bytes[rendition] == two.media_bytes[rendition]
            assert await one.init(rendition) == await two.init(rendition)
            for entry in playlist.entries[:3]:
                bodies = [await v.cipher(rendition, entry.number) for v in (one, two)]
                assert len(bodies[0]) == len(bodies[1])
                assert not blocks(bodies[0]) & blocks(bodies[1])


async def test_a_session_decrypts_to_exactly_the_packaged_bytes(system: System, film: str) -> None:
    stored = await Packaged.of(system.data, film)
    async with await Viewer(system.link(film)).opened() as viewer:
        assert sorted(viewer.renditions()) == stored.renditions()
        for rendition in viewer.renditions():
            assert await viewer.whole(rendition) == stored.whole(rendition)


async def test_each_key_opens_only_its_own_period(system: System, film: str) -> None:
    stored = await Packaged.of(system.data, film)
    async with await Viewer(system.link(film)).opened() as viewer:
        rendition = viewer.renditions()[0]
        playlist = await viewer.playlist(rendition)
        uris = list(dict.fromkeys(entry.key_uri for entry in playlist.entries))
        assert len(uris) >= 3
        keys = [await viewer.key(rendition, uri) for uri in uris if uri]
        assert len(set(keys)) == len(keys)
        for entry in playlist.entries:
            body = await viewer.cipher(rendition, entry.number)
            plain = stored.segment(rendition, entry.number)
            for uri, key in zip(uris, keys, strict=True):
                assert opens(key, entry.number, body, plain) is (uri == entry.key_uri)


def opens(key: bytes, number: int, body: bytes, plain: bytes) -> bool:
    """Whether the key gives the plain segment."""
    try:
        return decrypt(key, number, body) == plain
    except ValueError:
        return False


async def test_a_key_of_another_session_or_rendition_opens_nothing(system: System, film: str) -> None:
    one, two = await two_sessions(system, film)
    async with one, two:
        first, second = one.renditions()[:2]
        stored = await Packaged.of(system.data, film)
        body, plain = await one.cipher(first, 0), stored.segment(first, 0)
        assert opens(await one.key(first, "key/0"), 0, body, plain)
        assert not opens(await two.key(first, "key/0"), 0, body, plain)
        assert not opens(await one.key(second, "key/0"), 0, body, plain)


async def test_t20_no_plain_media_byte_rests_in_blobs_or_redis(system: System, film: str) -> None:
    """Searches every stored object and every Redis value for known plaintext of every segment."""
    async with await Viewer(system.link(film)).opened() as viewer:
        for rendition in viewer.renditions():
            await viewer.whole(rendition)  # so that the caches are warm
    stored = await Packaged.of(system.data, film)
    known = []
    for rendition in stored.renditions():
        for number in range(stored.segments(rendition)):
            plain = stored.segment(rendition, number)
            middle = len(plain) // 2
            known += [plain[middle : middle + 24], plain[-40:-8]]
    needle = re.compile(b"|".join(re.escape(k) for k in known))
    assert needle.search(stored.segment(stored.renditions()[0], 0)), "the search itself works"
    for path in stored.stored():
        assert not needle.search(path.read_bytes()), path
    values = await system.redis_values()
    assert sum(len(v) for v in values.values()) > 100_000, "the second level was filled"
    for name, value in values.items():
        assert not needle.search(value), name
    await no_upload_rests(system)


async def no_upload_rests(system: System) -> None:
    """Waits a minute for what is being taken in, or was called published just now; a leftover never goes."""
    incoming = system.data / "origin" / "incoming"
    for _ in range(600):
        rest = [path for path in incoming.rglob("*") if path.is_file()]
        if not rest:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"plain uploads outlive their ingest: {rest}")


async def test_heads_and_ranges_of_a_segment_agree_with_the_whole(system: System, film: str) -> None:
    async with await Viewer(system.link(film)).opened() as viewer:
        rendition = viewer.renditions()[0]
        url = viewer.segment_url(rendition, 1)
        whole = await viewer.client.get(url)
        head = await viewer.client.head(url)
        for name in ("content-length", "etag", "accept-ranges", "content-type", "cache-control"):
            assert head.headers[name] == whole.headers[name], name
        assert head.content == b""
        assert "no-transform" in whole.headers["cache-control"]
        assert whole.headers["cdn-cache-control"] == "no-store"
        size = len(whole.content)
        for first, last in [(0, 0), (1, 100), (15, 16), (size - 1, size - 1), (300_000, 300_100)]:
            part = await viewer.client.get(url, headers={"range": f"bytes={first}-{last}"})
            last = min(last, size - 1)
            assert part.status_code == 206
            assert part.headers["content-range"] == f"bytes {first}-{last}/{size}"
            assert part.content == whole.content[first : last + 1]
        over = await viewer.client.get(url, headers={"range": f"bytes={size}-"})
        assert (over.status_code, over.headers["content-range"]) == (416, f"bytes */{size}")


async def test_cache_status_says_where_bytes_came_from(system: System, film: str) -> None:
    async with await Viewer(system.link(film)).opened() as viewer:
        rendition = viewer.renditions()[0]
        url = viewer.segment_url(rendition, 0)
        await viewer.client.get(url)
        again = await viewer.client.get(url)
        assert re.search(r"; hit; detail=(l1|l2)", again.headers["cache-status"]), again.headers
        for path in ("", f"{rendition}/index.m3u8", f"{rendition}/key/0", "nothing/9.m4s"):
            answer = await viewer.client.get(str(httpx.URL(viewer.url).join(path)))
            assert "cache-status" in answer.headers, path


@pytest.mark.parametrize("sessions", [6])
async def test_any_worker_gives_a_session_identical_bytes(system: System, film: str, sessions: int) -> None:
    """K4 within a node: new connections reach different workers; the session's bytes do not differ."""
    async with await Viewer(system.link(film)).opened() as viewer:
        url = viewer.segment_url(viewer.renditions()[0], 2)

        async def once() -> tuple[bytes, str]:
            async with httpx.AsyncClient(timeout=30) as client:
                answer = await client.get(url)
                assert answer.status_code == 200
                return answer.content, answer.headers["etag"]

        found = await asyncio.gather(*(once() for _ in range(sessions)))
        assert len(set(found)) == 1
