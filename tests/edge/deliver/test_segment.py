"""Segments over a real socket: per session, whole or visibly broken, ranged, tagged, held for the pace."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.deliver.cipher import cipher_length
from edge.deliver.hold import LEAD_BYTES
from edge.deliver.segment import entity_tag
from keys.names import b64url
from keys.pace import Pace
from keys.problems import Problem
from keys.revocation import LIFTED
from origin.media.seal import SLICE
from tests.edge.parts import GENERATION, Leave, MemoryKeys, World, descriptor, until, world
from tests.support.viewer import decrypt


async def key_of(client: httpx.AsyncClient, base: str, number: int, rendition: str = "720p") -> bytes:
    return (await client.get(f"{base}{rendition}/key/{number // 2}")).content


async def test_every_segment_decrypts_to_what_was_packaged(edge: World, client: httpx.AsyncClient) -> None:
    base = edge.session()
    for number, size in enumerate(descriptor().renditions[0].sizes):
        answer = await client.get(f"{base}720p/{number}.m4s")
        assert answer.status_code == 200
        assert int(answer.headers["content-length"]) == len(answer.content) == cipher_length(size)
        plain = decrypt(await key_of(client, base, number), number, answer.content)
        assert plain == edge.library.body("film", 3, "720p", f"{number}.m4s")


async def test_h18_h19_headers_of_a_segment(edge: World, client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{edge.session(ends_in=100)}720p/0.m4s")
    assert answer.headers["content-type"] == "video/mp4"
    age = answer.headers["cache-control"].removeprefix("private, max-age=").removesuffix(", no-transform")
    assert 90 <= int(age) <= 100  # never longer than the session
    assert answer.headers["cdn-cache-control"] == "no-store"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["cache-status"] == "sluice-edge-1; hit; detail=l1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    long = await client.get(f"{edge.session(bytes([1] * 16), ends_in=9000)}720p/0.m4s")
    assert long.headers["cache-control"] == "private, max-age=3600, no-transform"  # an hour at most


async def test_cache_status_says_where_the_bytes_came_from(edge: World, client: httpx.AsyncClient) -> None:
    for source, said in (("l2", "hit; detail=l2"), ("origin", "fwd=miss; stored; detail=origin")):
        edge.library.source = source
        answer = await client.get(f"{edge.session()}720p/0.m4s")
        assert answer.headers["cache-status"] == f"sluice-edge-1; {said}"


async def test_two_sessions_share_no_block(edge: World, client: httpx.AsyncClient) -> None:
    bodies = [(await client.get(f"{edge.session(bytes([n] * 16))}720p/5.m4s")).content for n in range(2)]
    blocks = [{body[i : i + 16] for i in range(0, len(body), 16)} for body in bodies]
    assert not blocks[0] & blocks[1]


async def test_k4_two_edges_give_a_session_the_same_bytes_and_tag(
    edge: World, client: httpx.AsyncClient, web: Path
) -> None:
    keys = MemoryKeys()
    async with world(web, keys) as other:
        keys.own, keys.edges = edge.keys.own, (edge.url, other.url)
        await other.trusted.refresh()
        token = keys.session_token(bytes(16))
        answers = [
            await client.get(f"{url}/v;URISigningPackage={token}/film/aes/720p/1.m4s")
            for url in (edge.url, other.url)
        ]
    assert answers[0].content == answers[1].content
    assert answers[0].headers["etag"] == answers[1].headers["etag"]


def test_h12_the_tag_differs_by_session_object_and_protection() -> None:
    keys = MemoryKeys()
    one, two = keys.lease_of(b64url(bytes(16))), keys.lease_of(b64url(bytes([1] * 16)))
    tags = {
        entity_tag(one, "720p", "0.m4s", 100, "aes"),
        entity_tag(two, "720p", "0.m4s", 100, "aes"),
        entity_tag(one, "480p", "0.m4s", 100, "aes"),
        entity_tag(one, "720p", "1.m4s", 100, "aes"),
        entity_tag(one, "720p", "0.m4s", 100, "cbcs"),
        entity_tag(replace(one, generation=4), "720p", "0.m4s", 100, "aes"),
    }
    assert len(tags) == 6
    assert all(len(tag) == 24 and tag[0] == tag[-1] == '"' for tag in tags)


async def test_h15_head_has_the_headers_of_get_and_fetches_nothing(
    edge: World, client: httpx.AsyncClient
) -> None:
    url = f"{edge.session()}720p/1.m4s"
    head = await client.head(url)
    assert not edge.library.opens
    assert not edge.gate.asked
    get = await client.get(url)
    assert head.status_code == 200
    assert head.content == b""
    for name in ("content-length", "etag", "accept-ranges", "content-type", "cdn-cache-control"):
        assert head.headers[name] == get.headers[name]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_h2_any_range_over_any_slicing_is_those_bytes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    size = data.draw(st.sampled_from([0, 1, 15, 16, 4000, SLICE - 1, SLICE, SLICE + 1, 2 * SLICE + 7]))
    length = cipher_length(size)
    start = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(start + 1, length + 10))

    async def ask() -> None:
        folder = tmp_path_factory.getbasetemp()
        async with world(folder) as edge, httpx.AsyncClient() as client:
            edge.library.assets["film", 3] = descriptor((size,))
            url = f"{edge.session()}720p/0.m4s"
            whole = await client.get(url)
            part = await client.get(url, headers={"range": f"bytes={start}-{stop - 1}"})
            assert part.status_code == 206
            assert part.content == whole.content[start:stop]
            assert part.headers["content-range"] == f"bytes {start}-{min(stop, length) - 1}/{length}"
            assert part.headers["content-length"] == str(len(part.content))

    asyncio.run(ask())


async def test_h8_a_range_asks_the_cache_for_no_slice_beyond_it(
    edge: World, client: httpx.AsyncClient
) -> None:
    url = f"{edge.session()}720p/1.m4s"  # four slices
    await client.get(url, headers={"range": "bytes=0-0"})
    await client.get(url, headers={"range": f"bytes={SLICE - 1}-{SLICE}"})
    await client.get(url, headers={"range": "bytes=-1"})
    assert [wanted for _, _, wanted in edge.library.opens] == [range(1), range(2), range(4)]


def without_seconds(field: str) -> str:
    return re.sub(r"max-age=\d+", "max-age=N", field)


async def test_h3_h6_h9_ranges_and_conditions(edge: World, client: httpx.AsyncClient) -> None:
    url = f"{edge.session()}720p/5.m4s"
    whole = await client.get(url)
    etag, size = whole.headers["etag"], len(whole.content)

    async def asked(**headers: str) -> httpx.Response:
        return await client.get(url, headers={n.replace("_", "-"): v for n, v in headers.items()})

    beyond = await asked(range=f"bytes={size}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert beyond.headers["cache-control"] == "no-store"
    part = await asked(range="bytes=5-9", if_range=etag)
    assert (part.status_code, part.content) == (206, whole.content[5:10])
    for name in ("etag", "vary"):
        assert part.headers[name] == whole.headers[name]
    for name in ("cache-control", "cdn-cache-control"):  # what is left of the session may be a second less
        assert without_seconds(part.headers[name]) == without_seconds(whole.headers[name])
    assert (await asked(range="bytes=5-9", if_range='"other"')).status_code == 200
    assert (await asked(range="bytes=9-5")).content == whole.content
    known = await asked(if_none_match=etag)
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", etag)
    assert "content-length" not in known.headers
    assert (await asked(if_match='"other"')).status_code == 412


async def test_h12_a_resume_under_another_session_starts_anew(edge: World, client: httpx.AsyncClient) -> None:
    first = await client.get(f"{edge.session()}720p/5.m4s")
    second = await client.get(
        f"{edge.session(bytes([1] * 16))}720p/5.m4s",
        headers={"range": "bytes=100-", "if-range": first.headers["etag"]},
    )
    assert second.status_code == 200


async def test_what_does_not_exist_is_the_one_403(edge: World, client: httpx.AsyncClient) -> None:
    base = edge.session()
    paths = ("720p/6.m4s", "480p/0.m4s", "720p/key/3", "480p/index.m3u8", "480p/init.mp4", "480p/key/0")
    answers = [await client.get(base + path) for path in paths]
    assert {(a.status_code, a.content) for a in answers} == {(403, answers[0].content)}


async def test_a_slice_that_fails_before_the_first_byte_is_502(
    edge: World, client: httpx.AsyncClient
) -> None:
    edge.library.fail_at = 0
    answer = await client.get(f"{edge.session()}720p/1.m4s")
    assert answer.status_code == 502
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.filterwarnings("ignore")
async def test_f4_a_slice_that_fails_in_the_middle_breaks_the_body_visibly(
    edge: World, client: httpx.AsyncClient
) -> None:
    edge.library.fail_at = 2
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get(f"{edge.session()}720p/1.m4s")
    assert edge.counted["failed"] == 1
    assert edge.library.opened[-1].closed


async def raw(url: str, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection with one GET sent."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return reader, writer


async def test_t1_a_segment_waits_for_its_grant_and_then_comes_whole(
    edge: World, client: httpx.AsyncClient
) -> None:
    edge.gate.given.clear()
    base = edge.session()
    asking = asyncio.create_task(client.get(f"{base}720p/5.m4s"))
    await edge.gate.arrived.wait()
    assert edge.gate.asked == [("bucket", "video", "film:3", 5, 4.0)]
    assert (await key_of(client, base, 5)) != b""  # keys are answered at once
    assert not asking.done()
    assert not edge.library.opens  # nothing is filled for whoever waits
    edge.gate.given.set()
    answer = await asking
    assert decrypt(await key_of(client, base, 5), 5, answer.content) == edge.library.body(
        "film", 3, "720p", "5.m4s"
    )


async def test_a_long_wait_drips_and_ends_in_the_right_bytes(edge: World, client: httpx.AsyncClient) -> None:
    segments = edge.app.media.segments
    segments._hold_s = segments._drip_every_s = 0.02
    whole = (await client.get(f"{edge.session()}720p/5.m4s")).content
    edge.gate.given.clear()
    got = bytearray()
    async with client.stream("GET", f"{edge.session()}720p/5.m4s") as answer:
        assert answer.status_code == 200
        assert int(answer.headers["content-length"]) == len(whole)
        async for chunk in answer.aiter_raw():
            got += chunk
            if len(got) >= 12:
                edge.gate.given.set()
    assert bytes(got) == whole


async def test_a_tiny_segment_drips_nothing_but_still_comes_whole(
    edge: World, client: httpx.AsyncClient
) -> None:
    segments = edge.app.media.segments
    segments._hold_s = segments._drip_every_s = 0.01
    edge.library.assets["film", 3] = descriptor((0,))
    edge.gate.given.clear()
    asking = asyncio.create_task(client.get(f"{edge.session()}720p/0.m4s"))
    await until(lambda: edge.counted.get("segments", 0) == 1)
    edge.gate.given.set()
    assert len((await asking).content) == 16


async def test_t1_what_may_not_drip_is_held_and_costs_nothing(edge: World, client: httpx.AsyncClient) -> None:
    segments = edge.app.media.segments
    segments._hold_s = segments._drip_every_s = 0.01
    whole = (await client.get(f"{edge.session()}720p/5.m4s")).content
    edge.gate.given.clear()
    inside = {"range": "bytes=16-"}
    for dripping, headers, wanted in ((False, None, whole), (True, inside, whole[16:])):
        edge.library.opens.clear()
        edge.gate.dripping = dripping
        edge.gate.given.clear()
        edge.gate.arrived.clear()
        asking = asyncio.create_task(client.get(f"{edge.session()}720p/5.m4s", headers=headers))
        await edge.gate.arrived.wait()
        await until(lambda: edge.gate.grants[-1].waits > 8)
        assert not edge.library.opens and not asking.done()
        edge.gate.given.set()
        assert (await asking).content == wanted


async def test_what_was_held_is_told_of_also_when_the_client_left(
    edge: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.deliver.hold.AT_ONCE_S", 0.0)
    segments = edge.app.media.segments
    segments._hold_s = segments._drip_every_s = 0.02
    edge.gate.given.clear()
    edge.gate.dripping = False
    asking = asyncio.create_task(client.get(f"{edge.session()}720p/5.m4s"))
    await edge.gate.arrived.wait()
    await until(lambda: edge.gate.grants[-1].waits > 4)
    asking.cancel()
    await until(lambda: edge.gate.grants[-1].left)
    await edge.app.activity.post()
    (seen,) = edge.keys.seen[-1].values()
    assert seen.held_s > 0 and seen.media_s == 0 and seen.position_s is None


async def test_where_a_session_is_in_the_film_is_told(edge: World, client: httpx.AsyncClient) -> None:
    for path in ("720p/0.m4s", "720p/1.m4s", "audio/5.m4s"):
        assert (await client.get(edge.session() + path)).status_code == 200
    await edge.app.activity.post()
    (seen,) = edge.keys.seen[-1].values()
    assert (seen.media_s, seen.again_s, seen.apart_s, seen.position_s) == (8.0, 0.0, 0.0, 8.0)


async def test_who_is_slowed_gets_real_time_within_a_poll_and_his_pace_again_when_it_is_lifted(
    edge: World, client: httpx.AsyncClient
) -> None:
    async def pace() -> Pace:
        assert (await client.get(f"{edge.session()}720p/5.m4s")).status_code == 200
        return edge.gate.paces[-1]

    assert await pace() == Pace()
    edge.keys.revoke("slow", "link-1")  # the link names a viewer, and so he is slowed or nobody
    edge.keys.revoke("slow", "viewer-1")
    await until(lambda: edge.app.revocations.revoked.version == 2)
    assert await pace() == Pace().cautious() == Pace(0.0, 1.0, 0.0, 0.0)
    edge.keys.revoke("slow", "viewer-1", LIFTED)
    await until(lambda: edge.app.revocations.revoked.version == 3)
    assert await pace() == Pace()


async def test_t4_what_is_held_does_not_outlive_its_session(edge: World, client: httpx.AsyncClient) -> None:
    segments = edge.app.media.segments
    segments._hold_s = segments._drip_every_s = 0.02
    edge.gate.given.clear()
    edge.gate.dripping = False
    asking = asyncio.create_task(client.get(f"{edge.session()}720p/5.m4s"))
    await edge.gate.arrived.wait()
    edge.keys.revoke("sid", b64url(bytes(16)))
    answer = await asking
    assert (answer.status_code, answer.json()["code"]) == (403, "revoked")
    assert not edge.library.opens


async def test_t4_what_drips_breaks_off_when_its_session_is_revoked(
    edge: World, client: httpx.AsyncClient
) -> None:
    segments = edge.app.media.segments
    segments._hold_s = segments._drip_every_s = 0.02
    edge.gate.given.clear()
    got = bytearray()
    with pytest.raises(httpx.RemoteProtocolError):
        async with client.stream("GET", f"{edge.session()}720p/5.m4s") as answer:
            async for chunk in answer.aiter_raw():
                if not got:
                    edge.keys.revoke("sid", b64url(bytes(16)))
                got += chunk
    assert 0 < len(got) < LEAD_BYTES


async def test_t4_a_body_that_is_waited_for_breaks_off_when_its_session_is_revoked(
    edge: World, client: httpx.AsyncClient
) -> None:
    edge.library.source = "origin"
    edge.library.gate = asyncio.Event()
    with pytest.raises(httpx.RemoteProtocolError):
        async with client.stream("GET", f"{edge.session()}720p/1.m4s") as answer:
            edge.keys.revoke("sid", b64url(bytes(16)))
            await until(lambda: _revoked(edge))
            edge.library.gate.set()
            await answer.aread()


def _revoked(edge: World) -> bool:
    try:
        edge.app.revocations.check(sid=b64url(bytes(16)))
    except Problem:
        return True
    return False


async def test_a_client_that_leaves_while_it_waits_is_not_charged(edge: World) -> None:
    edge.gate.given.clear()
    _, writer = await raw(edge.url, edge.session().removeprefix(edge.url) + "720p/5.m4s")
    await edge.gate.arrived.wait()
    grant: Leave = edge.gate.grants[0]
    writer.close()
    await until(lambda: grant.left)
    assert edge.counted["segments_left"] == 1
    assert not edge.library.opens


async def test_a_client_that_leaves_in_the_middle_stops_the_work(edge: World) -> None:
    edge.library.source = "origin"  # its slices are waited for
    edge.library.gate = asyncio.Event()
    reader, writer = await raw(edge.url, edge.session().removeprefix(edge.url) + "720p/1.m4s")
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
    await asyncio.sleep(0.05)
    edge.library.gate.set()
    await until(lambda: edge.library.opened[0].closed)
    assert edge.counted["segments_left"] == 1
    assert edge.counted["segment_bytes"] < 2 * SLICE


async def test_a_request_body_on_get_is_dropped(edge: World, client: httpx.AsyncClient) -> None:
    answer = await client.request("GET", f"{edge.session()}720p/5.m4s", content=b"x" * 200_000)
    assert answer.status_code == 200


async def test_what_went_out_is_told_to_keys(edge: World, client: httpx.AsyncClient) -> None:
    base = edge.session()
    body = (await client.get(f"{base}720p/5.m4s")).content
    await client.get(f"{base}720p/key/0")
    sound = (await client.get(f"{base}audio/5.m4s")).content
    await edge.app.activity.post()
    seen = edge.keys.seen[0][b64url(bytes(16))]
    # Four seconds were watched, though their picture and their sound were both sent.
    assert (seen.requests, seen.bytes, seen.media_s) == (3, len(body) + len(sound), 4.0)
    assert edge.counted["media_ms"] == 4000


async def test_of_an_asset_without_video_the_seconds_of_sound_are_told(
    edge: World, client: httpx.AsyncClient
) -> None:
    found = edge.library.assets["film", GENERATION]
    sound = tuple(r for r in found.renditions if r.track == "audio")
    edge.library.assets["film", GENERATION] = replace(found, renditions=sound)
    await client.get(f"{edge.session()}audio/5.m4s")
    await edge.app.activity.post()
    assert edge.keys.seen[0][b64url(bytes(16))].media_s == 4.0
