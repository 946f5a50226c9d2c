"""Segments under Common Encryption over a real socket: by their maps, whole or visibly broken, and paced."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from edge.deliver.maps import Maps
from edge.deliver.path import COMMON
from edge.deliver.samples import samples_of
from keys.derive import content_key, key_id
from keys.names import b64url
from keys.problems import Problem
from origin.media.asset import Rendition
from origin.media.maps import map_object, read_map
from origin.media.protection import SCHEMES
from origin.media.seal import SLICE
from tests.edge.parts import GENERATION, TENANT, MemoryKeys, World, world
from tests.support.cenc import encrypted
from tests.support.protected import offer

LONG = 1  # the segment of three slices and some bytes
MANY = "720p/1.m4s"


@pytest.fixture
def film(edge: World) -> World:
    """An edge whose film has all protections."""
    offer(edge)
    return edge


def rendition_of(edge: World, name: str) -> Rendition:
    found = edge.library.assets["film", GENERATION].rendition(name)
    assert found is not None
    return found


def expected(edge: World, rendition: str, number: int, scheme: str, sid: bytes = bytes(16)) -> bytes:
    """What a session must get of a segment, made plainly."""
    row = rendition_of(edge, rendition)
    key = content_key(edge.keys.lease_of(b64url(sid)).srk, scheme, row.track, "-", 0)
    return encrypted(
        edge.library.body("film", GENERATION, rendition, f"{number}.m4s"),
        read_map(edge.library.objects[rendition, map_object(number)], number),
        scheme,
        key=key,
        kid=key_id(TENANT, "film", GENERATION, scheme, row.track, "-", 0),
        index=row.index,
        position=number,
    )


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_every_segment_is_protected_by_its_map_under_the_sessions_key(
    film: World, client: httpx.AsyncClient, scheme: str
) -> None:
    base = film.session(protection=scheme)
    for rendition in ("720p", "audio"):
        for number in range(len(rendition_of(film, rendition).sizes)):
            answer = await client.get(f"{base}{rendition}/{number}.m4s")
            assert answer.status_code == 200
            assert int(answer.headers["content-length"]) == len(answer.content)
            assert answer.content == expected(film, rendition, number, scheme)
    assert [each[1] for each in film.gate.asked] == ["video"] * 6 + ["audio"] * 6  # paced as any
    assert film.counted["segments"] == 12


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_ranges_and_preconditions_are_of_the_protected_body(
    film: World, client: httpx.AsyncClient, scheme: str
) -> None:
    url = film.session(protection=scheme) + MANY
    whole = expected(film, "720p", LONG, scheme)
    length = len(whole)
    head = await client.head(url)
    assert int(head.headers["content-length"]) == length and head.headers["accept-ranges"] == "bytes"
    for start, stop in ((0, 1), (0, 300), (100, SLICE), (SLICE - 7, SLICE + 9), (length - 5, length)):
        answer = await client.get(url, headers={"range": f"bytes={start}-{stop - 1}"})
        assert answer.status_code == 206 and answer.content == whole[start:stop]
        assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{length}"
    assert (await client.get(url, headers={"range": f"bytes={length}-"})).status_code == 416
    tag = {"if-none-match": head.headers["etag"]}
    assert (await client.get(url, headers=tag)).status_code == 304


async def test_h18_h19_headers_are_those_of_any_segment(film: World, client: httpx.AsyncClient) -> None:
    clear, *others = [
        (await client.get(film.session(ends_in=9000, protection=each) + "720p/5.m4s")).headers
        for each in ("aes", *SCHEMES)
    ]
    own = ("etag", "content-length", "date")
    for found in others:
        assert {n: v for n, v in found.items() if n not in own} == {
            n: v for n, v in clear.items() if n not in own
        }
        assert found["cache-control"] == "private, max-age=3600, no-transform"
    assert len({found["etag"] for found in (clear, *others)}) == 3


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_k4_two_edges_give_a_session_the_same_bytes_and_another_session_others(
    film: World, client: httpx.AsyncClient, web: Path, scheme: str
) -> None:
    keys = MemoryKeys()
    async with world(web, keys) as other:
        offer(other)
        keys.own, keys.edges = film.keys.own, (film.url, other.url)
        await other.trusted.refresh()
        tokens = [keys.session_token(bytes([n] * 16)) for n in range(2)]
        answers = [
            await client.get(f"{url}/v;URISigningPackage={token}/film/{scheme}/720p/1.m4s")
            for url, token in ((film.url, tokens[0]), (other.url, tokens[0]), (other.url, tokens[1]))
        ]
    assert answers[0].content == answers[1].content != answers[2].content
    assert answers[0].headers["etag"] == answers[1].headers["etag"] != answers[2].headers["etag"]


def test_k3_every_key_is_of_one_protection_and_track() -> None:
    keys = MemoryKeys()
    leases = [keys.lease_of(b64url(bytes([n] * 16))) for n in range(3)]
    leases += [replace(leases[0], srk=bytes(32))]
    made = {
        content_key(lease.srk, scheme, track, "-", 0)
        for lease in leases
        for scheme in COMMON
        for track in ("video", "audio")
    }
    assert len(made) == len(leases) * 4


async def test_aes_asks_for_no_map(edge: World, client: httpx.AsyncClient) -> None:
    offer(edge)
    base = edge.session()
    for path in ("main.m3u8", "720p/index.m3u8", "720p/init.mp4", "720p/key/0", "720p/0.m4s"):
        assert (await client.get(base + path)).status_code == 200
    assert not any(name.startswith("map-") for _, name, _ in edge.library.opens)


async def test_an_asset_packaged_before_is_refused_what_it_does_not_have_and_plays_on_as_aes(
    edge: World, client: httpx.AsyncClient
) -> None:
    link = edge.link()
    opened = await client.get(f"{link}?protection=cenc")
    assert opened.status_code == 302 and opened.headers["location"].endswith("/film/cenc/main.m3u8")
    base = edge.session(protection="cenc")
    for path in ("main.m3u8", "720p/index.m3u8", "720p/init.mp4", "720p/key/0", "720p/0.m4s"):
        answer = await client.get(base + path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_offered")
        assert answer.json()["message"] == Problem("not_offered").message
        assert answer.headers["cache-control"] == "no-store"
    body = json.dumps({"kids": [b64url(bytes(16))]})
    assert (await client.post(f"{base}license", content=body)).status_code == 404
    assert (await client.get(link)).headers["location"].endswith("/film/aes/main.m3u8")
    assert (await client.get(edge.session() + "720p/0.m4s")).status_code == 200
    assert edge.gate.asked and len(edge.gate.asked) == 1  # nothing was charged for what was not there


async def test_a_map_that_is_not_there_or_no_map_gives_no_segment(
    film: World, client: httpx.AsyncClient
) -> None:
    url = film.session(protection="cbcs") + "720p/5.m4s"
    block = film.library.objects.pop(("720p", "map-0"))
    answer = await client.get(url)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_offered")
    for wrong in (b"", block[:40], b"\xff" + block[1:], film.library.objects["audio", "map-0"][:-1]):
        film.library.objects["720p", "map-0"] = wrong
        assert (await client.get(url)).status_code == 502
    film.library.objects["720p", "map-0"] = block
    assert (await client.get(url)).content == expected(film, "720p", 5, "cbcs")


async def test_an_init_segment_that_cannot_be_protected_is_our_trouble(
    film: World, client: httpx.AsyncClient
) -> None:
    assert (await client.get(film.session(protection="cenc") + "720p/init.mp4")).status_code == 502


async def test_maps_are_read_once_and_what_is_kept_is_bounded(edge: World) -> None:
    offer(edge)
    lease, row = edge.keys.lease_of(b64url(bytes(16))), rendition_of(edge, "720p")
    maps = Maps(edge.library)
    descriptor = edge.library.assets["film", GENERATION]
    samples = samples_of(descriptor, row.track, "cenc")
    found = await maps.get(lease, row, LONG, samples)
    other = edge.keys.lease_of(b64url(bytes([1] * 16)))
    assert await maps.get(other, row, LONG, samples) is found
    assert [name for _, name, _ in edge.library.opens] == ["map-0"]
    small = Maps(edge.library, most_bytes=5_000)
    for _ in range(2):
        for number in range(len(row.sizes)):
            for scheme in SCHEMES:
                await small.get(lease, row, number, samples_of(descriptor, row.track, scheme))
    assert 0 < len(small) < 12
    assert await maps.get(replace(lease, generation=4), row, LONG, samples) is not found
    assert all(each.closed for each in edge.library.opened)


async def test_a_segment_waits_for_its_grant_and_then_comes_whole(
    film: World, client: httpx.AsyncClient
) -> None:
    film.gate.given.clear()
    asking = asyncio.create_task(client.get(film.session(protection="cbcs") + MANY))
    await film.gate.arrived.wait()
    assert [name for _, name, _ in film.library.opens] == ["map-0"]  # no media for whoever waits
    film.gate.given.set()
    assert (await asking).content == expected(film, "720p", LONG, "cbcs")


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_long_wait_drips_no_media_and_ends_in_the_right_bytes(
    film: World, client: httpx.AsyncClient, scheme: str
) -> None:
    segments = film.app.media.segments
    segments._hold_s = segments._drip_every_s = 0.02
    film.gate.given.clear()
    got = bytearray()
    async with client.stream("GET", film.session(protection=scheme) + MANY) as answer:
        assert answer.status_code == 200
        async for chunk in answer.aiter_raw():
            got += chunk
            if len(got) >= 12:
                film.gate.given.set()
    assert bytes(got) == expected(film, "720p", LONG, scheme)


async def test_a_body_that_cannot_be_finished_is_visibly_short(
    film: World, client: httpx.AsyncClient
) -> None:
    await client.get(film.session(protection="cenc") + "720p/0.m4s")  # the map is known
    film.library.fail_at = 2
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get(film.session(protection="cenc") + MANY)
    assert film.counted["failed"] == 1


async def test_t4_what_is_held_does_not_outlive_its_session(film: World, client: httpx.AsyncClient) -> None:
    segments = film.app.media.segments
    segments._hold_s = segments._drip_every_s = 0.02
    film.gate.given.clear()
    film.gate.dripping = False
    asking = asyncio.create_task(client.get(film.session(protection="cenc") + MANY))
    await film.gate.arrived.wait()
    film.keys.revoke("sid", b64url(bytes(16)))
    answer = await asking
    assert (answer.status_code, answer.json()["code"]) == (403, "revoked")


async def test_what_went_out_is_told_to_keys(film: World, client: httpx.AsyncClient) -> None:
    body = (await client.get(film.session(protection="cbcs") + "720p/5.m4s")).content
    await film.app.activity.post()
    (seen,) = film.keys.seen[0].values()
    assert (seen.requests, seen.bytes, seen.media_s) == (1, len(body), 4.0)


async def test_crowds_of_slow_readers_get_their_own_bytes(film: World, client: httpx.AsyncClient) -> None:
    """Sixteen sessions at once, in both schemes, of one segment."""
    wanted = [(bytes([n] * 16), scheme) for n in range(8) for scheme in SCHEMES]

    async def taken(sid: bytes, scheme: str) -> bytes:
        got = bytearray()
        async with client.stream("GET", film.session(sid, protection=scheme) + MANY) as answer:
            async for chunk in answer.aiter_raw(8192):
                got += chunk
                await asyncio.sleep(0)
        return bytes(got)

    bodies = await asyncio.gather(*(taken(*each) for each in wanted))
    for (sid, scheme), body in zip(wanted, bodies, strict=True):
        assert body == expected(film, "720p", LONG, scheme, sid)
    assert len(set(bodies)) == len(wanted)
