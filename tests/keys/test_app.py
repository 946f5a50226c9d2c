"""The keys service over a real socket: every row of its table, who may ask, and what the rest are told."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from httpx_aiohttp import AiohttpTransport
from sqlalchemy import text

from keys import sign_url
from keys.container import split_token
from keys.issuers import LinkIssuer
from keys.nodes import NodeIdentity
from keys.reading import MAX_BODY
from keys.revocation import Feed
from keys.secrets import Secrets
from keys.service import KeysService
from keys.stores import Stores
from tests.support.attacks import VECTORS
from tests.support.forge import GOOD, TRUST, URI

if TYPE_CHECKING:
    from tests.keys.conftest import Clock, Serve

FILM = "http://127.0.0.1:8010/v/film/main.m3u8"

Headers = dict[str, str]


@pytest.fixture
async def http(service: KeysService, serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    url = await serve(service)
    async with httpx.AsyncClient(base_url=url, transport=AiohttpTransport()) as client:
        yield client


def bearer(token: str) -> Headers:
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
def admin(secrets: Secrets) -> Headers:
    return bearer(secrets.admin_token)


async def enrolled(service: KeysService, folder: Path, role: str, now: float) -> Headers:
    node = NodeIdentity.load_or_create(folder / f"{role}.json", f"{role}-1", role)
    await service.roster.enrol(node.name, node.role, node.public_jwk())
    return bearer(node.bearer("keys", now))


@pytest.fixture
async def edge(service: KeysService, tmp_path: Path, clock: Clock) -> Headers:
    return await enrolled(service, tmp_path, "edge", clock.now)


@pytest.fixture
async def origin(service: KeysService, tmp_path: Path, clock: Clock) -> Headers:
    return await enrolled(service, tmp_path, "origin", clock.now)


def problem(response: httpx.Response) -> dict[str, Any]:
    """The body of a refusal, in the one form all have."""
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["sluice-request-id"]
    body: dict[str, Any] = json.loads(response.content)
    assert body["status"] == response.status_code
    return body


async def test_enrol_trust_generation_publish_sign_open_lease_revoke_feed(
    http: httpx.AsyncClient, secrets: Secrets, admin: Headers, clock: Clock, tmp_path: Path
) -> None:
    nodes = {
        role: NodeIdentity.load_or_create(tmp_path / f"{role}.json", f"{role}-1", role)
        for role in ("origin", "edge")
    }
    for node in nodes.values():
        body = {"name": node.name, "role": node.role, "jwk": node.public_jwk()}
        for _ in range(2):
            token = secrets.origin_token if node.role == "origin" else secrets.join_token
            answer = await http.post("/v1/enrol", json=body, headers=bearer(token))
            assert (answer.status_code, answer.content) == (204, b"")
    origin, edge = (bearer(nodes[role].bearer("keys", clock.now)) for role in ("origin", "edge"))

    trust = (await http.get("/v1/trust", headers=edge)).json()
    assert {node["name"] for node in trust["nodes"]} == {"origin-1", "edge-1"}
    jwks = (await http.get("/.well-known/jwks.json")).json()
    assert jwks["keys"] == next(i["keys"] for i in trust["issuers"] if i["kind"] == "session")
    assert "d" not in jwks["keys"][0]

    made = await http.post("/v1/generations", json={"asset": "film"}, headers=origin)
    assert made.status_code == 201
    assert set(made.json()) == {"tenant", "asset", "generation", "storage_key"}
    publish = f"/v1/generations/film/{made.json()['generation']}/publish"
    assert (await http.post(publish, json={"pace": {"burst_s": 20}}, headers=origin)).status_code == 204
    assert (await http.post(publish, headers=origin)).status_code == 204

    token = split_token(sign_url(FILM, secrets.issuer, viewer="anna", now=clock.now))[1]
    wish = {"token": token, "uri": FILM, "client_ip": "198.51.100.7"}
    opened = await http.post("/v1/sessions", json=wish, headers=edge)
    assert opened.status_code == 201
    assert opened.headers["cache-control"] == "no-store"
    session = opened.json()
    assert set(session) == {
        "session_token",
        "sid",
        "asset",
        "generation",
        "expires",
        "cookie",
        "cookie_until",
    }
    assert (await http.post("/v1/sessions", json=wish, headers=edge)).json() == session

    proof = {"session_token": session["session_token"], "uri": "http://127.0.0.1:8010/v/film/aes/720p/0.m4s"}
    lease = await http.post("/v1/leases", json=proof, headers=edge)
    assert lease.status_code == 200
    assert set(lease.json()) == {
        "sid", "tenant", "asset", "generation", "srk", "sk", "expires", "lease_expires", "network",
        "bucket", "iss", "kid", "lid", "viewer", "pace", "now", "limits", "cookie",
        "opened", "token_kid", "asset_streams",
    }  # fmt: skip
    assert lease.json()["sk"] == made.json()["storage_key"]

    seen = {"sessions": {session["sid"]: {"at": clock.now, "requests": 2, "bytes": 10, "media_s": 4.0}}}
    assert (await http.post("/v1/activity", json=seen, headers=edge)).status_code == 204
    (listed,) = (await http.get("/v1/sessions?live_within_s=60", headers=admin)).json()["sessions"]
    assert set(listed) == {
        "sid", "lid", "asset", "generation", "viewer", "client_ip", "opened", "expires", "last_seen",
        "requests", "bytes", "media_s", "edge", "state", "ripper", "offline_until",
    }  # fmt: skip
    assert (listed["viewer"], listed["requests"], listed["edge"]) == ("anna", 2, "edge-1")

    taken = {"kind": "sid", "value": session["sid"]}
    entry = await http.post("/v1/revocations", json=taken, headers=admin)
    assert entry.status_code == 201
    feed = (await http.get("/v1/revocations?after=0&wait=25", headers=edge)).json()
    assert feed == {**feed, "version": 1, "entries": [entry.json()], "now": clock.now}
    refusal = await http.post("/v1/leases", json=proof, headers=edge)
    assert problem(refusal)["code"] == "revoked"

    assert (await http.delete("/v1/assets/film", headers=admin)).status_code == 204
    assert (await http.delete("/v1/assets/film", headers=origin)).status_code == 204
    assert problem(await http.post("/v1/sessions", json=wish, headers=edge))["code"] == "forbidden"


TABLE = [
    ("POST", "/v1/enrol", {"join"}),
    ("GET", "/v1/trust", {"edge", "shield", "origin"}),
    ("POST", "/v1/sessions", {"edge"}),
    ("GET", "/v1/sessions", {"admin"}),
    ("DELETE", "/v1/sessions?viewer=anna", {"admin"}),
    ("POST", "/v1/leases", {"edge"}),
    ("GET", "/v1/revocations", {"edge", "shield", "origin"}),
    ("POST", "/v1/revocations", {"admin"}),
    ("GET", "/v1/keys", {"admin"}),
    ("POST", "/v1/rotations", {"admin"}),
    ("GET", "/v1/regions/default/keys", {"edge"}),
    ("POST", "/v1/activity", {"edge"}),
    ("POST", "/v1/generations", {"origin"}),
    ("POST", "/v1/generations/film/1/publish", {"origin"}),
    ("DELETE", "/v1/assets/film", {"origin", "admin"}),
    ("GET", "/v1/nodes", {"admin"}),
    ("DELETE", "/v1/nodes/edge-9", {"admin"}),
    ("GET", "/v1/assets/film/limits", {"admin"}),
    ("PATCH", "/v1/assets/film/limits", {"admin"}),
]


async def test_each_row_is_open_to_its_own_callers_and_refuses_all_others_alike(
    http: httpx.AsyncClient,
    secrets: Secrets,
    service: KeysService,
    edge: Headers,
    origin: Headers,
    clock: Clock,
    tmp_path: Path,
) -> None:
    stranger = NodeIdentity.load_or_create(tmp_path / "stranger.json", "edge-1", "edge")
    callers = {
        "edge": edge,
        "shield": await enrolled(service, tmp_path, "shield", clock.now),
        "origin": origin,
        "admin": bearer(secrets.admin_token),
        "join": bearer(secrets.join_token),
        "nobody": {},
        "basic": {"authorization": f"Basic {secrets.admin_token}"},
        "empty": bearer(""),
        "wrong": bearer(secrets.admin_token[:-1] + "\xe9"),
        "stranger under a known name": bearer(stranger.bearer("keys", clock.now)),
    }
    for (method, path, allowed), (name, headers) in itertools.product(TABLE, callers.items()):
        response = await http.request(method, path, headers=httpx.Headers(headers, encoding="latin-1"))
        if name in allowed:
            assert response.status_code != 401, (method, path, name)
        else:
            body = problem(response)
            assert (body["code"], body["message"]) == ("unauthenticated", "Unauthenticated."), (path, name)
            assert response.headers["www-authenticate"] == "Bearer"


async def test_a_nodes_token_is_for_this_service_and_for_a_minute(
    http: httpx.AsyncClient, service: KeysService, clock: Clock, tmp_path: Path, edge: Headers
) -> None:
    node = NodeIdentity.load_or_create(tmp_path / "edge.json", "edge-1", "edge")
    elsewhere = await http.get("/v1/trust", headers=bearer(node.bearer("origin", clock.now)))
    assert problem(elsewhere)["code"] == "unauthenticated"
    assert (await http.get("/v1/trust", headers=edge)).status_code == 200
    clock.advance(60)
    assert problem(await http.get("/v1/trust", headers=edge))["code"] == "unauthenticated"


async def test_a_node_enrolled_in_another_process_is_known_at_its_first_request(
    http: httpx.AsyncClient, stores: Stores, clock: Clock, edge: Headers, tmp_path: Path
) -> None:
    assert (await http.get("/v1/trust", headers=edge)).status_code == 200
    node = NodeIdentity.load_or_create(tmp_path / "late.json", "edge-2", "edge")
    await stores.nodes.enrol(node.name, node.role, node.public_jwk(), clock.now)
    answer = await http.get("/v1/trust", headers=bearer(node.bearer("keys", clock.now)))
    assert answer.status_code == 200


async def test_another_key_for_a_known_name_is_a_conflict(
    http: httpx.AsyncClient, secrets: Secrets, edge: Headers, tmp_path: Path
) -> None:
    other = NodeIdentity.load_or_create(tmp_path / "other.json", "edge-1", "edge")
    body = {"name": "edge-1", "role": "edge", "jwk": other.public_jwk()}
    answer = await http.post("/v1/enrol", json=body, headers=bearer(secrets.join_token))
    assert problem(answer)["code"] == "conflict"


async def test_health_needs_nothing(http: httpx.AsyncClient) -> None:
    assert (await http.get("/healthz")).json() == {"status": "ok"}


async def test_a_body_that_is_no_json_object_is_a_bad_request(
    http: httpx.AsyncClient, admin: Headers
) -> None:
    twice = b'{"kind":"sid","kind":"lid","value":"x"}'
    for content in (b"{", b"[]", b'"x"', b"null", b"\xff", twice, b'{"a":NaN}', b"[" * 9999):
        answer = await http.post("/v1/revocations", content=content, headers=admin)
        assert problem(answer)["code"] == "bad_request", content[:20]


async def test_a_field_missing_or_of_another_type_is_named(http: httpx.AsyncClient, admin: Headers) -> None:
    for body in ({}, {"kind": 1, "value": "x"}, {"kind": "sid"}, {"kind": "sid", "value": None}):
        answer = problem(await http.post("/v1/revocations", json=body, headers=admin))
        assert answer["code"] == "bad_request"
        assert "a string" in answer["message"]


async def test_activity_of_another_form_is_a_bad_request(http: httpx.AsyncClient, edge: Headers) -> None:
    sid = "s" * 22
    whole = {"at": 1, "requests": 1, "bytes": 1, "media_s": 1}
    wrong: list[object] = [
        [],
        {"short": whole},
        {sid[:-1] + "\0": whole},
        {sid: 1},
        {sid: {"at": 1, "requests": 1, "bytes": 1}},
        {sid: whole | {"requests": -1}},
        {sid: whole | {"requests": True}},
        {sid: whole | {"at": "x"}},
        {sid: whole | {"bytes": 10**20}},
        {sid: whole | {"held_s": -1}},
        {sid: whole | {"again_s": None}},
        {sid: whole | {"position_s": "x"}},
    ]
    for activity in wrong:
        answer = await http.post("/v1/activity", json={"sessions": activity}, headers=edge)
        assert problem(answer)["code"] == "bad_request", activity


async def test_a_number_that_is_none_is_a_bad_request(
    http: httpx.AsyncClient, edge: Headers, origin: Headers
) -> None:
    for query in ("after=-1", "after=x", "wait=nan", "wait=-1", "after=1e99"):
        answer = await http.get(f"/v1/revocations?{query}", headers=edge)
        assert problem(answer)["code"] == "bad_request", query
    for generation in ("x", "-1", "1.5", "9" * 30):
        answer = await http.post(f"/v1/generations/film/{generation}/publish", headers=origin)
        assert problem(answer)["code"] == "bad_request", generation


async def test_a_body_over_64_kib_is_too_large_however_it_comes(
    http: httpx.AsyncClient, admin: Headers
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * (MAX_BODY // 4)

    fits = b'{"kind":"viewer","value":"x"}'.ljust(MAX_BODY)
    assert (await http.post("/v1/revocations", content=fits, headers=admin)).status_code == 201
    for content in (fits + b" ", chunks()):
        answer = await http.post("/v1/revocations", content=content, headers=admin)
        assert problem(answer)["code"] == "too_large"


async def test_an_unknown_path_and_a_wrong_method_are_problems_too(http: httpx.AsyncClient) -> None:
    assert problem(await http.get("/v2/nothing"))["code"] == "not_found"
    answer = await http.delete("/v1/trust")
    assert problem(answer)["code"] == "method_not_allowed"
    assert "GET" in answer.headers["allow"]


async def test_an_unforeseen_error_tells_its_id_and_nothing_else(
    http: httpx.AsyncClient,
    service: KeysService,
    admin: Headers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(live_within_s: float, viewer: str | None) -> list[dict[str, Any]]:
        raise RuntimeError("the canary in the detail")

    monkeypatch.setattr(service, "sessions", broken)
    caplog.set_level(logging.ERROR)
    answer = await http.get("/v1/sessions", headers=admin)
    body = problem(answer)
    assert (answer.status_code, body["code"]) == (500, "internal")
    assert b"canary" not in answer.content
    assert b"Traceback" not in answer.content
    assert body["id"] in caplog.text
    assert "the canary in the detail" in caplog.text


async def test_a_poll_whose_asker_went_away_is_held_no_longer(
    http: httpx.AsyncClient, service: KeysService, edge: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, ended = asyncio.Event(), asyncio.Event()

    async def hold(after: int, wait_s: float, trust: str | None) -> Feed:
        held.set()
        try:
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]
        finally:
            ended.set()

    monkeypatch.setattr(service, "revocations", hold)
    asking = asyncio.create_task(http.get("/v1/revocations?wait=25", headers=edge))
    await held.wait()
    asking.cancel()
    await ended.wait()


async def test_a_database_in_trouble_is_unavailable_and_not_an_error(
    http: httpx.AsyncClient, stores: Stores, admin: Headers
) -> None:
    async with stores.database.write() as connection:
        await connection.execute(text("ALTER TABLE sessions RENAME TO elsewhere"))
    answer = await http.get("/v1/sessions", headers=admin)
    assert problem(answer)["code"] == "unavailable"
    assert answer.headers["retry-after"]


async def test_t21_refusals_are_logged_with_id_and_reason_but_without_the_token(
    http: httpx.AsyncClient, edge: Headers, secrets: Secrets, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    token = split_token(sign_url(FILM, secrets.issuer, now=clock.now))[1]
    wish = {"token": token, "uri": FILM, "client_ip": "198.51.100.7"}
    answer = await http.post("/v1/sessions", json=wish, headers=edge)
    assert answer.headers["sluice-request-id"] in caplog.text
    assert "is not published" in caplog.text
    for secret in (token, edge["authorization"].removeprefix("Bearer "), secrets.join_token):
        assert secret not in caplog.text


async def test_t3_every_attack_is_answered_403_whether_it_is_opened_or_lent_to(
    stores: Stores, secrets: Secrets, clock: Clock, tmp_path: Path, serve: Serve
) -> None:
    believed = [LinkIssuer(issuer) for issuer in TRUST.issuers if issuer.kind == "link"]
    service = await KeysService.start(
        stores, secrets, hosts=["http://edge.example:8010"], issuers=believed, now=clock
    )
    await service.publish("film", (await service.new_generation("film")).generation, None)
    node = await enrolled(service, tmp_path, "edge", clock.now)
    wrong = []
    async with httpx.AsyncClient(base_url=await serve(service), headers=node) as http:

        async def post(path: str, name: str, token: str) -> int:
            sent = json.dumps({name: token, "uri": URI, "client_ip": "192.0.2.7"})
            return (await http.post(path, content=sent)).status_code

        assert await post("/v1/sessions", "token", GOOD) == 201
        for name, (token, _) in VECTORS.items():
            if len(token) > MAX_BODY // 2 or "\ud800" <= max(token, default="") <= "\udfff":
                continue  # too large a body, or no text: a bad request
            answers = [
                await post("/v1/sessions", "token", token),
                await post("/v1/leases", "session_token", token),
            ]
            wrong += [(name, status) for status in answers if status != 403]
    assert wrong == []
