"""Links of signed zones that name a viewer, or are renewed while they are used, over real sockets."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from edge.zone.keying import Zones
from edge.zone.store import Held
from edge.zone.tokens import SHARED, cookie_path
from edge.zone.zone import Zone
from keys import sign_url
from keys.claims import Claims
from keys.container import ATTRIBUTE
from keys.renewal import COOKIE, Renewal
from keys.revocation import KID, LID, VIEWER, signing_key_name
from keys.tokens import Trust, verify
from keys.zone_links import follow
from tests.edge.parts import until
from tests.edge.zone.test_beside import Setup, setup, web
from tests.edge.zone.test_signed import head

__all__ = ["web"]

FOLDER = "/z/closed/films/"
FILM = FOLDER + "a.mp4"


@pytest.fixture
async def closed(web: Path) -> AsyncIterator[Setup]:
    async with setup(web) as found:
        found.clock.stopped = time.time() + 1  # after all that this worker heard of purges
        yield found


def link(closed: Setup, path: str = FOLDER, **how: Any) -> str:
    how = {"below": path.endswith("/"), **how}
    return sign_url(closed.edge.url + path, closed.edge.keys.site, **how)


def carried(got: httpx.Response) -> str:
    """The token an answer sets; "" when it sets none."""
    return str(got.headers.get("set-cookie", "")).partition(";")[0].removeprefix(f"{ATTRIBUTE}=")


async def asked(closed: Setup, token: str, path: str = FILM, **fields: str) -> httpx.Response:
    """A request under a token in a cookie, by a client that remembers none."""
    async with httpx.AsyncClient(base_url=closed.edge.url) as client:
        return await client.get(path, headers={"cookie": f"{ATTRIBUTE}={token}", **fields})


async def opened(closed: Setup, **how: Any) -> str:
    """The first token of a link renewed by cookie."""
    url = link(closed, **{"renew": "cookie", **how}) + "a.mp4"
    async with httpx.AsyncClient() as client:
        got = await client.get(url)
    assert (got.status_code, got.headers["location"]) == (302, FILM)
    assert got.headers["cache-control"] == "no-store"
    return carried(got)


async def test_a_browser_that_follows_its_cookies_goes_on_and_one_without_them_does_not(
    closed: Setup,
) -> None:
    async with httpx.AsyncClient(follow_redirects=True) as browser:
        first = await browser.get(link(closed, renew="cookie", renew_s=60) + "a.mp4")
        assert (first.status_code, first.text, urlsplit(str(first.url)).path) == (200, "hello", FILM)
        assert [each.status_code for each in first.history] == [302]
        for number in range(3):
            got = await browser.get(f"{closed.edge.url}{FOLDER}b/{number}.html")
            assert got.status_code == 200 and carried(got)
            field = got.headers["set-cookie"].partition("; ")[2]
            assert field == "Path=/z/closed/films; HttpOnly; SameSite=Lax"
            assert got.headers["cache-control"].startswith("private, max-age=")
            assert got.headers["cdn-cache-control"] == "no-store"
        assert (await browser.get(f"{closed.edge.url}/z/closed/other.mp4")).status_code == 403
    assert (await closed.client.get(FILM)).status_code == 403
    told = str([(seen.target, seen.fields) for seen in closed.origin.seen])
    assert ATTRIBUTE not in told and "cookie" not in told


async def test_a_cookie_is_for_https_only_where_the_edge_is(closed: Setup) -> None:
    assert closed.edge.app.beside is not None
    tokens = closed.edge.app.beside._access.tokens
    assert tokens is not None
    tokens._secure = True
    got = await asked(closed, await opened(closed))
    assert got.headers["set-cookie"].endswith("; HttpOnly; SameSite=Lax; Secure")


async def test_what_is_kept_is_without_tokens_and_each_hit_has_one_of_its_own(closed: Setup) -> None:
    anna, ben = await opened(closed, viewer="anna"), await opened(closed, viewer="ben")
    assert "hit" not in (await asked(closed, anna)).headers["cache-status"]
    for token in (anna, ben):
        for fields in ({}, {"range": "bytes=1-2"}, {"if-none-match": '"1"'}):
            got = await asked(closed, token, **fields)
            assert "hit" in got.headers["cache-status"] and got.status_code in (200, 206, 304)
            claims = verify(
                carried(got), uri=closed.edge.url + FILM, trust=await trust(closed), now=time.time()
            )
            assert claims.kind == "zone"
            mine = verify(token, uri=closed.edge.url + FILM, trust=await trust(closed), now=time.time())
            assert (claims.lid, claims.sub, claims.end) == (mine.lid, mine.sub, mine.end)
    beside = closed.edge.app.beside
    assert beside is not None
    app = beside._app
    held = [each for found in app.store._names.values() for each in found if isinstance(each, Held)]
    (kept,) = held
    assert b"set-cookie" not in dict(kept.entry.fields)
    assert ATTRIBUTE not in f"{kept.entry.uri} {kept.entry.fields}"
    assert not app.ready._ready, "nothing that carries a token is given at once"
    cookie = f"cookie: {ATTRIBUTE}={anna}"
    assert closed.edge.app.at_once(head(closed, closed.edge.url + FILM, cookie), "http") is None
    assert len(closed.origin.seen) == 1


async def trust(closed: Setup) -> Trust:
    return Trust.from_json(await closed.edge.keys.trust())


async def test_one_question_to_keys_is_enough_for_many_requests_and_a_later_one_gets_a_later_token(
    closed: Setup,
) -> None:
    token = await opened(closed, renew_s=80)
    before = closed.edge.keys.calls.count("zone_link")
    first = {carried(await asked(closed, token)) for _ in range(20)}
    assert len(first) == 1 and closed.edge.keys.calls.count("zone_link") == before + 1
    closed.clock.ahead = 80 / SHARED + 1
    later = carried(await asked(closed, first.pop()))
    assert later and closed.edge.keys.calls.count("zone_link") == before + 2


async def test_a_tampered_cookie_is_refused_and_so_is_one_that_travels_another_way(closed: Setup) -> None:
    token = await opened(closed)
    assert (await asked(closed, token)).status_code == 200
    middle = len(token) // 2
    for other in (
        token[:-6] + "AAAAAA",
        token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :],
    ):
        got = await asked(closed, other)
        assert (got.status_code, carried(got)) == (403, "")
    for url in (f"{FILM}?{ATTRIBUTE}={token}", f"/z;{ATTRIBUTE}={token}/closed/films/a.mp4"):
        assert (await closed.client.get(url)).status_code == 403
    assert (await closed.client.get(f"/v;{ATTRIBUTE}={token}/film/main.m3u8")).status_code == 403


async def test_a_token_ends_when_it_is_not_used_and_at_the_links_own_end_though_it_is(closed: Setup) -> None:
    token = await opened(closed, renew_s=60, session_s=100)
    closed.clock.ahead = 59
    site = closed.edge.keys
    claims = verify(token, uri=closed.edge.url + FILM, trust=await trust(closed), now=time.time())
    # As keys would make it then; its clock here is the machine's.
    last = follow(site.own, claims, longest_s=site.session_s, now=closed.clock())
    closed.clock.ahead = 62
    assert (await asked(closed, token)).json()["code"] == "expired"
    got = await asked(closed, last)
    assert (got.status_code, carried(got)) == (200, ""), "at its end nothing follows"
    closed.clock.ahead = 102
    assert (await asked(closed, last)).json()["code"] == "expired"


async def test_by_redirect_the_token_is_in_the_query_and_the_next_one_comes_half_way(closed: Setup) -> None:
    url = link(closed, renew="redirect", renew_s=60) + "a.mp4?w=1"
    got = await closed.client.get(url)
    place, _, token = got.headers["location"].partition(f"&{ATTRIBUTE}=")
    assert (got.status_code, place) == (302, FILM + "?w=1") and token
    under = got.headers["location"]
    for _ in range(2):
        got = await closed.client.get(under)
        assert (got.status_code, "set-cookie" in got.headers) == (200, False)
        assert closed.edge.app.at_once(head(closed, closed.edge.url + under), "http") is None
    closed.clock.ahead = 31
    due = await closed.client.get(under)
    assert due.status_code == 302 and due.headers["location"].startswith(f"{FILM}?w=1&{ATTRIBUTE}=")
    assert due.headers["cache-control"] == "no-store"
    assert (await asked(closed, token)).status_code == 403, "it is for the query"


@pytest.mark.parametrize("kind", [VIEWER, LID, KID])
@pytest.mark.parametrize("renew", [None, "cookie"])
async def test_t4_who_is_taken_back_is_let_in_no_more_and_others_are(
    closed: Setup, kind: str, renew: str | None
) -> None:
    async def of(viewer: str) -> tuple[str, str]:
        url = link(closed, renew=renew, viewer=viewer, link_id=viewer) + "a.mp4"
        return url, await opened(closed, viewer=viewer, link_id=viewer) if renew else ""

    async def status(who: tuple[str, str]) -> int:
        url, token = who
        return (await asked(closed, token) if token else await closed.client.get(url)).status_code

    anna, ben = await of("anna"), await of("ben")
    assert [await status(who) for who in (anna, ben, anna)] == [200, 200, 200]
    site = closed.edge.keys.site
    name = signing_key_name(site.iss, site.kid) if kind == KID else "anna"
    ready = closed.edge.app.at_once(head(closed, anna[0]), "http")
    assert (ready is None) == (renew is not None)
    closed.edge.keys.revoke(kind, name)
    await until(lambda: closed.edge.app.revocations.revoked.version == 1)
    assert closed.edge.app.at_once(head(closed, anna[0]), "http") is None
    assert [await status(who) for who in (anna, ben)] == [403, 403 if kind == KID else 200]
    if renew:
        assert (await closed.client.get(anna[0])).json()["code"] == "revoked"


async def test_f27_with_keys_away_whoever_is_known_goes_on_without_a_new_token(closed: Setup) -> None:
    token, named = await opened(closed, viewer="anna"), link(closed, viewer="ben") + "a.mp4"
    assert carried(await asked(closed, token))
    assert (await closed.client.get(named)).status_code == 200
    closed.edge.keys.down = True
    closed.clock.ahead = 60 / SHARED + 1
    for _ in range(2):
        got = await asked(closed, token)
        assert (got.status_code, carried(got)) == (200, "")
    assert (await closed.client.get(named)).status_code == 200
    for url in (link(closed, viewer="anna"), link(closed, renew="cookie")):
        assert (await closed.client.get(url + "a.mp4")).status_code == 503


async def test_a_link_in_a_cookie_is_followed_by_a_token_and_one_for_a_post_is_as_it_was(
    closed: Setup,
) -> None:
    url = link(closed, renew="cookie") + "a.mp4"
    got = await asked(closed, url.split(f"{ATTRIBUTE}=")[1].split("/")[0])
    assert got.status_code == 200 and carried(got)
    assert (await closed.client.post(url)).status_code == 405, "which the zone does not take"


async def test_t21_an_origin_that_is_told_cookies_is_told_no_token_and_answers_stay_shared(web: Path) -> None:
    async with setup(web, signed=True, forward=frozenset({b"cookie"})) as found:
        url = sign_url(f"{found.edge.url}/z/press/", found.edge.keys.site, below=True, renew="cookie")
        async with httpx.AsyncClient(follow_redirects=True, cookies={"lang": "de"}) as browser:
            for number in range(3):
                found.clock.ahead = number * 10  # so that each answer has another token
                asked = f"{found.edge.url}/z/press/a" if number else url + "a"
                got = await browser.get(asked)
                assert got.status_code == 200 and carried(got)
        (seen,) = found.origin.seen
        assert seen.fields["cookie"] == "lang=de"


@pytest.mark.parametrize(
    ("path", "depth", "bound"),
    [
        ("/z/closed/films/a.mp4", 3, "/z/closed/films"),
        ("/z/closed/films/a.mp4", 4, "/z/closed/films/a.mp4"),
        ("/z/closed/films/a.mp4", 5, None),
        ("/z/closed/films/a.mp4", 0, "/z/closed"),
        ("/z/closed/films/a.mp4", 1, "/z/closed"),
        ("/z/closed/a;Domain=x/b", 4, None),
        ("/z/closed/a;Domain=x/b", 2, "/z/closed"),
        ("/z/closed/a,b/c", 3, None),
    ],
)
def test_a_cookie_reaches_no_further_than_its_zone_and_has_no_attribute_of_the_paths(
    path: str, depth: int, bound: str | None
) -> None:
    zones = Zones((Zone("/z/closed/", (), name="closed", signed=True),), "http://edge.example")
    target = zones.target(path.encode(), b"x=/y")
    renewal = Renewal(COOKIE, 60, depth)
    claims = Claims(
        "link", "site", "k", 1, 0, 0, (), "", "", "", "l", False, "", "", 0, None, {}, renewal
    )  # fmt: skip
    assert cookie_path(claims, target) == bound
