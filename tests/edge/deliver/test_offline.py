"""Licenses for offline use over real sockets: for the sessions that are granted it, and for nobody else."""

import json
import logging
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.deliver.license import MOST_BYTES
from keys import offline
from keys.ecdh import private_jwk, public_jwk
from keys.ece import decoded
from keys.jws import VerifyKey
from keys.limits import Limits
from keys.names import b64url, b64url_decode
from keys.problems import Problem
from tests.edge.parts import PROTECTED, World, file_bytes, until

FILE = "ece/locked.mp4"
DAY = 86_400
MACHINE = X25519PrivateKey.generate()
WISH: dict[str, Any] = {"device": public_jwk(MACHINE.public_key())}


async def asked(client: httpx.AsyncClient, url: str, **how: Any) -> httpx.Response:
    return await client.post(f"{url}/license", **(how or {"json": WISH}))


def refused(answer: httpx.Response) -> str:
    """The code of a refusal, which is a 403 that nobody stores."""
    assert (answer.status_code, answer.headers["cache-control"]) == (403, "no-store")
    code: str = answer.json()["code"]
    return code


async def test_the_license_s_key_opens_what_the_session_gets(edge: World, client: httpx.AsyncClient) -> None:
    url = edge.download(FILE, offline=DAY)
    answer = await asked(client, url)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store"), answer.text
    said = answer.json()
    license = offline.read(said["license"], VerifyKey.from_jwk(said["signer"]))
    body = (await client.get(url)).content
    assert body.startswith(license.header.to_bytes())
    size = PROTECTED["locked.mp4"]
    assert decoded(offline.content_key(license, MACHINE), body) == file_bytes("locked.mp4", size)
    file = license.file
    assert (file.name, file.shown, file.size) == ("locked.mp4", "A locked.mp4", size)
    assert edge.counted["offline_licenses"] == 1
    await until(lambda: any(license.sid in seen for seen in edge.keys.seen))  # told like any other use


async def test_a_session_that_is_not_granted_it_hears_so(edge: World, client: httpx.AsyncClient) -> None:
    answer = await asked(client, edge.download(FILE))
    assert refused(answer) == "not_offline"
    assert answer.json()["message"] == Problem("not_offline").message
    assert "offline_license" not in edge.keys.calls
    assert "offline_licenses" not in edge.counted


async def test_links_other_files_and_other_methods_get_none(edge: World, client: httpx.AsyncClient) -> None:
    link = edge.download_link(FILE, offline_s=DAY)
    assert refused(await asked(client, link)) == "forbidden"
    url = edge.download(FILE, offline=DAY)
    assert refused(await asked(client, url.replace("locked", "hollow"))) == "forbidden"
    assert refused(await asked(client, edge.download("film.mp4", offline=DAY))) == "forbidden"
    got = await client.get(f"{url}/license")
    assert (got.status_code, got.headers["allow"]) == (405, "POST, OPTIONS")
    assert (await client.post(url, json=WISH)).status_code == 405
    assert "offline_license" not in edge.keys.calls


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"[]", b"device", b'{"device":1}', b'{"device":{}}', b'{"device":{"kty":"OKP"}}',
        json.dumps({"device": private_jwk(MACHINE)}).encode(), b'{"device":' * 1000,
        json.dumps({"device": {"kty": "OKP", "crv": "X25519", "x": b64url(bytes(31))}}).encode(), b"\xff",
    ],
)  # fmt: skip
async def test_what_is_no_request_is_refused(edge: World, client: httpx.AsyncClient, body: bytes) -> None:
    answer = await asked(client, edge.download(FILE, offline=DAY), content=body)
    assert (answer.status_code, answer.json()["code"]) in ((400, "bad_request"), (413, "too_large"))
    assert "offline_license" not in edge.keys.calls


async def test_a_request_has_an_end(edge: World, client: httpx.AsyncClient) -> None:
    answer = await asked(client, edge.download(FILE, offline=DAY), content=bytes(MOST_BYTES + 1))
    assert answer.status_code == 413


async def test_revocation_and_limits_are_asked_before(edge: World, client: httpx.AsyncClient) -> None:
    url = edge.download(FILE, offline=DAY, sid=b"1" * 16)
    edge.keys.limits = Limits(countries=("DE",))
    assert refused(await asked(client, url)) == "limit"
    edge.keys.limits = Limits()
    url = edge.download(FILE, offline=DAY, sid=b"2" * 16)
    assert (await asked(client, url)).status_code == 200
    edge.keys.revoke("sid", b64url(b"2" * 16))
    while (answer := await asked(client, url)).status_code == 200:
        pass
    assert refused(answer) == "revoked"


async def test_another_machine_s_license_is_said_to_be_so(edge: World, client: httpx.AsyncClient) -> None:
    url = edge.download(FILE, offline=DAY)
    assert (await client.get(f"{url}/key")).status_code == 200  # there is a lease now
    edge.keys.refuse = Problem("limit", limit="offline")
    answer = await asked(client, url)
    assert (refused(answer), answer.json()["limit"]) == ("limit", "offline")


async def test_a_token_renewed_by_redirect_is_posted_with(edge: World, client: httpx.AsyncClient) -> None:
    opened = await client.get(edge.download_link(FILE, offline_s=DAY, renew="redirect", renew_s=1))
    place, query = opened.headers["location"].split("?")
    answer = await client.post(f"{edge.url}{place}/license?{query}", json=WISH)
    assert answer.status_code == 200, answer.text


async def test_nothing_of_a_license_is_logged(
    edge: World, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = (await asked(client, edge.download(FILE, offline=DAY))).json()
    assert said["license"] not in caplog.text
    sealed = json.loads(b64url_decode(said["license"].split(".")[1]))["key"]
    assert sealed not in caplog.text
