"""A real film through real parts: keys over HTTP, a sealed origin, the cache, the pace; ffmpeg watches it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from edge.app import EdgeApp
from keys import sign_url
from keys.client import KeysClient
from tests.edge.film import Premises, ffmpeg, listening, premises
from tests.edge.parts import listening_socket, until
from tests.support.viewer import Viewer


@pytest.fixture
async def film(tmp_path: Path) -> AsyncIterator[Premises]:
    on, url = listening_socket()
    async with premises(tmp_path, url) as found:
        app: EdgeApp = found.edge()
        async with listening(app, on):
            await until(lambda: not (app.revocations.missing() or app.trusted.missing()))
            yield found


def link(film: Premises, **how: object) -> str:
    return sign_url(f"{film.edge_url}/v/film/main.m3u8", film.secrets.issuer, **how)  # type: ignore[arg-type]


async def frames(source: str, stream: str) -> list[str]:
    """The checksum of every decoded frame, in order."""
    process = await asyncio.create_subprocess_exec(
        ffmpeg(), "-v", "error", "-i", source, "-map", stream, "-f", "framemd5", "-",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0
    return [line.rsplit(",", 1)[1] for line in out.decode().splitlines() if not line.startswith("#")]


async def test_every_byte_is_what_was_packaged_and_the_origin_is_asked_once(film: Premises) -> None:
    for _ in range(2):
        async with Viewer(link(film)) as viewer:
            await viewer.opened()
            for rendition in ("180p", "audio"):
                found = film.objects[rendition]
                names = ["init.mp4", *(f"{n}.m4s" for n in range(len(found) - 1))]
                assert await viewer.whole(rendition) == b"".join(found[name] for name in names)
    assert len(film.origin.requests) == len(set(film.origin.requests))


async def test_ffmpeg_plays_a_link_frame_for_frame(film: Premises, tmp_path: Path) -> None:
    found = film.objects["180p"]
    packaged = tmp_path / "packaged.mp4"
    packaged.write_bytes(found["init.mp4"] + b"".join(found[f"{n}.m4s"] for n in range(len(found) - 1)))
    expected = await frames(str(packaged), "0:v")
    assert len(expected) == 200
    assert await frames(link(film), "0:v") == expected


async def test_one_viewer_two_links_of_one_network_and_revocation(film: Premises) -> None:
    async with Viewer(link(film, viewer="ann")) as viewer, Viewer(link(film, viewer="bob")) as other:
        await viewer.opened()
        await other.opened()
        assert (await viewer.get(viewer.segment_url("180p", 0))).status_code == 200
        async with KeysClient(film.keys_url, lambda: film.secrets.admin_token) as admin:
            await admin.revoke("viewer", "ann")
        async with asyncio.timeout(10):
            while (await viewer.get(viewer.segment_url("180p", 1))).status_code == 200:
                pass
        refused = await viewer.get(viewer.segment_url("180p", 2))
        assert (refused.status_code, refused.json()["code"]) == (403, "revoked")
        assert (await other.get(other.segment_url("180p", 1))).status_code == 200


async def test_nothing_at_the_origin_is_plain(film: Premises) -> None:
    for rendition, found in film.objects.items():
        for name, plain in found.items():
            stored = film.origin.blobs[f"film/{film.generation}/{rendition}/{name}"]
            assert plain[100:132] not in stored


async def test_two_edges_give_a_session_the_same_bytes(film: Premises) -> None:
    on, url = listening_socket()
    second = film.edge("edge-2")
    async with listening(second, on), Viewer(link(film)) as viewer, httpx.AsyncClient() as client:
        await viewer.opened()
        here = await viewer.get(viewer.segment_url("180p", 1))
        await until(lambda: not (second.revocations.missing() or second.trusted.missing()))
        there = await client.get(viewer.segment_url("180p", 1).replace(film.edge_url, url))
    assert (here.content, here.headers["etag"]) == (there.content, there.headers["etag"])
