"""RFC 9246 §3 for zones: keys says whom a link names and what follows it, and nothing outlasts its end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import SigningKey, sign_url
from keys.claims import Refused
from keys.container import split_token
from keys.names import b64url_decode
from keys.problems import Problem
from keys.revocation import signing_key_name
from keys.secrets import Secrets
from keys.service import KeysService
from keys.tokens import Issuer, Trust, verify
from keys.zone_links import follow

if TYPE_CHECKING:
    from tests.keys.conftest import Clock

EDGE = "http://127.0.0.1:8010"
FOLDER = f"{EDGE}/z/courses/week-1/"
PAGE = FOLDER + "a.html"
SITE, OWN = SigningKey.generate("site"), SigningKey.generate("sluice")
LONGEST_S = 12 * 3600
TRUST = Trust(
    [
        Issuer("site", "link", (SITE.verify_key(),), 30 * 86400),
        Issuer("sluice", "session", (OWN.verify_key(),), LONGEST_S + 300),
    ]
)


def claims_of(token: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(b64url_decode(token.split(".")[1]))
    return found


@given(
    session_s=st.integers(1, 30 * 86400),
    renew_s=st.integers(1, 30 * 86400),
    opened_after=st.floats(0, 7199),
    waits=st.lists(st.floats(0, 1), max_size=8),
)
def test_no_chain_of_renewals_is_longer_than_its_link_or_any_session_may_be(
    session_s: int, renew_s: int, opened_after: float, waits: list[float]
) -> None:
    now = 1_800_000_000.0
    how = {"renew": "cookie", "renew_s": renew_s, "session_s": session_s, "below": True}
    token = split_token(sign_url(FOLDER, SITE, now=now, viewer="anna", link_id="link-1", **how))[1]  # type: ignore[arg-type]
    link = claims_of(token)
    now += opened_after
    latest = now + min(session_s, LONGEST_S)
    for wait in [0.0, *waits]:
        claims = verify(token, uri=PAGE, trust=TRUST, now=now)
        token = follow(OWN, claims, longest_s=LONGEST_S, now=now)
        said = claims_of(token)
        assert said["end"] == int(latest)
        assert said["exp"] == int(min(int(latest), now + renew_s))
        for name in ("cdniuc", "lid", "sub", "cdnistt", "cdniets", "cdnistd"):
            assert said[name] == link[name]
        assert (said["iss"], said["by"]) == ("sluice", ["site", SITE.kid])
        now += wait * (float(str(said["exp"])) - now)
        if now >= float(str(said["exp"])):
            with pytest.raises(Refused):
                verify(token, uri=PAGE, trust=TRUST, now=now)
            return


@given(at=st.integers(0, 10_000), other=st.sampled_from("AQgw_-"))
def test_a_tampered_token_is_refused_and_never_a_crash(at: int, other: str) -> None:
    now = 1_800_000_000.0
    link = split_token(sign_url(PAGE, SITE, now=now, renew="cookie"))[1]
    token = follow(OWN, verify(link, uri=PAGE, trust=TRUST, now=now), longest_s=LONGEST_S, now=now)
    at %= len(token)
    if token[at] != other:
        with pytest.raises(Refused):
            verify(token[:at] + other + token[at + 1 :], uri=PAGE, trust=TRUST, now=now)


@pytest.mark.parametrize(
    "changed",
    [
        {"end": None},
        {"end": 1},
        {"end": "2000000000"},
        {"by": "site/kid"},
        {"by": ["site"]},
        {"by": ["site", ""]},
        {"lid": None},
    ],
)
def test_a_zone_token_that_does_not_say_all_is_none(changed: dict[str, object]) -> None:
    now = 1_800_000_000.0
    link = split_token(sign_url(PAGE, SITE, now=now, renew="cookie"))[1]
    said = claims_of(follow(OWN, verify(link, uri=PAGE, trust=TRUST, now=now), longest_s=100, now=now))
    token = OWN.sign({k: v for k, v in (said | changed).items() if v is not None and k != "iss"})
    with pytest.raises(Refused):
        verify(token, uri=PAGE, trust=TRUST, now=now)


def link(secrets: Secrets, clock: Clock, url: str = PAGE, **how: object) -> str:
    return split_token(sign_url(url, secrets.issuer, now=clock.now, **how))[1]  # type: ignore[arg-type]


async def refused(service: KeysService, token: str, uri: str = PAGE) -> str:
    with pytest.raises(Problem) as caught:
        await service.zone_link(token, uri)
    assert caught.value.status == 403
    return caught.value.code


async def test_keys_says_whom_a_link_names_and_makes_a_token_only_for_one_that_asks(
    service: KeysService, secrets: Secrets, clock: Clock
) -> None:
    named = await service.zone_link(link(secrets, clock, viewer="anna"), PAGE)
    assert (named.viewer, named.token) == ("anna", "")
    asks = await service.zone_link(link(secrets, clock, viewer="anna", renew="cookie"), PAGE)
    clock.advance(30)
    after = await service.zone_link(asks.token, PAGE)
    assert (asks.viewer, after.viewer) == ("anna", "anna") and after.token
    assert asks.token not in repr(asks)
    assert await refused(service, asks.token, f"{EDGE}/z/courses/other") == "forbidden"
    clock.advance(60)
    assert await refused(service, asks.token) == "expired"


async def test_a_token_at_its_end_is_followed_by_none(
    service: KeysService, secrets: Secrets, clock: Clock
) -> None:
    token = (
        await service.zone_link(link(secrets, clock, renew="cookie", renew_s=90, session_s=60), PAGE)
    ).token
    assert (await service.zone_link(token, PAGE)).token == ""
    clock.advance(60)
    assert await refused(service, token) == "expired"


@pytest.mark.parametrize("kind", ["viewer", "lid", "kid", "epoch", "own"])
async def test_t4_nothing_follows_what_was_taken_back(
    service: KeysService, secrets: Secrets, clock: Clock, kind: str
) -> None:
    first = link(secrets, clock, viewer="anna", link_id="link-1", renew="cookie")
    token = (await service.zone_link(first, PAGE)).token
    own = service._rings.sessions.active(clock.now)
    value = {
        "viewer": "anna",
        "lid": "link-1",
        "kid": signing_key_name(secrets.issuer.iss, secrets.issuer.kid),
        "epoch": "default",
        "own": signing_key_name(own.iss, own.kid),
    }[kind]
    await service.revoker.revoke("kid" if kind == "own" else kind, value)
    clock.advance(1)
    assert await refused(service, token) == ("forbidden" if kind == "own" else "revoked")
    if kind != "own":  # a key of keys' own is not even believed any more
        assert await refused(service, first) == "revoked"


async def test_a_token_for_a_zone_opens_nothing_and_no_session_is_renewed_as_one(
    service: KeysService, secrets: Secrets, clock: Clock
) -> None:
    await service.publish("film", (await service.new_generation("film")).generation, None)
    stream = f"{EDGE}/v/film/main.m3u8"
    session = await service.open_session(link(secrets, clock, stream), stream, "192.0.2.7", "edge-1")
    assert await refused(service, session.session_token, f"{EDGE}/v/film/aes/main.m3u8") == "forbidden"
    token = (await service.zone_link(link(secrets, clock, renew="cookie"), PAGE)).token
    for use in (
        service.lease(token, PAGE),
        service.renew(token, PAGE),
        service.open_session(token, PAGE, "192.0.2.7", "edge-1"),
    ):
        with pytest.raises(Problem, match="forbidden"):
            await use
    once = secrets.issuer.sign(
        {"jti": "once", "exp": int(clock.now) + 60, "cdniuc": f"regex:{PAGE}", "cdnistt": 1, "cdniets": 9}
    )
    assert await refused(service, once) == "forbidden"
