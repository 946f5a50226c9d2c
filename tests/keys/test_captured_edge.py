"""T19: what somebody can do at keys who has a node's credentials of an edge (SECURITY 3.5)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from httpx_aiohttp import AiohttpTransport

from keys import SigningKey, sign_url
from keys.container import split_token
from keys.names import b64url_decode
from keys.nodes import NodeIdentity
from keys.secrets import Secrets
from keys.service import KeysService
from keys.tokens import mint

if TYPE_CHECKING:
    from tests.keys.conftest import Clock, Serve

EDGE = "http://127.0.0.1:8010"
FILM, FILE = f"{EDGE}/v/film/main.m3u8", f"{EDGE}/d/film/film.mp4"
SID = bytes(16)


@pytest.fixture
async def captured(
    service: KeysService, serve: Serve, clock: Clock, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """Keys, asked with the identity of an enrolled edge. `film` and `other` are published."""
    for asset in ("film", "other"):
        await service.publish(asset, (await service.new_generation(asset)).generation, None)
    node = NodeIdentity.load_or_create(tmp_path / "edge.json", "edge-1", "edge")
    await service.roster.enrol(node.name, node.role, node.public_jwk())
    headers = {"authorization": f"Bearer {node.bearer('keys', clock.now)}"}
    url = await serve(service)
    async with httpx.AsyncClient(base_url=url, headers=headers, transport=AiohttpTransport()) as http:
        yield http


def link(secrets: Secrets, clock: Clock, url: str = FILM, **how: object) -> str:
    return split_token(sign_url(url, secrets.issuer, now=clock.now, **how))[1]  # type: ignore[arg-type]


async def opened(http: httpx.AsyncClient, token: str, uri: str = FILM) -> str:
    answer = await http.post("/v1/sessions", json={"token": token, "uri": uri, "client_ip": "192.0.2.7"})
    assert answer.status_code == 201
    return str(answer.json()["session_token"])


async def test_t19_it_learns_public_keys_only(captured: httpx.AsyncClient) -> None:
    for path in ("/v1/trust", "/.well-known/jwks.json"):
        text = (await captured.get(path)).text
        assert '"x"' in text and '"d"' not in text and "viewer_key" not in text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/revocations"),
        ("GET", "/v1/sessions"),
        ("POST", "/v1/generations"),
        ("POST", "/v1/generations/film/1/publish"),
        ("DELETE", "/v1/assets/film"),
        ("POST", "/v1/enrol"),
    ],
)
async def test_t19_it_changes_nothing_and_sees_nobody_elses_viewers(
    captured: httpx.AsyncClient, method: str, path: str
) -> None:
    body = json.dumps({"kind": "sid", "value": "x", "asset": "new", "name": "n", "role": "origin", "jwk": {}})
    assert (await captured.request(method, path, content=body)).status_code == 401


async def test_t19_it_gets_the_keys_of_a_session_only_with_that_sessions_own_token(
    captured: httpx.AsyncClient, secrets: Secrets, clock: Clock
) -> None:
    token = await opened(captured, link(secrets, clock))
    own = SigningKey.generate("sluice", viewer_key=False)
    forged = mint(own, sid=SID, asset="other", expires=clock.now + 60, now=clock.now, hosts=[EDGE])
    for text, uri in (
        (link(secrets, clock), FILM),  # a link is no session's token
        (forged, f"{EDGE}/v/other/aes/main.m3u8"),  # nor is what it signs itself
        (token, f"{EDGE}/v/other/aes/main.m3u8"),  # nor another asset's
    ):
        answer = await captured.post("/v1/leases", json={"session_token": text, "uri": uri})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    answer = await captured.post("/v1/leases", json={"session_token": token, "uri": FILM})
    assert answer.status_code == 200
    assert answer.json()["lease_expires"] <= clock.now + 15 * 60


async def test_t19_it_prolongs_no_session_and_opens_no_used_link(
    captured: httpx.AsyncClient, secrets: Secrets, clock: Clock
) -> None:
    once = link(secrets, clock, FILE, renew="cookie", renew_s=3600, session_s=30, once=True)
    token = await opened(captured, once, FILE)
    end = int(clock.now) + 30
    clock.advance(20)
    for _ in range(3):
        answer = await captured.post("/v1/renewals", json={"session_token": token, "uri": FILE})
        token = answer.json()["session_token"]
        assert json.loads(b64url_decode(token.split(".")[1]))["exp"] == end == answer.json()["expires"]
    clock.advance(10)
    answer = await captured.post("/v1/renewals", json={"session_token": token, "uri": FILE})
    assert (answer.status_code, answer.json()["code"]) == (403, "expired")
    again = {"token": once, "uri": FILE, "client_ip": "10.0.0.1"}
    assert (await captured.post("/v1/sessions", json=again)).json()["code"] == "limit"


async def test_t19_once_its_node_is_removed_it_gets_nothing_more(
    captured: httpx.AsyncClient, service: KeysService, secrets: Secrets, clock: Clock
) -> None:
    token = await opened(captured, link(secrets, clock))
    lent = await captured.post("/v1/leases", json={"session_token": token, "uri": FILM})
    await service.roster.remove("edge-1")
    body = {"session_token": token, "token": link(secrets, clock), "uri": FILM, "client_ip": "192.0.2.7"}
    for method, path in (
        ("POST", "/v1/leases"),
        ("POST", "/v1/renewals"),
        ("POST", "/v1/sessions"),
        ("POST", "/v1/activity"),
        ("GET", "/v1/revocations"),
        ("GET", "/v1/trust"),
        ("GET", "/v1/regions/default/keys"),
    ):
        answer = await captured.request(method, path, json=body if method == "POST" else None)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), path
    assert lent.json()["lease_expires"] <= clock.now + 15 * 60, "what it holds ends by itself"


async def test_t19_it_does_not_undo_a_revocation(
    captured: httpx.AsyncClient, service: KeysService, secrets: Secrets, clock: Clock
) -> None:
    token = await opened(captured, link(secrets, clock, viewer="anna"))
    await service.revoker.revoke("viewer", "anna")
    for path in ("/v1/leases", "/v1/renewals"):
        answer = await captured.post(path, json={"session_token": token, "uri": FILM})
        assert (answer.status_code, answer.json()["code"]) == (403, "revoked")
    feed = (await captured.get("/v1/revocations?after=0")).json()
    assert [entry["value"] for entry in feed["entries"]] == ["anna"]
