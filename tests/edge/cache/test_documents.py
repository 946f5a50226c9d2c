"""Descriptors and digest lists: asked for once, believed only when a known packager signed them."""

import asyncio
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keys.problems import Problem
from origin.media.asset import write_descriptor

PATH = "asset/asset.json"


async def test_all_workers_of_all_nodes_ask_the_origin_once(
    bench: Any, origin: Any, redis_server: Any
) -> None:
    bench.redis_url = redis_server.url
    workers = [await bench.library(node) for node in ("n1", "n1", "n2")]
    found = await asyncio.gather(*(worker.descriptor("film", 1) for worker in workers * 30))
    assert {descriptor.title for descriptor in found} == {"Film"}
    assert origin.requests == {PATH: 1}


async def test_an_unknown_generation_is_said(bench: Any, origin: Any) -> None:
    library = await bench.library()
    with pytest.raises(Problem) as refused:
        await library.descriptor("film", 2)
    assert refused.value.code == "not_found"
    with pytest.raises(Problem):
        await library.descriptor("other", 1)


async def test_a_signature_of_nobody_we_know_makes_us_ask_for_trust_once(bench: Any, origin: Any) -> None:
    known: list[Ed25519PublicKey] = []
    asked = []

    async def refresh() -> None:
        asked.append(1)
        known[:] = bench.published.public()

    library = await bench.library(packagers=lambda: known, refresh_trust=refresh)
    assert (await library.descriptor("film", 1)).title == "Film"
    assert await bench.read(library, "1.m4s") == bench.published.plain["1.m4s"]
    assert asked == [1]


async def test_f19_a_node_that_does_not_know_the_packager_yet_asks_keys_and_not_the_origin(
    bench: Any, origin: Any, redis_server: Any
) -> None:
    bench.redis_url = redis_server.url
    await (await bench.library("n1")).descriptor("film", 1)
    known: list[Ed25519PublicKey] = []

    async def refresh() -> None:
        known[:] = bench.published.public()

    late = await bench.library("n2", packagers=lambda: known, refresh_trust=refresh)
    assert (await late.descriptor("film", 1)).title == "Film"
    assert origin.requests[PATH] == 1


async def test_a_document_no_packager_signed_is_refused_and_not_kept(bench: Any, origin: Any) -> None:
    async def refresh() -> None:
        return

    stranger = Ed25519PrivateKey.generate().public_key()
    library = await bench.library(packagers=lambda: [stranger], refresh_trust=refresh)
    for expected in (1, 2):
        with pytest.raises(Problem) as refused:
            await library.descriptor("film", 1)
        assert refused.value.code == "bad_upstream"
        assert origin.requests[PATH] == expected
    other = await bench.library()
    assert (await other.descriptor("film", 1)).title == "Film"


async def test_f15_t20_documents_in_redis_are_believed_by_their_signature_only(
    bench: Any, origin: Any, redis_server: Any
) -> None:
    bench.redis_url = redis_server.url
    honest = await (await bench.library("n1")).descriptor("film", 1)
    forged = write_descriptor(Ed25519PrivateKey.generate(), honest)
    retitled = json.dumps(json.loads(bench.published.stored[PATH]) | {"descriptor": "{}"}).encode()
    async with redis_server.client() as client:
        for number, lie in enumerate(
            [forged, retitled, b"", b"[]", b"\xff", bench.published.stored["720p/list"]]
        ):
            await client.set("sluice:s:-/film/1/asset/asset.json/0", lie)
            library = await bench.library(f"other{number}")
            assert await library.descriptor("film", 1) == honest
            assert bench.counts["bad_documents"] == number + 1
            assert origin.requests[PATH] == number + 2


async def test_a_list_that_was_altered_in_the_node_s_memory_is_fetched_again(bench: Any, origin: Any) -> None:
    await bench.read(await bench.library(), "1.m4s")
    for path in (bench.room / "n1").glob("s-*"):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.unlink()
        path.write_bytes(data)
    library = await bench.library()
    assert await bench.read(library, "1.m4s") == bench.published.plain["1.m4s"]
    assert bench.counts["bad_l1"] == 2
    assert origin.requests == {"720p/list": 2, "720p/1.m4s": 2}
