"""Renewed tokens carry a download on: by cookie, by redirect, and without keys until the last one's end."""

import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from edge.deliver.path import Kind, Route
from edge.deliver.patience import Patience
from edge.deliver.renew import Renewals
from keys.claims import Claims
from keys.renewal import COOKIE, REDIRECT, Renewal
from keys.tokens import Trust, verify
from tests.edge.parts import FILES, MemoryKeys, World, file_bytes, world

NAME = "clip.mp4"
BODY = file_bytes(NAME, FILES[NAME])


def lifetime(edge: World, token: str) -> float:
    trust = Trust(edge.app.trusted._tokens.trust.issuers)
    return verify(token, uri=f"{edge.url}/d/film/{NAME}", trust=trust, now=time.time()).exp - time.time()


def token_in(url: str) -> str:
    return urlsplit(url).query.removeprefix("URISigningPackage=")


def renewing(keys: MemoryKeys, by: int, *, ends_in: float = 30, extend_s: int = 40) -> str:
    renewal = Renewal(by, extend_s, 2)
    return keys.session_token(bytes(16), ends_in=ends_in, paths=rf"/d/film/{NAME}", renewal=renewal)


async def test_a_cookie_carries_the_download_and_every_answer_brings_the_next(edge: World) -> None:
    async with httpx.AsyncClient() as browser:
        opened = await browser.get(edge.download_link(NAME, renew="cookie", renew_s=40))
        assert (opened.status_code, opened.headers["location"]) == (302, f"/d/film/{NAME}")
        said = opened.headers["set-cookie"].split("; ")
        assert said[1:] == [f"Path=/d/film/{NAME}", "HttpOnly", "SameSite=Lax"]
        first = await browser.get(f"{edge.url}/d/film/{NAME}")
        assert (first.status_code, first.content) == (200, BODY)
        token = first.headers["set-cookie"].partition(";")[0].partition("=")[2]
        assert 35 < lifetime(edge, token) <= 40
        part = await browser.get(f"{edge.url}/d/film/{NAME}", headers={"range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, BODY[10:20])
        assert edge.counted["tokens_renewed"] == 2
    async with httpx.AsyncClient() as stranger:
        assert (await stranger.get(f"{edge.url}/d/film/{NAME}")).status_code == 403


async def test_a_redirect_carries_the_download_and_comes_again_half_way(
    edge: World, client: httpx.AsyncClient
) -> None:
    opened = await client.get(edge.download_link(NAME, renew="redirect", renew_s=40))
    there = opened.headers["location"]
    assert opened.status_code == 302 and there.startswith(f"/d/film/{NAME}?URISigningPackage=")
    assert (await client.get(edge.url + there)).content == BODY  # a fresh one is served as it is
    late = renewing(edge.keys, REDIRECT, ends_in=19)
    again = await client.get(f"{edge.url}/d/film/{NAME}?URISigningPackage={late}")
    assert (again.status_code, again.headers["cache-control"]) == (302, "no-store")
    assert 35 < lifetime(edge, token_in(again.headers["location"])) <= 40
    assert (await client.get(edge.url + again.headers["location"])).content == BODY


@pytest.mark.parametrize("by", [COOKIE, REDIRECT])
async def test_with_keys_away_what_a_token_allows_is_served_until_its_end(
    edge: World, client: httpx.AsyncClient, by: int
) -> None:
    token = renewing(edge.keys, by, ends_in=15)
    place = {
        COOKIE: ("", {"cookie": f"URISigningPackage={token}"}),
        REDIRECT: (f"?URISigningPackage={token}", {}),
    }
    query, headers = place[by]
    url = f"{edge.url}/d/film/{NAME}{query}"
    if by == COOKIE:
        assert "set-cookie" in (await client.get(url, headers=headers)).headers
    else:
        assert (await client.get(url)).status_code == 302  # it has its lease now
    edge.keys.down = True
    answer = await client.get(url, headers=headers)
    assert (answer.status_code, answer.content) == (200, BODY)
    assert "set-cookie" not in answer.headers


async def test_t3_a_token_travels_only_as_it_says(edge: World, client: httpx.AsyncClient) -> None:
    link = edge.download_link(NAME).split("URISigningPackage=")[1].split("/")[0]
    plain = edge.download(NAME).split("URISigningPackage=")[1].split("/")[0]
    by_cookie, by_redirect = renewing(edge.keys, COOKIE), renewing(edge.keys, REDIRECT)
    url = f"{edge.url}/d/film/{NAME}"
    for token in (link, plain, by_redirect, by_cookie + "=", "", "a.b.c"):
        answer = await client.get(url, headers={"cookie": f"URISigningPackage={token}"})
        assert answer.status_code == 403
    for token in (plain, by_cookie):
        assert (await client.get(f"{url}?URISigningPackage={token}")).status_code == 403
    segment = f"{edge.url}/v/film/aes/720p/0.m4s"
    session = edge.keys.session_token(bytes(16))
    assert (await client.get(segment, headers={"cookie": f"URISigningPackage={session}"})).status_code == 403
    assert (
        await client.get(url, headers={"cookie": f"a=1; URISigningPackage={by_cookie}"})
    ).status_code == 200


async def test_t4_a_session_taken_back_is_not_renewed(edge: World, client: httpx.AsyncClient) -> None:
    url, cookie = f"{edge.url}/d/film/{NAME}", f"URISigningPackage={renewing(edge.keys, COOKIE)}"
    assert "set-cookie" in (await client.get(url, headers={"cookie": cookie})).headers
    edge.keys.revoke("viewer", "viewer-1")
    await edge.app.revocations.poll(0)
    answer = await client.get(url, headers={"cookie": cookie})
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


async def test_a_link_under_another_name_leads_to_a_session_under_that_name(web: Path) -> None:
    async with world(web, token_name="token") as edge, httpx.AsyncClient(follow_redirects=True) as browser:
        text = edge.link().split("URISigningPackage=")[1].split("/")[0]
        for name, link in (
            ("token", edge.link(attribute="token")),
            ("token", f"{edge.url}/v/film/main.m3u8?token={text}"),
            ("token", edge.download_link(NAME, attribute="token")),
            ("token", edge.download_link(NAME, attribute="token", renew="cookie")),
            ("token", edge.download_link(NAME, attribute="token", renew="redirect")),
            ("URISigningPackage", edge.link()),
        ):
            answer = await browser.get(link)
            assert answer.status_code == 200, link
            sent = answer.history[0].headers
            assert f"{name}=" in sent["location"] + sent.get("set-cookie", "")


@pytest.mark.parametrize(("depth", "bound"), [(0, "/"), (2, "/z/site"), (3, "/z/site/a"), (5, None)])
async def test_a_cookie_for_a_prefix_of_paths_is_bound_to_it_and_a_redirect_stays_at_its_path(
    depth: int, bound: str | None
) -> None:
    """Nothing here knows what lies under a path: it goes by the token's claims and the canonical path."""
    keys = MemoryKeys(edges=("http://edge.test",))

    class Authorizer:
        """Has checked all there is to check."""

        def uri(self, route: Route) -> str:
            return f"http://edge.test{route.path}"

    renewals = Renewals(
        Authorizer(),  # type: ignore[arg-type]
        keys,
        Patience(),
        secure=False,
        now=time.time,
    )

    def route(by: int) -> Route:
        renewal = Renewal(by, 40, depth)
        token = keys.session_token(bytes(16), ends_in=15, paths="/z/site/.*", renewal=renewal)
        return Route(Kind.DOWNLOAD, "/z/site/a/1.html", token, "film")

    trust = Trust.from_json(await keys.trust())

    def claims(route: Route) -> Claims:
        return verify(route.token, uri=f"http://edge.test{route.path}", trust=trust, now=time.time())

    def renewal(claims: Claims) -> Renewal:
        assert claims.renewal is not None
        return claims.renewal

    asked = route(COOKIE)
    fields = await renewals.headers(asked, renewal(claims(asked)))
    assert [value.split(b"; ")[1] for _, value in fields] == ([f"Path={bound}".encode()] if bound else [])
    asked = route(REDIRECT)
    found = claims(asked)
    answer = await renewals.redirect(asked, renewal(found), found.exp)
    assert answer is not None
    location = dict(answer.headers)[b"location"].decode()
    assert location.startswith("/z/site/a/1.html?URISigningPackage=")
