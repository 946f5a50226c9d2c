"""Assets over the API: pages, filters, uploads, titles under If-Match, jobs, repeats, refusals."""

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.problems import STATUS, Problem
from origin.control.paging import Paged, page, read, written

if TYPE_CHECKING:
    from tests.origin.control.conftest import Site


async def test_pages_show_every_asset_once_also_when_some_come_and_go(site: "Site") -> None:
    for number in range(7):
        await site.catalogue.create(source_name="f", id=f"film-{number}", state="queued")
    async with site.admin as http:
        shown: list[str] = []
        cursor = ""
        while True:
            asked: dict[str, Any] = {"limit": 2, "cursor": cursor}
            answer = (await http.get("/api/v1/assets", params=asked)).json()
            shown += [each["id"] for each in answer["items"]]
            if answer["next"] is None:
                break
            cursor = answer["next"]
            if len(shown) == 2:
                await site.catalogue.create(source_name="f", id="late", state="queued")
                await site.catalogue.delete("film-0")
    assert shown == [f"film-{number}" for number in range(6, 0, -1)]


async def test_assets_are_found_by_state_and_text(site: "Site") -> None:
    await site.publish("alps")
    await site.catalogue.create(source_name="Sea.mp4", id="b", title="The 100% sea", state="queued")
    async with site.admin as http:
        for asked, ids in (
            ({"state": "published"}, ["alps"]),
            ({"q": "SEA"}, ["b"]),
            ({"q": "0%"}, ["b"]),
            ({"q": "_"}, []),
            ({"q": "alp", "state": "queued"}, []),
        ):
            found = (await http.get("/api/v1/assets", params=asked)).json()["items"]
            assert [each["id"] for each in found] == ids, asked
        (job,) = (await http.get("/api/v1/jobs")).json()["items"]
        assert (job["asset"], job["state"]) == ("b", "queued")


async def test_an_upload_becomes_an_asset_that_is_cancelled_retried_and_deleted(
    site: "Site", film: bytes
) -> None:
    async with site.admin as http:
        made = await http.post(
            "/api/v1/assets", params={"name": "sea.mp4", "id": "sea"}, content=film,
            headers={"content-type": "application/octet-stream"},
        )  # fmt: skip
        assert made.status_code == 201, made.text
        assert made.headers["location"] == "/api/v1/assets/sea" and made.json()["state"] == "queued"
        one = "/api/v1/assets/sea"
        assert (await http.post(one + "/cancel")).json()["state"] == "cancelled"
        assert (await http.post(one + "/cancel")).status_code == 409
        assert (await http.post(one + "/retry")).json()["state"] == "queued"
        assert (await http.delete(one, headers={"if-match": '"other"'})).status_code == 412
        assert (await http.delete(one)).status_code == 204
        assert (await http.get(one)).status_code == 404


async def test_a_title_changes_only_under_the_etag_it_was_read_with(site: "Site") -> None:
    await site.publish("film")
    one = "/api/v1/assets/film"
    async with site.admin as http:
        first = (await http.get(one)).headers["etag"]
        assert (await http.get(one, headers={"if-none-match": f"W/{first}"})).status_code == 304
        changed = await http.patch(one, json={"title": "Höhe"}, headers={"if-match": first})
        assert changed.json()["title"] == "Höhe" and changed.headers["etag"] != first
        late = await http.patch(one, json={"title": "Tiefe"}, headers={"if-match": first})
        assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
        assert (await http.patch(one, json={"title": "Weite"})).json()["title"] == "Weite"
        hidden = await http.patch(one, json={"title": "\u202e"})
        assert hidden.status_code == 422
        for header in ("*", changed.headers["etag"], f'"x", {changed.headers["etag"]}'):
            again = await http.patch(one, json={"title": "Höhe"}, headers={"if-match": header})
            assert again.status_code in (200, 412)


TWICE = b'{"title":"a","title":"b"}'


@pytest.mark.parametrize(
    ("method", "path", "content", "headers", "status"),
    [
        ("GET", "/api/v1/nothing", b"", {}, 404),
        ("GET", "/api/v1/assets/NO SUCH", b"", {}, 404),
        ("GET", "/api/v1/assets/%00", b"", {}, 404),
        ("PUT", "/api/v1/assets", b"", {}, 405),
        ("PATCH", "/api/v1/assets/film", b"{}", {"content-type": "text/plain"}, 415),
        ("PATCH", "/api/v1/assets/film", b"{", {"content-type": "application/json"}, 400),
        ("PATCH", "/api/v1/assets/film", b"[]", {"content-type": "application/json"}, 400),
        ("PATCH", "/api/v1/assets/film", TWICE, {"content-type": "application/json"}, 400),
        ("PATCH", "/api/v1/assets/film", b"[" * 60_000, {"content-type": "application/json"}, 400),
        ("PATCH", "/api/v1/assets/film", b'{"title":"\\ud800"}', {"content-type": "application/json"}, 400),
        ("PATCH", "/api/v1/assets/film", b'{"title":7}', {"content-type": "application/json"}, 422),
        ("PATCH", "/api/v1/assets/film", b'{"title":"a\\u0000"}', {"content-type": "application/json"}, 422),
        ("PATCH", "/api/v1/assets/film", b'{"titel":"a"}', {"content-type": "application/json"}, 422),
        ("PATCH", "/api/v1/assets/film", b" " * 70_000, {"content-type": "application/json"}, 413),
        ("GET", "/api/v1/assets?limit=0", b"", {}, 422),
        ("GET", "/api/v1/assets?limit=1&limit=2", b"", {}, 422),
        ("GET", "/api/v1/assets?who=me", b"", {}, 422),
        ("GET", "/api/v1/assets?cursor=eA", b"", {}, 422),
        ("GET", "/api/v1/assets?cursor=!!", b"", {}, 422),
        ("POST", "/api/v1/assets?name=x", b"no film", {"content-type": "application/octet-stream"}, 415),
        ("POST", "/api/v1/assets/film/cancel", b"", {"idempotency-key": "a b"}, 400),
    ],
)  # fmt: skip
async def test_every_refusal_has_one_shape(
    site: "Site", method: str, path: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    await site.publish("film")
    async with site.admin as http:
        answer = await http.request(method, path, content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert STATUS[problem["code"]] == problem["status"] == status
    assert problem["message"].endswith(".") and problem.keys() <= {"code", "status", "message", "id"}


async def test_a_post_sent_again_with_its_key_is_done_once(site: "Site", film: bytes) -> None:
    key = {"idempotency-key": "k-1"}
    async with site.admin as http:
        body = {"name": "cms", "scopes": ["links"]}
        first = await http.post("/api/v1/tokens", json=body, headers=key)
        again = await http.post("/api/v1/tokens", json=body, headers=key)
        assert (first.status_code, first.json()) == (201, again.json())
        assert again.headers["idempotency-replayed"] == "true" and again.status_code == 201
        assert again.headers["location"] == first.headers["location"]
        other = await http.post("/api/v1/tokens", json=body | {"name": "b"}, headers=key)
        assert other.status_code == 422
        many = [http.post("/api/v1/assets", params={"name": "s.mp4"}, content=film,
                          headers={"idempotency-key": "up"}) for _ in range(4)]  # fmt: skip
        statuses = sorted(answer.status_code for answer in await asyncio.gather(*many))
        assert statuses.count(409) + statuses.count(201) == 4 and 201 in statuses
        assert len((await http.get("/api/v1/assets")).json()["items"]) == 1
        site.clock[0] = 86_401
        assert (await http.post("/api/v1/tokens", json=body, headers=key)).status_code == 409  # done anew


async def test_what_was_refused_may_be_tried_again_with_the_same_key(site: "Site") -> None:
    key = {"idempotency-key": "k-1"}
    async with site.admin as http:
        assert (await http.post("/api/v1/assets/film/retry", headers=key)).status_code == 404
        await site.catalogue.create(source_name="f", id="film", state="failed")
        refused = await http.post("/api/v1/assets/film/retry", headers=key)
        assert refused.status_code == 409 and "file is gone" in refused.json()["message"]


keys_of_rows = st.lists(st.tuples(st.floats(-1e9, 1e9), st.text("abc", max_size=3)), unique=True, max_size=30)


@given(keys_of_rows, st.integers(1, 5))
def test_pages_put_together_are_the_list(rows: list[tuple[float, str]], limit: int) -> None:
    ordered = sorted(rows, key=lambda key: (-key[0], key[1]))
    found: list[tuple[float, str]] = []
    cursor: str | None = ""
    while cursor is not None:
        shown, cursor = page(ordered, lambda key: key, Paged(limit=limit, cursor=cursor))
        found += shown
    assert found == ordered


@given(st.text("abcdefghijklmnopqrstuvwxyzABCDEF0123456789_-", min_size=1, max_size=60))
def test_a_cursor_of_nobody_is_refused_and_never_a_crash(text: str) -> None:
    try:
        assert read(text) is not None
    except Problem as problem:
        assert problem.code == "invalid"
    assert read(written((1.5, "a"))) == (1.5, "a")
