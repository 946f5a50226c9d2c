"""Manifests through a real edge: links open at them, sessions share them, and all they name is there."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
import pytest_asyncio

from edge.app import EdgeApp
from keys import sign_url
from keys.names import b64url
from origin.media.boxes import need
from tests.edge.film import Premises, listening, premises
from tests.edge.parts import listening_socket, until
from tests.support.manifests import read

pytestmark = pytest.mark.asyncio(loop_scope="module")
SCHEMES = ("cbcs", "cenc")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def film(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Premises]:
    on, url = listening_socket()
    async with premises(tmp_path_factory.mktemp("film"), url) as found:
        app: EdgeApp = found.edge()
        async with listening(app, on):
            await until(lambda: not (app.revocations.missing() or app.trusted.missing()))
            yield found


@pytest_asyncio.fixture(loop_scope="module")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20, follow_redirects=True) as found:
        yield found


def link(film: Premises, asked: str = "", file: str = "main.mpd") -> str:
    return sign_url(f"{film.edge_url}/v/film/{file}", film.secrets.issuer) + asked


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_all_a_manifest_names_is_there_and_has_its_key(
    film: Premises, client: httpx.AsyncClient, scheme: str
) -> None:
    answer = await client.get(link(film, f"?protection={scheme}"))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/dash+xml"
    assert answer.headers["cache-control"] == "private, max-age=60"
    assert urlsplit(str(answer.url)).path.endswith(f"/film/{scheme}/main.mpd")
    found = read(answer.content)
    assert found.title == "A film"
    assert [list(track.addresses) for track in found.tracks] == [["180p"], ["audio"]]
    for track in found.tracks:
        assert track.scheme == scheme
        for address in (address for each in track.addresses.values() for address in each):
            piece = await client.get(urljoin(str(answer.url), address))
            assert piece.status_code == 200, address
            if address.endswith("init.mp4"):
                need(piece.content, "moov", "trak")
                assert bytes.fromhex(track.kid) in piece.content and scheme.encode() in piece.content
    kids = [b64url(bytes.fromhex(track.kid)) for track in found.tracks]
    license_ = await client.post(
        urljoin(str(answer.url), "license"), json={"kids": kids, "type": "temporary"}
    )
    assert [row["kid"] for row in license_.json()["keys"]] == kids


async def test_every_session_gets_the_same_manifest_and_may_keep_it_a_minute(
    film: Premises, client: httpx.AsyncClient
) -> None:
    one, two = await asyncio.gather(client.get(link(film)), client.get(link(film)))
    assert one.url != two.url
    assert one.content == two.content and one.headers["etag"] == two.headers["etag"]
    again = await client.get(one.url, headers={"if-none-match": one.headers["etag"]})
    assert again.status_code == 304


async def test_a_link_opens_at_either_and_begins_with_what_every_player_knows(
    film: Premises, client: httpx.AsyncClient
) -> None:
    playlist = link(film, file="main.m3u8")
    for address, place, kind in (
        (playlist, "aes/main.m3u8", "application/vnd.apple.mpegurl"),
        (playlist.replace("main.m3u8", "main.mpd"), "cenc/main.mpd", "application/dash+xml"),
    ):
        looked = await client.head(address)
        assert (looked.status_code, looked.headers["content-type"]) == (200, kind)
        answer = await client.get(address)
        assert str(answer.url).endswith(f"/film/{place}")
    beside = await client.get(urljoin(str(answer.url), "../cbcs/main.mpd"))
    assert read(beside.content).tracks[0].scheme == "cbcs"


async def test_a_session_has_no_manifest_of_whole_segments(film: Premises, client: httpx.AsyncClient) -> None:
    answer = await client.get(link(film))
    refused = await client.get(urljoin(str(answer.url), "../aes/main.mpd"))
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
