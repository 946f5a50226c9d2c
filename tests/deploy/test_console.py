"""The console over real sockets, in front of a real keys service and a real origin."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import imageio_ffmpeg
import pytest

from deploy.console.app import create_console
from keys import app as keys_app
from keys import sign_url
from keys.client import KeysClient, node_credential
from keys.container import Matcher, split_token
from keys.leases import OpenedSession
from keys.names import b64url_decode
from keys.nodes import NodeIdentity
from keys.problems import Problem
from keys.purge import Purge, Purges
from keys.secrets import Secrets, load_or_create
from keys.service import KeysService
from keys.sessions import Activity
from keys.signing import SigningKey
from keys.stores import Stores
from origin.access import COOKIE
from origin.app import create_app
from origin.incoming import Incoming
from origin.ingest.convert import Settings
from origin.ingest.jobs import Jobs
from origin.store.blobs import LocalBlobs
from origin.store.catalogue import Catalogue
from tests.support.browser import chromium
from tests.support.films import make_film
from tests.support.serving import eventually, served

EDGES = ["http://127.0.0.1:18010", "http://127.0.0.1:18011"]
HOSTILE = "<img src=x onerror=window.hit=1>"


class QueueOnly(Jobs):
    """Jobs that queue and leave the transcoding to nobody."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Works on nothing."""
        yield


@dataclass
class Site:
    """The console and what stands behind it."""

    url: str
    secrets: Secrets
    catalogue: Catalogue
    incoming: Path
    edge: KeysClient
    service: KeysService

    @property
    def http(self) -> httpx.AsyncClient:
        """A browser's client: cookies, no token."""
        return httpx.AsyncClient(base_url=self.url, headers={"origin": self.url}, trust_env=False, timeout=30)

    @contextlib.asynccontextmanager
    async def signed_in(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client after sign-in."""
        async with self.http as http:
            assert (await http.post("/login", json={"token": self.secrets.admin_token})).status_code == 204
            yield http

    async def open(self, link: str, address: str = "203.0.113.7") -> OpenedSession:
        """A session, as an edge opens it for a viewer."""
        uri, token = split_token(link)
        assert token is not None
        return await self.edge.open_session(token, uri, address)

    async def ripped(self, viewer: str) -> None:
        """Four sessions of a viewer that take from as many places, and keys has looked at them."""
        link = sign_url(f"{EDGES[0]}/v/film/main.m3u8", self.secrets.issuer, viewer=viewer)
        opened = [await self.open(link, f"203.0.{number}.7") for number in range(4)]
        for place, session in enumerate(opened, start=1):
            told = Activity(time.time(), 90, 10**8, 100.0, position_s=1000.0 * place)
            await self.edge.tell_activity({session.sid: told})
        await self.service.ripping.look(time.time())


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    secrets = load_or_create(tmp_path / "secrets")
    stores = await Stores.open(f"sqlite:///{tmp_path / 'keys.db'}")
    service = await KeysService.start(stores, secrets, hosts=EDGES)
    catalogue = await Catalogue.open(f"sqlite:///{tmp_path / 'catalogue.db'}")
    incoming = Incoming(tmp_path / "incoming", max_bytes=10**7, keep_free=0)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(catalogue.close)
        keys_url = await stack.enter_async_context(served(keys_app.create_app(service)))
        clients = {}
        for name, role in (("origin-0", "origin"), ("edge-0", "edge")):
            identity = NodeIdentity.load_or_create(tmp_path / f"{name}.json", name, role)
            client = KeysClient(keys_url, node_credential(identity, time.time), zones=["press"])
            clients[role] = await stack.enter_async_context(client)
            token = secrets.origin_token if role == "origin" else secrets.join_token
            await client.enrol(identity, token)
        made = await clients["origin"].new_generation("film")
        await clients["origin"].publish("film", made.generation)
        await catalogue.create(source_name="f.mp4", id="film", title=HOSTILE, state="queued")
        await catalogue.set_state("film", "ingesting")
        await catalogue.publish(
            "film",
            generation=made.generation,
            duration=90,
            width=1280,
            height=720,
            size_bytes=5_000_000,
            renditions=["720p", "audio"],
        )
        blobs = LocalBlobs(tmp_path / "blobs")
        identity = NodeIdentity.load_or_create(tmp_path / "origin-0.json", "origin-0", "origin")
        settings = Settings(ffmpeg=Path(imageio_ffmpeg.get_ffmpeg_exe()))
        jobs = QueueOnly(
            catalogue=catalogue, blobs=blobs, keys=clients["origin"], identity=identity, settings=settings
        )
        origin = create_app(
            catalogue=catalogue,
            blobs=blobs,
            jobs=jobs,
            incoming=incoming,
            trust=clients["origin"].trust,
            admin_token=secrets.admin_token,
        )
        origin_url = await stack.enter_async_context(served(origin))
        console = create_console(
            keys=KeysClient(keys_url, lambda: secrets.admin_token),
            origin_url=origin_url,
            admin_token=secrets.admin_token,
            issuer=lambda: secrets.issuer,
            edges=EDGES,
        )
        url = await stack.enter_async_context(served(console))
        yield Site(url, secrets, catalogue, incoming.directory, clients["edge"], service)


ASKED = {"asset": "film", "start_within_s": 600, "session_s": 3600, "viewer": "anna", "once": False}
ROWS = [
    ("GET", "/api/state"),
    ("GET", "/api/edges"),
    ("POST", "/api/links"),
    ("POST", "/api/revocations"),
    ("POST", "/api/purges"),
    ("POST", "/api/sessions/end"),
    ("POST", "/api/assets/film/cancel"),
    ("POST", "/api/assets/film/retry"),
    ("DELETE", "/api/assets/film"),
    ("GET", "/api/assets/film/poster.jpg"),
    ("GET", "/v1/uploads?bytes=1"),
    ("POST", "/upload"),
]


async def test_t12_nothing_is_told_or_done_without_signing_in(site: Site) -> None:
    async with site.http as http:
        for method, path in ROWS:
            answer = await http.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        wrong = await http.post("/login", json={"token": "guess"})
        assert wrong.status_code == 401 and "set-cookie" not in wrong.headers
        page = await http.get("/")
    assert page.status_code == 200 and site.secrets.admin_token not in page.text
    assert "unsafe" not in page.headers["content-security-policy"]


async def test_t14_another_site_can_use_the_cookie_for_nothing(site: Site) -> None:
    async with site.signed_in() as http:
        for origin in ("https://evil.example", "http://127.0.0.1:18010", "null"):
            for method, path in [row for row in ROWS if row[0] != "GET"]:
                answer = await http.request(method, path, headers={"origin": origin})
                assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert (await http.get("/api/state")).json()["assets"][0]["id"] == "film"
        await http.post("/logout")
        assert (await http.get("/api/state")).status_code == 401


async def test_a_link_made_here_opens_a_session_that_shows_and_can_be_revoked(site: Site) -> None:
    async with site.signed_in() as http:
        made = await http.post("/api/links", json=ASKED | {"edge": EDGES[1]})
        assert made.status_code == 201
        link = made.json()["link"]
        assert link.startswith(f"{EDGES[1]}/v;URISigningPackage=") and link.endswith("/film/main.m3u8")
        assert made.json()["watch"] == f"{EDGES[1]}/watch/#{link}"
        claims = json.loads(b64url_decode(link.split("URISigningPackage=")[1].split(".")[1]))
        allowed = Matcher().allows
        for edge in EDGES:  # whichever edge a player is sent to
            assert allowed(claims["cdniuc"], f"{edge}/v/film/main.m3u8")
        opened = await site.open(link)
        state = (await http.get("/api/state")).json()
        assert state["problems"] == [] and state["edges"] == EDGES
        (session,) = state["sessions"]
        assert (session["sid"], session["viewer"], session["asset"]) == (opened.sid, "anna", "film")
        revoked = await http.post("/api/revocations", json={"kind": "viewer", "value": "anna"})
        assert revoked.status_code == 204
        with pytest.raises(Problem, match="revoked"):
            await site.open(link)
        (after,) = (await http.get("/api/state")).json()["sessions"]
        assert after["state"] == "revoked"


async def test_t22_a_purge_made_here_reaches_edges_and_one_of_no_zone_is_refused(site: Site) -> None:
    async with site.signed_in() as http:
        named = {"zone": "press", "kind": "key", "value": "article-7", "soft": True}
        assert (await http.post("/api/purges", json=named)).status_code == 204
        refused = await http.post("/api/purges", json=named | {"zone": ""})
        assert refused.status_code == 400 and "zone" in refused.json()["message"]
    made = Purge(1, "press", "key", "article-7", soft=True)
    assert await site.edge.purges(0) == Purges(1, (made,))
    async with site.signed_in() as http:
        told = await http.post("/api/purges", json=named | {"zone": "pres"})
        assert (told.status_code, list(told.json())) == (200, ["warning"]) and "press" in told.text


async def test_what_a_viewer_watches_now_can_be_ended_and_his_links_stay_good(site: Site) -> None:
    async with site.signed_in() as http:
        link = (await http.post("/api/links", json=ASKED | {"edge": EDGES[0], "streams": 2})).json()["link"]
        claims = json.loads(b64url_decode(link.split("URISigningPackage=")[1].split(".")[1]))
        assert claims["limits"] == {"streams": 2}
        opened = await site.open(link)
        assert (await http.post("/api/sessions/end", json={"viewer": "berta"})).json() == {"ended": 0}
        assert (await http.post("/api/sessions/end", json={"viewer": "anna"})).json() == {"ended": 1}
        (session,) = (await http.get("/api/state")).json()["sessions"]
        assert (session["sid"], session["state"]) == (opened.sid, "revoked")
        assert (await site.open(link)).sid != opened.sid
        for streams in (0, "2", True):
            wrong = await http.post("/api/links", json=ASKED | {"edge": EDGES[0], "streams": streams})
            assert (wrong.status_code, wrong.json()["code"]) == (400, "bad_request")


async def test_a_link_to_a_download_is_good_for_that_file(site: Site) -> None:
    async with site.signed_in() as http:
        made = await http.post("/api/links", json=ASKED | {"edge": EDGES[0], "download": "film-720p.mp4"})
    link = made.json()["link"]
    assert (made.status_code, made.json()["watch"]) == (201, f"{EDGES[0]}/watch/download.html#{link}")
    assert link.startswith(f"{EDGES[0]}/d;URISigningPackage=") and link.endswith("/film/film-720p.mp4")
    claims = json.loads(b64url_decode(link.split("URISigningPackage=")[1].split(".")[1]))
    assert Matcher().allows(claims["cdniuc"], f"{EDGES[1]}/d/film/film-720p.mp4")
    assert not Matcher().allows(claims["cdniuc"], f"{EDGES[1]}/d/film/film.mp4")


async def test_a_link_to_a_protected_download_is_to_its_encrypted_form(site: Site) -> None:
    async with site.signed_in() as http:
        made = await http.post("/api/links", json=ASKED | {"edge": EDGES[0], "download": "ece/film.mp4"})
    assert made.status_code == 201
    assert made.json()["link"].endswith("/film/ece/film.mp4")


@pytest.mark.parametrize(
    "change",
    [
        {"download": "../film.mp4"},
        {"download": "ece/../film.mp4"},
        {"download": 7},
        {"asset": "../film"},
        {"edge": "http://evil.example"},
        {"start_within_s": 0},
        {"session_s": True},
        {"session_s": "9"},
        {"viewer": 7},
        {"viewer": "a\nb"},
        {"asset": None},
    ],
)
async def test_a_link_that_makes_no_sense_is_refused(site: Site, change: dict[str, object]) -> None:
    async with site.signed_in() as http:
        answer = await http.post("/api/links", json=ASKED | {"edge": EDGES[0]} | change)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
        for body in (b"[]", b"{", b"[" * 15_000):
            assert (await http.post("/api/links", content=body)).status_code == 400
        assert (await http.post("/api/links", content=b" " * 17_000)).status_code == 413


async def test_uploads_pass_through_and_refusals_come_back(site: Site) -> None:
    async with site.signed_in() as http:
        refused = await http.post("/upload", files={"file": ("letter.mp4", b"Dear reader")})
        assert refused.status_code == 415
        assert refused.json()["uploads"][0]["code"] == "not_media"
        assert (await http.get("/v1/uploads?bytes=10000000")).status_code == 204
        assert (await http.get("/v1/uploads?bytes=10000001")).status_code == 413
        large = await http.post("/upload", files={"file": ("a.mp4", b"x" * 10_000_001)})
        assert (large.status_code, large.json()["code"]) == (413, "too_large")
    assert list(site.incoming.iterdir()) == []


async def test_f25_an_upload_cut_at_the_console_leaves_nothing(site: Site) -> None:
    async with site.signed_in() as http:
        cookie = http.cookies[COOKIE]
    host, port = site.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    part = '--edge\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
    head = [
        "POST /upload HTTP/1.1",
        f"host: {host}:{port}",
        f"origin: {site.url}",
        f"cookie: {COOKIE}={cookie}",
        "content-type: multipart/form-data; boundary=edge",
        "content-length: 5000000",
    ]
    writer.write(("\r\n".join(head) + "\r\n\r\n" + part).encode() + b"x" * 2_000_000)
    await writer.drain()
    await eventually(lambda: bool(list(site.incoming.iterdir())))
    writer.transport.abort()
    await eventually(lambda: not list(site.incoming.iterdir()))
    assert [asset.id for asset in await site.catalogue.list()] == ["film"]


async def test_an_asset_deleted_here_is_gone_everywhere(site: Site) -> None:
    async with site.signed_in() as http:
        link = (await http.post("/api/links", json=ASKED | {"edge": EDGES[0]})).json()["link"]
        assert (await http.get("/api/assets/film/poster.jpg")).status_code == 404
        assert (await http.post("/api/assets/film/cancel")).status_code == 409
        assert (await http.delete("/api/assets/film")).status_code == 204
        assert (await http.delete("/api/assets/film")).status_code == 404
        assert (await http.get("/api/state")).json()["assets"] == []
    with pytest.raises(Problem, match=r"forbidden|revoked"):
        await site.open(link)


async def test_a_service_that_is_away_costs_its_part_only() -> None:
    secret = "t" * 43
    keys = KeysClient("http://127.0.0.1:9", lambda: secret)
    console = create_console(
        keys=keys,
        origin_url="http://127.0.0.1:9",
        admin_token=secret,
        issuer=lambda: SigningKey.generate("site"),
        edges=EDGES,
    )
    async with served(console) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        state = (await http.get("/api/state", headers={"authorization": f"Bearer {secret}"})).json()
    assert (state["assets"], state["sessions"]) == (None, None)
    assert len(state["problems"]) == 2 and all(
        text.endswith("does not answer.") for text in state["problems"]
    )


@pytest.mark.browser
async def test_the_page_signs_in_by_fragment_makes_a_link_and_revokes(site: Site) -> None:
    heard: list[str] = []
    async with chromium() as browser:
        page = await browser.new_page()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(f"Error {error}"))
        await page.goto(f"{site.url}/#token={site.secrets.admin_token}")
        await page.locator(".asset h2").wait_for()
        assert page.url == f"{site.url}/"
        assert await page.evaluate("history.length") <= 2
        assert site.secrets.admin_token not in await page.content()
        assert await page.locator(".asset h2").text_content() == HOSTILE
        await page.get_by_role("button", name="Make a link").click()
        await page.get_by_label("Viewer (optional)").fill("anna")
        await page.get_by_role("button", name="Make the link").click()
        link = await page.get_by_label("Signed link", exact=False).first.input_value()
        watch = await page.locator("#watch-link").input_value()
        assert watch == f"{EDGES[0]}/watch/#{link}"
        await page.get_by_role("button", name="Done").click()
        await site.open(link)
        row = page.locator("#session-rows tr")
        await row.get_by_text("anna").wait_for()
        await row.get_by_role("button", name="Revoke").click()
        await page.get_by_label("Everything of viewer anna").check()
        await page.locator("dialog").get_by_role("button", name="Revoke").click()
        await row.get_by_text("Revoked").wait_for()
        await page.get_by_role("button", name="Purge a zone").click()
        await page.get_by_label("Zone", exact=True).fill("press")
        await page.get_by_label("What is to be purged").select_option("zone")
        await page.get_by_label("Softly", exact=False).check()
        await page.locator("dialog").get_by_role("button", name="Purge").click()
        await page.get_by_text("Purged softly: everything of press.", exact=False).wait_for()
        assert await site.edge.purges(0) == Purges(1, (Purge(1, "press", "zone", "", soft=True),))
        edges = page.locator("#edge-rows tr")
        await edges.get_by_text("No answer").first.wait_for()
        assert await edges.count() == len(EDGES)
        assert await page.evaluate("window.hit") is None
    assert not [text for text in heard if "Content Security Policy" in text or text.startswith("Error")]


@pytest.mark.browser
async def test_the_page_marks_a_ripper_and_says_why(site: Site, tmp_path: Path) -> None:
    await site.ripped("rita")
    await site.open(sign_url(f"{EDGES[0]}/v/film/main.m3u8", site.secrets.issuer, viewer="anna"))
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"{site.url}/#token={site.secrets.admin_token}")
        rows = page.locator("#session-rows tr")
        badge = rows.filter(has_text="rita").first.get_by_text("Ripper · 75")
        await badge.wait_for()
        assert await badge.get_attribute("title") == (
            "many sessions at once: 40\nfrom many places at once: 35"
        )
        assert await rows.filter(has_text="anna").get_by_text("Ripper").count() == 0
        await page.screenshot(path=tmp_path / "rippers.png", full_page=True)
        await page.set_viewport_size({"width": 390, "height": 844})
        await page.screenshot(path=tmp_path / "rippers-narrow.png", full_page=True)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.browser
async def test_files_chosen_on_the_page_are_uploaded_or_refused_in_a_sentence(
    site: Site, tmp_path: Path
) -> None:
    letter = tmp_path / "letter.mp4"
    letter.write_bytes(b"Dear reader")
    film = make_film(tmp_path / "holiday.mp4", seconds=1, size="160x120", audio=False)
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"{site.url}/#token={site.secrets.admin_token}")
        await page.locator(".asset h2").wait_for()
        await page.set_input_files("#files", [letter, film])
        await page.locator("#uploads .failed", has_text="This file is no video").wait_for()
        await page.locator("#uploads .done", has_text="Uploaded. It is being prepared now.").wait_for()
        assert await page.get_by_role("button", name="Pause").count() == 0  # no resumable uploads here
    assert {asset.id for asset in await site.catalogue.list()} == {"film", "holiday"}
