"""Who gets nothing: altered, expired, foreign, revoked tokens: each 403, each telling a stranger the same."""

import json
import time
from pathlib import Path

import httpx
import pytest

import keys
from keys.names import b64url, b64url_decode
from keys.signing import SigningKey
from tests.support.eventually import eventually
from tests.support.system import System
from tests.support.viewer import Viewer


@pytest.fixture
def site_key(system: System) -> SigningKey:
    return SigningKey.load(system.data / "secrets" / "issuer.json")


def token_of(link: str) -> str:
    return link.split("URISigningPackage=")[1].split("/")[0]


async def refused(link: str) -> httpx.Response:
    async with Viewer(link) as viewer:
        answer = await viewer.open()
        assert answer.status_code == 403, (answer.status_code, answer.text)
        return answer


async def test_an_altered_link_is_refused(system: System, film: str) -> None:
    link = system.link(film)
    token = token_of(link)
    header, payload, signature = token.split(".")
    claims = json.loads(b64url_decode(payload))
    later = b64url(json.dumps({**claims, "exp": claims["exp"] + 3600}).encode())
    swapped = "A" if signature[5] != "A" else "B"
    for forged in (
        f"{header}.{later}.{signature}",
        f"{header}.{payload}.{signature[:5]}{swapped}{signature[6:]}",
        f"{header}.{payload}.{signature}=",
        f"{header}.{payload}.",
        f"{b64url(json.dumps({'alg': 'none'}).encode())}.{payload}.",
    ):
        answer = await refused(link.replace(token, forged))
        assert answer.json()["code"] == "forbidden"


async def test_an_expired_link_says_so(system: System, film: str, site_key: SigningKey) -> None:
    url = f"{system.edges[0]}/v/{film}/main.m3u8"
    link = keys.sign_url(url, site_key, start_within_s=60, now=time.time() - 120)
    assert (await refused(link)).json()["code"] == "expired"


async def test_t12_unknown_asset_and_bad_token_look_the_same(
    system: System, film: str, site_key: SigningKey
) -> None:
    unknown = keys.sign_url(f"{system.edges[0]}/v/no-such-film/main.m3u8", site_key)
    good = system.link(film)
    forged = good.replace(token_of(good), token_of(good)[:-6] + "AAAAAA")
    one, two = await refused(unknown), await refused(forged)
    assert one.content == two.content
    differing = {"date", "sluice-request-id"}
    assert {k: v for k, v in one.headers.items() if k not in differing} == {
        k: v for k, v in two.headers.items() if k not in differing
    }


async def test_a_link_of_another_issuer_is_refused(system: System, film: str, tmp_path: Path) -> None:
    stranger = SigningKey.generate("site")
    link = keys.sign_url(f"{system.edges[0]}/v/{film}/main.m3u8", stranger)
    assert (await refused(link)).json()["code"] == "forbidden"


async def test_a_session_opens_no_other_asset(system: System, film: str, other_film: str) -> None:
    async with await Viewer(system.link(film)).opened() as viewer:
        answer = await viewer.client.get(viewer.url.replace(f"/{film}/", f"/{other_film}/"))
        assert answer.status_code == 403
        foreign = system.link(other_film)
        answer = await viewer.client.get(foreign.replace(token_of(foreign), token_of(viewer.url)))
        assert answer.status_code == 403


async def test_t2_a_session_url_opened_as_a_link_opens_no_session(system: System, film: str) -> None:
    async with await Viewer(system.link(film)).opened() as viewer:
        as_link = f"{system.edges[0]}/v;URISigningPackage={token_of(viewer.url)}/{film}/main.m3u8"
        assert (await viewer.client.get(as_link)).status_code == 403


async def test_a_revoked_session_stops_and_says_why(system: System, film: str) -> None:
    async with await Viewer(system.link(film)).opened() as viewer:
        rendition = viewer.renditions()[0]
        assert (await viewer.get(viewer.segment_url(rendition, 0))).status_code == 200
        token = token_of(viewer.url)
        sid = json.loads(b64url_decode(token.split(".")[1]))["sid"]
        told = system.sluice("revoke", sid)
        assert told.returncode == 0, told.stderr

        async def stopped() -> bool:
            statuses = [
                (await viewer.client.get(viewer.segment_url(rendition, 0))).status_code for _ in range(4)
            ]
            return statuses == [403] * 4  # on every worker

        await eventually(stopped, within_s=10)
        for path in (f"{rendition}/key/0", f"{rendition}/index.m3u8", f"{rendition}/0.m4s"):
            answer = await viewer.client.get(str(httpx.URL(viewer.url).join(path)))
            assert (answer.status_code, answer.json()["code"]) == (403, "revoked"), path


async def test_a_single_use_link_opens_once(system: System, film: str) -> None:
    link = system.link(film, "--once")
    async with await Viewer(link).opened() as viewer:
        assert viewer.multivariant
    elsewhere = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address="127.0.77.1"))
    async with Viewer(link, elsewhere) as second:
        answer = await second.open()
        assert (answer.status_code, answer.json()["code"]) == (403, "limit")


async def test_a_link_bound_to_a_network_opens_only_there(system: System, film: str) -> None:
    link = system.link(film, "--ip", "127.0.88.0/24")
    assert (await refused(link)).json()["code"] == "forbidden"
    inside = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address="127.0.88.1"))
    async with Viewer(link, inside) as viewer:
        await viewer.opened()
        url = viewer.segment_url(viewer.renditions()[0], 0)
        assert (await viewer.get(url)).status_code == 200
        async with httpx.AsyncClient() as outside:
            assert (await outside.get(url)).status_code == 403
