"""Signed zones of an edge, over real sockets: who gets an answer, in which form, and until when."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.types import Message, Send

from edge.guard.head import Head, read
from edge.zone.broken import BrokenOff
from keys import sign_url
from keys.container import ATTRIBUTE
from keys.limits import Limits
from keys.revocation import EPOCH, KID, LID, epoch_name, signing_key_name
from keys.signing import SigningKey, insert_token
from tests.edge.parts import until
from tests.edge.zone.test_beside import FRESH, Setup, setup, web
from tests.edge.zone.test_serving import Origin, Seen

__all__ = ["web"]

PATH = "/z/closed/films/a.mp4"


@pytest.fixture
async def closed(web: Path) -> AsyncIterator[Setup]:
    async with setup(web) as found:
        yield found


def link(closed: Setup, path: str = PATH, **how: Any) -> str:
    return sign_url(closed.edge.url + path, how.pop("key", closed.edge.keys.site), **how)


def token_of(url: str) -> str:
    return url.split(f"{ATTRIBUTE}=")[1].split("/")[0]


def signed(closed: Setup, **changed: object) -> str:
    """A link with some claims other than `sign_url` makes them; None takes one away."""
    now = int(time.time())
    url = closed.edge.url + PATH
    usual = {"aud": "sluice", "exp": now + 600, "lid": "link-1", "cdniuc": f"regex:{url}"}
    claims = {name: value for name, value in (usual | changed).items() if value is not None}
    return insert_token(url, closed.edge.keys.site.sign(claims))


async def test_a_link_opens_what_it_is_for_and_all_links_share_what_is_stored(closed: Setup) -> None:
    first, second = link(closed), link(closed, "/z/closed/films/", below=True).removesuffix("films/")
    for url in (first, second + "films/a.mp4", second + "films/a.mp4"):
        got = await closed.client.get(url)
        assert (got.status_code, got.text) == (200, "hello")
        assert got.headers["cache-control"] == "private, max-age=60"
        assert got.headers["cdn-cache-control"] == got.headers["surrogate-control"] == "no-store"
    (seen,) = closed.origin.seen
    assert seen.target == "/films/a.mp4" and ATTRIBUTE not in str(seen)
    assert (await closed.client.get(second + "films/b/c.mp4")).status_code == 200
    assert (await closed.client.get(second + "other/a.mp4")).status_code == 403


async def test_a_token_may_stand_in_a_segment_the_query_or_a_cookie(closed: Setup) -> None:
    token = token_of(link(closed))
    spelled = [
        f"/z/closed;{ATTRIBUTE}={token}/films/a.mp4",
        f"/z/closed/films;{ATTRIBUTE}={token}/a.mp4",
        f"/z/closed/films/a.mp4;{ATTRIBUTE}={token}",
        f"{PATH}?{ATTRIBUTE}={token}",
    ]
    for target in spelled:
        assert (await closed.client.get(target)).status_code == 200
    cookie = {"cookie": f"a=b; {ATTRIBUTE}={token}"}
    assert (await closed.client.get(PATH, headers=cookie)).status_code == 200
    assert (await closed.client.get("/z/closed/films/b.mp4", headers=cookie)).status_code == 403
    assert (await closed.client.get(f"{spelled[2]}?{ATTRIBUTE}={token}")).status_code == 400
    assert len(closed.origin.seen) == 1


async def test_what_a_link_does_not_allow_is_one_and_the_same_403(closed: Setup) -> None:
    good, stranger = link(closed), SigningKey.generate("site")
    token = token_of(good)
    assert (await closed.client.get(good)).status_code == 200
    wrong = {
        "no token": closed.edge.url + PATH,
        "altered": good.replace(token, token[:-5] + ("AAAAA" if token[-5:] != "AAAAA" else "BBBBB")),
        "no token at all": good.replace(token, "x"),
        "of a stranger": link(closed, key=stranger),
        "of another path": good.replace("a.mp4", "b.mp4"),
        "of another zone": good.replace("closed", "press").replace("/press/", "/closed/x/"),
        "of a public zone": link(closed, "/z/press/films/a.mp4").replace("press", "closed"),
        "of a film": closed.edge.link().replace("/v;", "/z;").replace("film/main.m3u8", "closed/films/a.mp4"),
        "with a query": good + "?x=1",
        "of a session": insert_token(
            closed.edge.url + PATH, closed.edge.keys.session_token(bytes(16), paths=PATH)
        ),
        "single-use": signed(closed, jti="once", lid=None),
        "with a pace": signed(closed, pace={"rate": 2}),
        "with limits": signed(closed, limits=Limits(streams=1).to_json(), cdnicrit="limits"),
        "not yet": signed(closed, nbf=int(time.time()) + 600),
        "for others": signed(closed, aud="others"),
        "of an unknown claim that counts": signed(closed, cdnicrit="other"),
    }
    assert (await closed.client.get(signed(closed))).status_code == 200
    bodies = set()
    for why, url in wrong.items():
        got = await closed.client.get(url)
        assert got.status_code == 403, why
        assert got.headers["cache-control"] == "no-store", why
        bodies.add(got.content)
    assert len(bodies) == 1
    assert len(closed.origin.seen) == 1


async def test_a_link_that_only_a_session_could_hold_to_is_refused_not_half_obeyed(closed: Setup) -> None:
    how: dict[str, Any] = {"network": "192.0.2.0/24"}
    with pytest.raises(ValueError, match="a zone's link opens no session"):
        link(closed, **how)
    film = link(closed, "/films/a.mp4", **how)  # as for a zone's host: nothing says that it is one
    closed_link = film.replace("/films;", "/z;").replace("/a.mp4", "/closed/films/a.mp4")
    assert (await closed.client.get(closed_link)).status_code == 403


async def test_an_expired_link_says_so_and_nobody_keeps_an_answer_longer(closed: Setup) -> None:
    url, longer = link(closed, start_within_s=30), link(closed)
    assert (await closed.client.get(longer)).status_code == 200
    got = await closed.client.get(url)
    assert got.headers["cache-control"] in {"private, max-age=29", "private, max-age=30"}
    closed.clock.ahead = 31
    late = await closed.client.get(url)
    assert (late.status_code, late.json()["code"], late.headers["cache-control"]) == (
        403,
        "expired",
        "no-store",
    )
    assert (await closed.client.get(longer)).status_code == 200
    assert len(closed.origin.seen) == 1


@pytest.mark.parametrize("kind", [LID, KID, EPOCH])
async def test_t2_a_shared_link_stops_for_all_who_have_it(closed: Setup, kind: str) -> None:
    shared = link(closed, link_id="shared")
    other = link(closed, link_id="other")
    for url in (shared, other):
        assert (await closed.client.get(url)).status_code == 200
    site = closed.edge.keys.site
    value = {
        LID: "shared",
        KID: signing_key_name(site.iss, site.kid),
        EPOCH: epoch_name("default", time.time()),
    }[kind]
    closed.edge.keys.revoke(kind, value)
    await until(lambda: closed.edge.app.revocations.revoked.version == 1)
    got = await closed.client.get(shared)
    assert (got.status_code, got.json()["code"]) == (403, "revoked")
    assert (await closed.client.get(other)).status_code == (200 if kind == LID else 403)


def head(closed: Setup, url: str, *fields: str) -> Head:
    """What a client sends for it; httpx sends no other fields than these."""
    target = url.removeprefix(closed.edge.url)
    lines = "".join(f"{field}\r\n" for field in (f"host: {urlsplit(closed.edge.url).netloc}", *fields))
    return read(f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode())


async def test_t2_what_is_ready_for_a_link_is_given_to_nobody_without_it_and_stops_with_it(
    closed: Setup,
) -> None:
    app, url = closed.edge.app, link(closed, link_id="shared")
    bare = closed.edge.url + PATH
    cookie = f"cookie: {ATTRIBUTE}={token_of(url)}"
    closed.clock.stopped = int(time.time()) + 1.1  # after all that this worker heard of purges
    for _ in range(2):
        assert (await closed.client.get(url)).status_code == 200
        assert (await closed.client.get(bare, headers={"cookie": cookie[8:]})).status_code == 200
    ready = app.at_once(head(closed, url), "http")
    assert ready is not None and dict(ready.fields)[b"cache-control"] == b"private, max-age=60"
    assert app.at_once(head(closed, bare, cookie), "http") is None
    assert app.at_once(head(closed, bare), "http") is None
    assert app.at_once(head(closed, url + "x"), "http") is None
    closed.edge.keys.revoke(LID, "shared")
    await until(lambda: app.revocations.revoked.version == 1)
    assert app.at_once(head(closed, url), "http") is None


async def test_an_answer_under_way_is_cut_when_its_link_is_taken_back(closed: Setup) -> None:
    go = asyncio.Event()

    async def slow(origin: Origin, seen: Seen, send: Send) -> None:
        head = {"type": "http.response.start", "status": 200, "headers": [*FRESH, (b"content-length", b"6")]}
        await send(head)
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        await go.wait()
        await send({"type": "http.response.body", "body": b"def"})

    closed.origin.give = slow
    async with closed.client.stream("GET", link(closed, link_id="taken")) as got:
        pieces = got.aiter_raw()
        assert await anext(pieces) == b"abc"
        closed.edge.keys.revoke(LID, "taken")
        await until(lambda: closed.edge.app.revocations.revoked.version == 1)
        closed.clock.ahead = 2  # more than it takes until it is looked again
        go.set()
        with pytest.raises(httpx.RemoteProtocolError):
            async for _ in pieces:
                pass
    assert closed.edge.counted["zone_failed"] == 1


async def test_f27_with_keys_away_who_was_let_in_goes_on_and_nobody_new_is_let_in(closed: Setup) -> None:
    known, new = link(closed), link(closed)
    assert (await closed.client.get(known)).status_code == 200
    keys, revocations = closed.edge.keys, closed.edge.app.revocations
    keys.down = True
    asked = keys.calls.count("revocations")
    keys.news.set()  # what is being waited for comes; what is asked then does not
    await until(lambda: keys.calls.count("revocations") > asked)
    for age_s, codes in ((61, [200, 503]), (901, [503, 503])):
        revocations._heard = time.monotonic() - age_s
        assert [(await closed.client.get(url)).status_code for url in (known, new)] == codes


async def test_t21_no_token_of_a_zone_is_logged(closed: Setup, caplog: pytest.LogCaptureFixture) -> None:
    url = link(closed)
    caplog.set_level(logging.INFO)
    closed.origin.status = 503
    for asked in (url, url.replace("a.mp4", "b.mp4"), url + "//x", f"{url}?{ATTRIBUTE}=x"):
        await closed.client.get(asked)
    said = " ".join(each.getMessage() for each in caplog.records if each.name.startswith("sluice"))
    assert "forbidden" in said and token_of(url) not in said


async def test_a_long_answer_that_was_ready_is_sent_to_its_end_when_its_link_ends_not_when_it_is_taken_back(
    closed: Setup,
) -> None:
    url, app = link(closed, link_id="long", start_within_s=30), closed.edge.app
    closed.origin.fields = [*FRESH, (b"etag", b'"1"'), (b"accept-ranges", b"bytes")]
    closed.origin.body = bytes(range(256)) * 16_384  # four slices
    closed.clock.stopped = int(time.time()) + 1.1
    for _ in range(2):
        assert (await closed.client.get(url)).content == closed.origin.body
    ready = app.at_once(head(closed, url), "http")
    assert ready is not None and ready.rest is not None
    sent: list[bytes] = []

    async def receive() -> Message:
        raise AssertionError("its request has no body")

    async def send(message: Message) -> None:
        assert closed.clock.stopped is not None
        closed.clock.stopped += 31  # taken slowly: the link ends meanwhile
        sent.append(bytes(message["body"]))

    await ready.rest({}, receive, send)
    assert b"".join((*ready.body, *sent)) == closed.origin.body
    assert app.at_once(head(closed, url), "http") is None
    closed.edge.keys.revoke(LID, "long")
    await until(lambda: app.revocations.revoked.version == 1)
    with pytest.raises(BrokenOff, match="taken back"):
        await ready.rest({}, receive, send)
