"""RFC 9246 §3: a token that is used lives on, for as long as its session and no longer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from keys import SigningKey, sign_url
from keys.container import hash_container, quote, split_token
from keys.names import b64url_decode
from keys.problems import Problem
from keys.renewal import COOKIE, REDIRECT, Renewal, cookie, cookie_tokens
from keys.secrets import Secrets
from keys.service import KeysService

if TYPE_CHECKING:
    from tests.keys.conftest import Clock

EDGE = "http://127.0.0.1:8010"
FILE = f"{EDGE}/d/film/film.mp4"
STREAM = f"{EDGE}/v/film/main.m3u8"


def claims_of(token: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(b64url_decode(token.split(".")[1]))
    return found


@pytest.mark.parametrize(
    ("depth", "path", "bound"),
    [
        (0, "/d/film/film.mp4", "/"),
        (1, "/d/film/film.mp4", "/d"),
        (2, "/d/film/film.mp4", "/d/film"),
        (3, "/d/film/film.mp4", "/d/film/film.mp4"),
        (4, "/d/film/film.mp4", None),
    ],
)
def test_a_cookie_is_bound_to_the_first_segments_and_not_issued_on_too_short_a_path(
    depth: int, path: str, bound: str | None
) -> None:
    assert Renewal(COOKIE, 30, depth).cookie_path(path) == bound


def test_a_cookie_is_out_of_reach_of_scripts_and_other_sites() -> None:
    assert cookie("T", "a.b.c", "/d", secure=True) == "T=a.b.c; Path=/d; HttpOnly; SameSite=Lax; Secure"
    assert "Secure" not in cookie("T", "a.b.c", "/d", secure=False)
    assert cookie_tokens(("T", "U"), "x=1; T=a.b.c; U=d.e.f") == [("T", "a.b.c"), ("U", "d.e.f")]
    assert cookie_tokens(("T",), "xT=1; t=2") == []


def test_a_redirect_is_due_half_way_to_the_end() -> None:
    renewal = Renewal(REDIRECT, 30)
    assert [renewal.is_due(130, now) for now in (100, 114, 115, 129)] == [False, False, True, True]


def test_a_link_can_ask_for_renewal_of_a_download_and_not_of_a_stream() -> None:
    key = SigningKey.generate("site")
    claims = claims_of(split_token(sign_url(FILE, key, renew="redirect", renew_s=45))[1])
    assert (claims["cdnistt"], claims["cdniets"], claims["cdnistd"]) == (2, 45, 3)
    for url, how in ((STREAM, "cookie"), (FILE, "header")):
        with pytest.raises(ValueError, match="renewed by"):
            sign_url(url, key, renew=how)
    with pytest.raises(ValueError, match="renew_s"):
        sign_url(FILE, key, renew="cookie", renew_s=0)


@pytest.fixture
async def film(service: KeysService) -> None:
    await service.publish("film", (await service.new_generation("film")).generation, None)


async def opened(service: KeysService, secrets: Secrets, clock: Clock, url: str = FILE, **how: object) -> str:
    token = split_token(sign_url(url, secrets.issuer, now=clock.now, **how))[1]  # type: ignore[arg-type]
    return (await service.open_session(token, url, "192.0.2.7", "edge-1")).session_token


async def refused(service: KeysService, token: str, uri: str = FILE) -> str:
    with pytest.raises(Problem) as caught:
        await service.renew(token, uri)
    assert caught.value.status == 403
    return caught.value.code


async def test_the_new_end_counts_from_the_renewal_and_never_passes_the_sessions(
    service: KeysService, secrets: Secrets, clock: Clock, film: None
) -> None:
    start = int(clock.now)
    token = await opened(service, secrets, clock, renew="cookie", renew_s=60, session_s=150)
    assert claims_of(token)["exp"] == start + 60
    for at, end in ((50, 110), (109, 150), (149, 150)):
        clock.now = start + at
        before, token = claims_of(token), (await service.renew(token, FILE)).session_token
        after = claims_of(token)
        assert after["exp"] == start + end
        assert {k: v for k, v in before.items() if k not in ("exp", "nbf")} == {
            k: v for k, v in after.items() if k not in ("exp", "nbf")
        }
    clock.now = start + 150
    assert await refused(service, token) == "expired"


async def test_a_token_past_its_end_is_not_renewed_though_its_session_runs(
    service: KeysService, secrets: Secrets, clock: Clock, film: None
) -> None:
    token = await opened(service, secrets, clock, renew="cookie", renew_s=60)
    clock.advance(60)
    assert await refused(service, token) == "expired"


async def test_t4_t19_no_edge_renews_what_was_taken_back_nor_what_is_not_to_be_renewed(
    service: KeysService, secrets: Secrets, clock: Clock, film: None, counted: list[str]
) -> None:
    link = split_token(sign_url(FILE, secrets.issuer, now=clock.now, renew="cookie"))[1]
    assert await refused(service, link) == "forbidden"
    assert await refused(service, await opened(service, secrets, clock)) == "forbidden"
    assert await refused(service, await opened(service, secrets, clock, STREAM), STREAM) == "forbidden"
    token = await opened(service, secrets, clock, renew="cookie", viewer="anna")
    assert await refused(service, token, f"{EDGE}/d/film/other.mp4") == "forbidden"
    assert await refused(service, token[:-2] + ("AA" if token[-2:] != "AA" else "BA")) == "forbidden"
    await service.renew(token, FILE)
    assert counted.count("keys_renewals") == 1
    await service.revoker.revoke("viewer", "anna")
    assert await refused(service, token) == "revoked"


async def test_renewal_follows_the_tokens_own_uris_whatever_kind_of_path_they_are(
    service: KeysService, secrets: Secrets, clock: Clock, film: None
) -> None:
    """A prefix of paths, or the hash of one URI: what the token allows it is renewed for, and stays."""
    first = claims_of(await opened(service, secrets, clock, renew="cookie", renew_s=30))
    page, other = f"{EDGE}/z/site/a/1.html", f"{EDGE}/z/other/1.html"
    ring = service._opener.rings.sessions.active(clock.now)
    for container, inside, outside in (
        (f"regex:{quote(EDGE)}/z/site/.*", (page, f"{EDGE}/z/site/b?c=1"), other),
        (hash_container(page), (page,), f"{EDGE}/z/site/b"),
    ):
        token = ring.sign({**first, "exp": int(clock.now) + 30, "cdniuc": container, "cdnistd": 2})
        for uri in inside:
            clock.advance(10)
            token = (await service.renew(token, uri)).session_token
            said = claims_of(token)
            assert (said["cdniuc"], said["cdnistd"], said["sid"]) == (container, 2, first["sid"])
            assert said["exp"] == int(clock.now) + 30
        assert await refused(service, token, outside) == "forbidden"
