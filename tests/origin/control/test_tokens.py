"""API tokens: what each may do, route by route; hashed, revoked, expired; failed tries are limited."""

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from keys.problems import Problem
from origin.control.callers import ADDRESSES, TRIES_AT_ONCE, FailedTries
from origin.control.scopes import ADMIN, SCOPES, scopes

if TYPE_CHECKING:
    from tests.origin.control.conftest import Site


async def rows(http: httpx.AsyncClient) -> list[tuple[str, str, str]]:
    """Method, path and scope of every row there is, as the document says."""
    document = (await http.get("/api/openapi.json")).json()
    names = {"id": "film", "sid": "s", "zone": "press"}
    return [
        (method.upper(), path.format_map(names), row["x-scope"])
        for path, methods in document["paths"].items()
        for method, row in methods.items()
    ]


FURTHER = [
    ("POST", "/v1/uploads", "uploads"),
    ("GET", "/v1/uploads?bytes=1", "uploads"),
    ("POST", "/v1/tus", "uploads"),
    ("GET", "/v1/assets", ADMIN),
    ("DELETE", "/v1/assets/film", ADMIN),
    ("POST", "/upload", ADMIN),
]


async def test_t12_no_row_does_anything_without_a_token(site: "Site") -> None:
    async with site.http() as http:
        found = await rows(http) + FURTHER
        assert len(found) > 25
        for method, path, _ in found:
            answer = await http.request(method, path)
            assert answer.status_code == 401, (method, path)
            assert answer.json()["code"] == "unauthenticated"
            if path.startswith("/api"):
                assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_token_opens_the_rows_of_its_scopes_and_no_others(site: "Site") -> None:
    async with site.http() as http:
        found = await rows(http) + FURTHER
    for number, scope in enumerate(SCOPES):
        token = await site.token(scope, name=f"t{number}")
        async with site.http(token) as http:
            for method, path, needs in found:
                answer = await http.request(method, path)
                if needs == scope:
                    assert answer.status_code not in (401, 403), (scope, method, path, answer.text)
                else:
                    assert answer.status_code == 403, (scope, method, path, answer.text)
                    assert answer.json()["code"] == "forbidden"


@pytest.mark.parametrize("how", ["revoked", "expired", "unknown", "malformed", "altered"])
async def test_a_token_that_is_no_good_opens_nothing(site: "Site", how: str) -> None:
    token = await site.token(*SCOPES, expires_in_s=60)
    async with site.http(token) as http:
        assert (await http.get("/api/v1/assets")).status_code == 200
        found = await rows(http)
    async with site.admin as http:
        if how == "revoked":
            assert (await http.post("/api/v1/tokens/one/revoke")).json()["state"] == "revoked"
    if how == "expired":
        site.clock[0] = 61
    shown = {"unknown": "slc_" + "A" * 43, "malformed": "slc_x", "altered": token[:-1] + "!"}.get(how, token)
    statuses = set()
    async with site.http(shown) as http:
        for method, path, _ in found + FURTHER:
            answer = await http.request(method, path)
            assert answer.status_code in (401, 429), (method, path, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert (answer.headers.get("www-authenticate") == "Bearer") is (answer.status_code == 401)
            statuses.add(answer.status_code)
    assert statuses == {401, 429}, "failed tries are limited"


async def test_too_many_failed_tries_shut_out_no_token_that_was_good(site: "Site") -> None:
    token = await site.token("assets:read")
    async with site.http(token) as good, site.http("slc_" + "A" * 43) as bad:
        assert (await good.get("/api/v1/assets")).status_code == 200
        statuses = [(await bad.get("/api/v1/assets")).status_code for _ in range(TRIES_AT_ONCE + 5)]
        assert statuses[0] == 401 and statuses[-1] == 429
        refused = await bad.get("/api/v1/assets")
        assert int(refused.headers["retry-after"]) > 0
        assert (await good.get("/api/v1/assets")).status_code == 200


def test_failed_tries_come_back_with_time_and_are_forgotten_beyond_a_bound() -> None:
    now = [0.0]
    tries = FailedTries(lambda: now[0])
    assert not tries.refuses("a")
    for _ in range(TRIES_AT_ONCE + 1):
        tries.failed("a")
    assert tries.refuses("a") and not tries.refuses("b")
    now[0] = 1000
    assert not tries.refuses("a")
    for number in range(ADDRESSES + 10):
        tries.failed(str(number))
    assert len(tries._rates) == ADDRESSES


async def test_a_token_is_stored_as_a_hash_and_told_once(site: "Site", tmp_path: Path) -> None:
    token = await site.token("links", name="cms", expires_in_s=3600)
    assert token.startswith("slc_") and len(token) == 47
    async with site.admin as http:
        (listed,) = (await http.get("/api/v1/tokens")).json()["items"]
        assert token not in (await http.get("/api/v1/tokens")).text
    assert (listed["name"], listed["scopes"], listed["state"]) == ("cms", ["links"], "good")
    with sqlite3.connect(tmp_path / "catalogue.db") as database:
        assert token.encode() not in b"\n".join(line.encode() for line in database.iterdump())


async def test_when_a_token_was_used_last_is_told(site: "Site") -> None:
    token = await site.token("assets:read")
    async with site.http(token) as http:
        await http.get("/api/v1/assets")
    async with site.admin as http:
        (listed,) = (await http.get("/api/v1/tokens")).json()["items"]
    assert listed["last_used"] >= listed["created"]


async def test_a_name_is_free_again_once_its_token_is_revoked(site: "Site") -> None:
    await site.token("links")
    async with site.admin as http:
        body = {"name": "one", "scopes": ["links"]}
        assert (await http.post("/api/v1/tokens", json=body)).status_code == 409
        assert (await http.post("/api/v1/tokens/one/revoke")).status_code == 200
        assert (await http.post("/api/v1/tokens/one/revoke")).status_code == 404
        assert (await http.post("/api/v1/tokens", json=body)).status_code == 201


async def test_a_token_uploads_by_tus_and_ends_no_site(site: "Site") -> None:
    async with site.http(await site.token("uploads", "sessions:write")) as http:
        made = await http.post("/v1/tus", headers={"tus-resumable": "1.0.0", "upload-length": "10"})
        assert made.status_code == 201
        head = await http.head(made.headers["location"], headers={"tus-resumable": "1.0.0"})
        assert head.headers["upload-offset"] == "0"
        for kind, value in (("kid", "site/x"), ("epoch", "default")):
            asked = await http.post("/api/v1/revocations", json={"kind": kind, "value": value})
            assert asked.status_code == 403


def test_scopes_are_read_in_one_order_and_unknown_ones_refused() -> None:
    assert scopes(["links", "assets:read", "links"]) == ("assets:read", "links")
    for wrong in ([], ["all"], [ADMIN]):
        with pytest.raises(ValueError):
            scopes(wrong)
    assert Problem("invalid").status == 422


@pytest.mark.parametrize("row", ["/api/v1/assets", "/api/v1/uploads?bytes=1"])
async def test_a_database_in_trouble_is_told_as_trouble(site: "Site", tmp_path: Path, row: str) -> None:
    token = await site.token("assets:read", "uploads")
    with sqlite3.connect(tmp_path / "catalogue.db") as database:
        database.execute("ALTER TABLE api_tokens RENAME TO gone")
    async with site.http(token) as http:
        answer = await http.get(row)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "api_tokens" not in answer.text


async def test_no_name_is_an_id(site: "Site") -> None:
    async with site.admin as http:
        made = await http.post("/api/v1/tokens", json={"name": "tok_1234", "scopes": ["links"]})
    assert made.status_code == 422
