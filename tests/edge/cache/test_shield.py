"""A shield answers as the origin does, asks it once, and hands on nothing but what the packager signed."""

import asyncio
import socket
from typing import Any

import httpx
import pytest

from origin.media.seal import SLICE, TAG, sealed_length
from tests.edge.cache.shields import GOOD, Shields

STORED = SLICE + TAG
PATHS = [f"720p/{name}" for name in ("init.mp4", "0.m4s", "1.m4s", "2.m4s", "3.m4s", "list")] + [
    "asset/asset.json"
]


async def ask(url: str, path: str, **fields: str) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        return await http.get(f"{url}/v1/blobs/film/1/{path}", headers={"authorization": GOOD, **fields})


async def test_the_same_questions_get_the_same_answers_as_at_the_origin(
    shields: Shields, bench: Any, origin: Any
) -> None:
    shield = await shields()
    for path in PATHS:
        body = bench.published.stored[path]
        answer = await ask(shield.url, path)
        assert (answer.status_code, answer.content) == (200, body)
        assert answer.headers["content-length"] == str(len(body))
        for first, last in [
            (0, 0),
            (0, 5),
            (3, len(body) + 99),
            (STORED - 1, STORED),
            (STORED, 3 * STORED - 1),
        ]:
            answer = await ask(shield.url, path, range=f"bytes={first}-{last}")
            if first >= len(body):
                assert (answer.status_code, answer.content) == (416, b"")
                assert answer.headers["content-range"] == f"bytes */{len(body)}"
            else:
                assert (answer.status_code, answer.content) == (206, body[first : last + 1])
                until = min(last, len(body) - 1)
                assert answer.headers["content-range"] == f"bytes {first}-{until}/{len(body)}"
    assert (await ask(shield.url, "720p/9.m4s")).status_code == 404
    assert (await ask(shield.url, "1080p/0.m4s")).status_code == 404
    async with httpx.AsyncClient(headers={"authorization": GOOD}) as http:
        head = await http.head(f"{shield.url}/v1/blobs/film/1/720p/0.m4s")
        assert (head.status_code, head.headers["content-length"]) == (200, str(sealed_length(5 * SLICE // 2)))
        posted = await http.post(f"{shield.url}/v1/blobs/film/1/720p/0.m4s")
        assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")


async def test_every_request_shows_a_bearer_also_for_what_is_cached(shields: Shields) -> None:
    shield = await shields()
    assert (await ask(shield.url, "720p/0.m4s")).status_code == 200
    for authorization in ("", "Bearer another", "Basic eDp5"):
        refused = await ask(shield.url, "720p/0.m4s", authorization=authorization)
        assert (refused.status_code, refused.headers["cache-control"]) == (401, "no-store")
    assert shield.counts["refused"] == 3


async def test_the_origin_sees_the_bearer_of_the_shield_and_no_other(shields: Shields, origin: Any) -> None:
    await ask((await shields()).url, "720p/0.m4s")
    assert origin.bearers == {"Bearer shield-token"}


async def test_f19_edges_without_a_redis_in_common_cost_the_origin_one_copy(
    shields: Shields, edges: Any, bench: Any, origin: Any
) -> None:
    shield = await shields()
    libraries = [await edges([shield.url], [origin.url], f"edge-{n}") for n in range(4)]
    for name, plain in bench.published.plain.items():
        bodies = await asyncio.gather(*(bench.read(each, name) for each in libraries))
        assert set(bodies) == {plain}
        assert origin.requests[f"720p/{name}"] == 1
    assert origin.requests["720p/list"] == origin.requests["asset/asset.json"] == 1
    assert bench.counts["origin_requests"] == 0
    answer = await ask(shield.url, "720p/0.m4s")
    assert answer.headers["cache-status"] == "shield-a; hit; detail=l1"


async def test_bytes_flow_through_a_shield_while_its_fill_runs(
    shields: Shields, edges: Any, bench: Any, origin: Any
) -> None:
    gate = origin.faults.gates["720p/2.m4s"] = bench.gate(5 * SLICE)
    library = await edges([(await shields()).url], [origin.url])
    opened = await bench.open(library, "2.m4s")
    assert bytes(await opened.slice(0)) == bench.published.plain["2.m4s"][:SLICE]
    await gate.reached.wait()
    assert bytes(await opened.slice(3)) == bench.published.plain["2.m4s"][3 * SLICE : 4 * SLICE]
    gate.open.set()
    assert len(await opened.slice(9)) == 5


async def test_t19_a_shield_keeps_no_plain_byte(shields: Shields, bench: Any, origin: Any) -> None:
    shield = await shields()
    for path in PATHS:
        await ask(shield.url, path)
    kept = {place.object.name: bytes(view) for place, view in shield.memory._kept.items()}
    assert len(kept) >= len(PATHS)
    for name, plain in bench.published.plain.items():
        for at in range(0, len(plain) - 32, 1 << 16):
            assert not any(plain[at : at + 32] in body for body in kept.values()), name


async def test_f5_a_shield_hands_on_no_slice_that_is_not_the_listed_one(
    shields: Shields, bench: Any, origin: Any
) -> None:
    shield = await shields()
    origin.faults.flip_at["720p/0.m4s"] = [STORED + 7]
    answer = await ask(shield.url, "720p/0.m4s")
    assert answer.content == bench.published.stored["720p/0.m4s"]
    assert shield.counts["bad_slices"] == 1
    assert origin.requests["720p/0.m4s"] == 2


async def test_f6_trouble_at_the_origin_is_said_to_be_its_own(
    shields: Shields, edges: Any, origin: Any
) -> None:
    shield = await shields()
    assert (await ask(shield.url, "720p/0.m4s")).status_code == 200
    await origin.stop()
    answer = await ask(shield.url, "720p/1.m4s")
    assert answer.status_code == 503
    assert answer.headers["proxy-status"] == "shield-a; error=destination_unavailable"
    library = await edges([shield.url], [origin.url])
    for _ in range(6):
        with pytest.raises(Exception, match="unavailable"):
            await (await library.open("default", "film", 1, "720p", "1.m4s", bytes(32))).slice(0)
    assert library._origin.shields_up == 1, "it has what it has"
    assert (await ask(shield.url, "720p/0.m4s")).status_code == 200


async def test_t22_what_is_told_on_of_a_request_cannot_spoil_the_fill_others_wait_for(
    shields: Shields,
) -> None:
    shield = await shields()
    for odd in ("a" * 2000, "caf\xe9"):
        async with httpx.AsyncClient() as http:
            fields = [(b"authorization", GOOD.encode()), (b"cdn-loop", odd.encode("latin-1"))]
            answer = await http.get(f"{shield.url}/v1/blobs/film/1/720p/0.m4s", headers=fields)
        assert answer.status_code == 400
    assert (await ask(shield.url, "720p/0.m4s", **{"cdn-loop": "edge-1, other; x=1"})).status_code == 200


async def test_t22_who_asks_in_a_circle_is_refused_within_two_hops(shields: Shields, origin: Any) -> None:
    """Two shields, each the other's origin: a mistake in the settings, seen at once and not by a timeout."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    two = await shields("shield-b", f"http://127.0.0.1:{port}")
    one = await shields("shield-a", two.url, port=port)
    async with asyncio.timeout(10):
        answer = await ask(one.url, "720p/0.m4s")
    assert answer.status_code == 508
    assert one.counts["loops"] >= 1
    assert [each.get(b"cdn-loop") for each in one.fields][:2] == [None, b"shield-a, shield-b"]
    assert [each.get(b"cdn-loop") for each in two.fields][:1] == [b"shield-a"]
