"""Links, sessions, revocations and zones over the API, with a real keys service behind."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from keys.container import split_token
from keys.sessions import Activity

if TYPE_CHECKING:
    from tests.origin.control.conftest import Site

DOWNLOADS = [
    {"name": "film.mp4", "size": 5, "type": "video/mp4", "protection": "clear"},
    {"name": "film-720p.mp4", "size": 5, "type": "video/mp4", "protection": "ece"},
]


async def test_a_link_opens_a_session_that_is_listed_and_ended(site: "Site") -> None:
    await site.publish("film")
    generation = (await site.origin.new_generation("film")).generation
    await site.origin.publish("film", generation)
    async with site.admin as http:
        made = await http.post("/api/v1/links", json={"asset": "film", "viewer": "anna", "session_s": 60})
        assert made.status_code == 201, made.text
        link = made.json()
        assert link["page"] == f"http://127.0.0.1:18010/watch/#{link['url']}"
        uri, token = split_token(link["url"])
        assert token is not None
        opened = [await site.edge.open_session(token, uri, f"203.0.{n}.7") for n in range(3)]
        for session in opened:
            await site.edge.tell_activity({session.sid: Activity(time.time(), 1, 2, 3.0)})
        of_anna: dict[str, Any] = {"viewer": "anna", "asset": "film", "limit": 2}
        first = (await http.get("/api/v1/sessions", params=of_anna)).json()
        rest = (await http.get("/api/v1/sessions", params=of_anna | {"cursor": first["next"]})).json()
        shown = [each["sid"] for each in first["items"] + rest["items"]]
        assert sorted(shown) == sorted(each.sid for each in opened) and rest["next"] is None
        assert (await http.get("/api/v1/sessions", params={"asset": "other"})).json()["items"] == []
        assert (await http.delete(f"/api/v1/sessions/{shown[0]}")).status_code == 204
        ended = (await http.delete("/api/v1/sessions", params={"viewer": "anna"})).json()["ended"]
        assert sorted(ended) == sorted(shown[1:])
        assert (await http.delete("/api/v1/sessions")).status_code == 422
        assert (await http.delete("/api/v1/sessions/nobody")).status_code == 404


async def test_every_option_of_a_link_is_taken(site: "Site") -> None:
    await site.publish("film", downloads=DOWNLOADS)
    bodies: list[dict[str, Any]] = [
        {
            "asset": "film",
            "once": True,
            "network": "198.51.100.0/24",
            "pace": {"burst": 10, "rate": 3.0, "jumps": 2},
        },
        {"asset": "film", "limits": {"streams": 2, "budget": 10**9, "countries": ["DE"], "device": True}},
        {"asset": "film", "download": "*", "renew": "cookie", "renew_s": 30, "link_id": "order-7"},
        {"asset": "film", "download": "film-720p.mp4", "offline_s": 3600},
        {"zone": "press/a/b.jpg", "below": True, "viewer": "anna"},
        {"asset": "film", "edge": "https://edge.example"},
    ]
    async with site.admin as http:
        for body in bodies:
            made = await http.post("/api/v1/links", json=body)
            assert made.status_code == 201, (body, made.text)
            if "link_id" in body:
                assert made.json()["link_id"] == "order-7"
        assert "/d;" in (await http.post("/api/v1/links", json=bodies[2])).json()["url"]
        assert "/ece/film-720p.mp4" in (await http.post("/api/v1/links", json=bodies[3])).json()["url"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"asset": "film", "zone": "press/a"}, 422),
        ({"asset": "film", "below": True}, 422),
        ({"asset": "film", "renew": "cookie"}, 422),
        ({"asset": "film", "network": "nowhere"}, 422),
        ({"asset": "film", "offline_s": 60}, 422),
        ({"asset": "film", "viewer": "\u200b"}, 422),
        ({"asset": "film", "session_s": 0}, 422),
        ({"asset": "film", "session_s": "60"}, 422),
        ({"asset": "film", "edge": "http://[::"}, 422),
        ({"asset": "film", "edge": "http://a:99999"}, 422),
        ({"asset": "film", "download": "*"}, 404),
        ({"asset": "nothing"}, 404),
        ({"asset": "queued"}, 409),
        ({"zone": "press/a", "once": True}, 422),
        ({"zone": "press/a", "download": "*"}, 422),
        ({"zone": "pre;ss/a"}, 422),
        ({"zone": "../x", "below": True}, 422),
        ({"zone": "press/../../x", "below": True}, 422),
        ({"zone": "press/%2e%2e/other/a"}, 422),
        ({"zone": "../v/film/main.m3u8"}, 422),
        ({"zone": "./press/a"}, 422),
        ({"zone": "press", "below": True}, 422),
        ({"zone": "press?x/../a"}, 422),
        ({"zone": "/"}, 422),
    ],
)
async def test_a_link_that_cannot_be_made_is_refused_in_a_sentence(
    site: "Site", body: dict[str, Any], status: int
) -> None:
    await site.publish("film")
    await site.catalogue.create(source_name="f", id="queued", state="queued")
    async with site.admin as http:
        answer = await http.post("/api/v1/links", json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["message"].endswith(".")


async def test_without_the_signing_key_the_answer_says_where_links_are_signed(
    site: "Site", tmp_path: Path
) -> None:
    await site.publish("film")
    (tmp_path / "secrets" / "issuer.json").unlink()
    async with site.admin as http:
        answer = await http.post("/api/v1/links", json={"asset": "film"})
    assert answer.status_code == 409 and "sluice link" in answer.json()["message"]


async def test_revocations_and_purges_go_to_keys(site: "Site") -> None:
    async with site.admin as http:
        told = await http.post("/api/v1/revocations", json={"kind": "viewer", "value": "anna"})
        assert told.status_code == 201 and told.json()["value"] == "anna"
        lifted = {"kind": "viewer", "value": "anna", "lift": True}
        assert (await http.post("/api/v1/revocations", json=lifted)).json()["until"] == 0
        assert (await http.post("/api/v1/revocations", json=lifted | {"value": "b"})).status_code == 404
        assert (await http.get("/api/v1/zones")).json() == {"items": [{"name": "press", "nodes": ["edge-0"]}]}
        purged = await http.post("/api/v1/zones/press/purges", json={"kind": "key", "value": "article-7"})
        assert (purged.status_code, purged.json()["warning"]) == (201, "")
        unknown = await http.post("/api/v1/zones/other/purges", json={"kind": "zone", "soft": True})
        assert "No edge has a zone" in unknown.json()["warning"]
    assert [each.value for each in (await site.edge.purges(0)).entries] == ["article-7", ""]
