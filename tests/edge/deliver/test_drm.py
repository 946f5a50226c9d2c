"""A DRM asset through a real edge: the provider's keys open what it serves; nobody gets them from here."""

import asyncio
import json
import logging
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urljoin
from xml.etree.ElementTree import fromstring

import httpx
import pytest
import pytest_asyncio

from edge.app import EdgeApp
from keys import sign_url
from keys.cpix import AUDIO, VIDEO
from keys.cpix_xml import write_cpix
from keys.names import b64url
from origin.media.boxes import boxes, need
from tests.edge.deliver.test_common_journey import KINDS, Watching, kid_of
from tests.edge.film import Premises, listening, premises
from tests.edge.parts import listening_socket, until
from tests.support.cenc import frames
from tests.support.drm import SYSTEMS, document, key_of
from tests.support.eventually import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
TRACKS = {"180p": VIDEO, "audio": AUDIO}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=SYSTEMS)
async def film(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Premises]:
    on, url = listening_socket()
    drm = write_cpix(document(request.param))
    async with premises(tmp_path_factory.mktemp("film"), url, drm) as found:
        app: EdgeApp = found.edge()
        async with listening(app, on):
            await until(lambda: not (app.revocations.missing() or app.trusted.missing()))
            yield found


@pytest.fixture
def scheme(request: pytest.FixtureRequest, film: Premises) -> str:
    found = str(request.node.callspec.params["film"])
    assert found in SYSTEMS
    return found


def link(film: Premises, file: str = "main.m3u8", asked: str = "") -> str:
    return sign_url(f"{film.edge_url}/v/film/{file}", film.secrets.issuer) + asked


async def test_the_providers_keys_open_every_frame(film: Premises, scheme: str, tmp_path: Path) -> None:
    async with Watching(link(film)) as viewer:
        await viewer.opened()
        assert viewer.url.endswith("/film/drm/main.m3u8")
        for rendition, kind in KINDS.items():
            clear, sent = tmp_path / f"{rendition}.mp4", tmp_path / f"{rendition}-sent.mp4"
            found = film.objects[rendition]
            names = ["init.mp4", *(f"{n}.m4s" for n in range(len(found) - 1))]
            clear.write_bytes(b"".join(found[name] for name in names))
            sent.write_bytes(b"".join(await viewer.protected(rendition)))
            expected = await asyncio.to_thread(frames, clear, kind)
            key = key_of(document(scheme), TRACKS[rendition])
            assert len(expected) > 100
            assert await asyncio.to_thread(frames, sent, kind, key) == expected


async def test_all_sessions_get_the_same_protected_bytes(film: Premises) -> None:
    async with Watching(link(film)) as one, Watching(link(film)) as two:
        await one.opened()
        await two.opened()
        assert one.url != two.url and one.multivariant == two.multivariant
        for rendition in KINDS:
            assert await one.protected(rendition) == await two.protected(rendition)
            assert one.media_bytes[rendition] == two.media_bytes[rendition]
            clear = film.objects[rendition]["1.m4s"]
            assert clear[-4000:] not in await one.cipher(rendition, 1)


async def test_playlists_manifest_and_init_segments_have_what_drm_systems_ask_with(
    film: Premises, scheme: str
) -> None:
    said = document(scheme)
    async with Watching(link(film)) as viewer:
        await viewer.opened()
        text = viewer.multivariant.decode()
        assert all(each.hls_multivariant and each.hls_multivariant in text for each in said.systems)
        for rendition, track in TRACKS.items():
            kid = next(rule.kid for rule in said.rules if rule.track_type == track)
            told = [each for each in said.systems if each.kid == kid]
            init = await viewer.init(rendition)
            assert kid_of(init) == kid.bytes
            inside = [b for b in boxes(init, need(init, "moov")) if b.type == "pssh"]
            assert [init[b.start : b.end] for b in inside] == [each.pssh for each in told if each.pssh]
            await viewer.protected(rendition)
            lines = viewer.media_bytes[rendition].decode().splitlines()
            assert [line for line in lines if "X-KEY" in line] == [each.hls_media for each in told]
        answer = await viewer.get(urljoin(viewer.url, "main.mpd"))
        assert answer.status_code == 200
        kids = {
            value for each in fromstring(answer.text).iter() for name, value in each.items() if "KID" in name
        }
        assert kids == {str(key.kid) for key in said.keys}


async def test_a_link_opens_drm_unasked_at_either_and_no_other_protection_is_offered(film: Premises) -> None:
    async with httpx.AsyncClient(follow_redirects=True, timeout=20) as client:
        for file in ("main.m3u8", "main.mpd"):
            answer = await client.get(link(film, file))
            assert (answer.status_code, str(answer.url).rsplit("/film/", 1)[1]) == (200, f"drm/{file}")
        for other in ("aes", "cbcs", "cenc"):
            asked = await client.get(link(film, asked=f"?protection={other}"))
            beside = await client.get(urljoin(str(answer.url), f"../{other}/180p/0.m4s"))
            key = await client.get(urljoin(str(answer.url), f"../{other}/180p/key/0"))
            for refused in (asked, beside, key):
                assert (refused.status_code, refused.json()["code"]) == (404, "not_offered")


async def test_nobody_gets_a_key_from_an_edge(
    film: Premises, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    got: list[bytes] = []
    async with Watching(link(film)) as viewer:
        await viewer.opened()
        kids = [b64url(await viewer.kid(rendition)) for rendition in KINDS]
        body = json.dumps({"kids": kids, "type": "temporary"})
        asked = [await viewer.client.post(urljoin(viewer.url, "license"), content=body)]
        asked += [await viewer.get(urljoin(viewer.url, f"{rendition}/key/0")) for rendition in KINDS]
        for answer in asked:
            assert (answer.status_code, answer.json()["code"]) == (403, "drm")
            assert "license server" in answer.json()["message"]
            assert answer.headers["cache-control"] == "no-store"
        got += [answer.content for answer in asked] + [viewer.multivariant]
        for rendition in KINDS:
            got += [*(await viewer.protected(rendition)), viewer.media_bytes[rendition]]
        got.append((await viewer.get(urljoin(viewer.url, "main.mpd"))).content)
    got.append(caplog.text.encode())
    got += film.origin.blobs.values()
    got += [path.read_bytes() for path in film.folder.rglob("*") if path.is_file()]
    for key in document(scheme).keys:
        assert key.key is not None
        for form in (key.key, key.key.hex().encode(), b64encode(key.key), b64url(key.key).encode()):
            assert not any(form in each for each in got)


async def test_nothing_of_it_leaves_without_a_session_of_its_own(film: Premises) -> None:
    """Its keys are lent for a session, to an edge that shows the session's token."""
    other = sign_url(f"{film.edge_url}/v/other/main.m3u8", film.secrets.issuer)
    async with Watching(link(film)) as viewer, httpx.AsyncClient(timeout=20) as client:
        await viewer.opened()
        token = viewer.url.split("/v;", 1)[1].split("/", 1)[0]
        name, _, signed = token.partition("=")
        head, payload, tag = signed.split(".")
        forged = f"{name}={head}.{payload}.{tag[:-4]}AAAA"
        for bad in (viewer.segment_url("180p", 0).replace(token, forged), other):
            assert (await client.get(bad)).status_code == 403


async def test_a_session_that_was_taken_back_gets_no_more(film: Premises) -> None:
    headers = {"authorization": f"Bearer {film.secrets.admin_token}"}
    async with Watching(link(film)) as viewer, httpx.AsyncClient(base_url=film.keys_url) as keys:
        await viewer.opened()
        assert (await viewer.get(viewer.segment_url("180p", 0))).status_code == 200
        listed = (await keys.get("/v1/sessions?live_within_s=600", headers=headers)).json()["sessions"]
        for each in listed:
            taken = {"kind": "sid", "value": each["sid"]}
            assert (await keys.post("/v1/revocations", json=taken, headers=headers)).status_code == 201

        async def refused() -> bool:
            return (await viewer.get(viewer.segment_url("180p", 1))).status_code == 403

        await eventually(refused, within_s=20)
        answer = await viewer.get(viewer.segment_url("180p", 1))
        assert answer.json()["code"] == "revoked"
