"""A link's own limits: what they may be, and that they survive the way from link to lease."""

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import Limits, SigningKey, sign_url
from keys.asset_limits import NO_ASSET_LIMITS, AssetLimits
from keys.claims import BAD_CRITICAL, Refused
from keys.container import split_token
from keys.leases import Lease, OpenedSession
from keys.limits import MOST, NO_LIMITS, SLOWEST
from keys.names import b64url_decode
from keys.problems import Problem
from keys.secrets import Secrets
from keys.service import KeysService
from keys.sessions import Rules
from keys.stores import Stores
from keys.tokens import Trust, verify

if TYPE_CHECKING:
    from tests.keys.conftest import Clock

EDGE = "http://127.0.0.1:8010"
FILM = f"{EDGE}/v/film/main.m3u8"

numbers = st.none() | st.integers(1, MOST - 1)
any_limits = st.builds(
    Limits,
    streams=numbers,
    opens=numbers,
    budget=numbers,
    speed=st.none() | st.integers(SLOWEST, MOST - 1),
    countries=st.lists(st.text("ABXYZ", min_size=2, max_size=2), max_size=5).map(tuple),
    device=st.booleans(),
)


@given(any_limits)
def test_limits_are_read_back_as_they_were_written(limits: Limits) -> None:
    assert Limits.from_json(json.loads(json.dumps(limits.to_json()))) == limits


def test_no_limits_are_one_object_so_that_the_hot_path_need_not_compare() -> None:
    assert Limits.from_json({}) is NO_LIMITS


@pytest.mark.parametrize(
    "wrong",
    [
        [], None, 3, {"streams": 0}, {"streams": True}, {"streams": 2.0}, {"streams": "2"}, {"opens": -1},
        {"budget": MOST}, {"speed": SLOWEST - 1}, {"countries": "DE"}, {"countries": ["de"]},
        {"countries": ["DEU"]}, {"countries": [1]}, {"countries": ["DE"] * 61}, {"device": 1},
        {"rate": 2}, {"streams": 2, "unknown": 1},
    ],
)  # fmt: skip
def test_what_is_no_limit_is_refused_in_a_token_and_raises_when_signing(wrong: Any) -> None:
    with pytest.raises(ValueError):
        Limits.from_json(wrong)
    key = SigningKey.generate("site")
    token = split_token(sign_url(FILM, key))[1]
    claims = json.loads(b64url_decode(token.split(".")[1]))
    forged = key.sign({**claims, "limits": wrong})
    trust = Trust.from_json(
        {"issuers": [{"iss": "site", "kind": "link", "keys": [key.public_jwk()], "max_lifetime_s": 90_000}]}
    )
    with pytest.raises(Refused) as refused:
        verify(forged, uri=FILM, trust=trust, now=claims["iat"])
    assert refused.value.reason == BAD_CRITICAL


async def opened_limits(service: KeysService, secrets: Secrets, clock: "Clock", **how: Any) -> Limits:
    token = split_token(sign_url(FILM, secrets.issuer, now=clock.now, **how))[1]
    session = await service.open_session(token, FILM, "198.51.100.7", "edge-1")
    return (await service.lease(session.session_token, f"{EDGE}/v/film/aes/main.m3u8")).limits


async def test_an_edge_learns_the_limits_of_a_link_from_the_lease_of_its_session(
    stores: Stores, secrets: Secrets, clock: "Clock"
) -> None:
    service = await KeysService.start(stores, secrets, hosts=[EDGE], rules=Rules(streams=3), now=clock)
    made = await service.new_generation("film")
    await service.publish("film", made.generation, None)
    own = Limits(streams=2, opens=5, budget=10**9, speed=10**6)
    assert await opened_limits(service, secrets, clock, limits=own) == own
    assert await opened_limits(service, secrets, clock) == Limits(streams=3), "the site's own"
    assert await opened_limits(service, secrets, clock, limits=Limits(opens=1)) == Limits(streams=3, opens=1)
    service = await KeysService.start(stores, secrets, hosts=[EDGE], now=clock)
    assert await opened_limits(service, secrets, clock) == NO_LIMITS


def test_who_does_not_know_limits_must_refuse_a_link_that_has_some() -> None:
    """RFC 9246 §2.1.13."""
    key = SigningKey.generate("site")

    def claims(limits: Limits | None) -> dict[str, Any]:
        token = split_token(sign_url(FILM, key, limits=limits))[1]
        found: dict[str, Any] = json.loads(b64url_decode(token.split(".")[1]))
        return found

    assert claims(Limits(streams=1))["cdnicrit"] == "limits"
    assert {"limits", "cdnicrit"}.isdisjoint(claims(NO_LIMITS).keys() | claims(None).keys())


# ---- of an asset


async def leased(service: KeysService, secrets: Secrets, clock: "Clock", **how: Any) -> Lease:
    token = split_token(sign_url(FILM, secrets.issuer, now=clock.now, **how))[1]
    session = await service.open_session(token, FILM, "198.51.100.7", "edge-1")
    return await service.lease(session.session_token, f"{EDGE}/v/film/aes/main.m3u8")


@pytest.mark.parametrize(
    ("link", "asset", "site", "counts"),
    [(None, 2, 3, 2), (1, 2, 3, 1), (5, 2, 3, 2), (None, None, 3, 3), (4, None, 3, 4), (None, 4, 0, 4)],
)
async def test_of_the_streams_a_link_and_its_asset_allow_the_smaller_number_counts(
    stores: Stores,
    secrets: Secrets,
    clock: "Clock",
    link: int | None,
    asset: int | None,
    site: int,
    counts: int,
) -> None:
    service = await KeysService.start(stores, secrets, hosts=[EDGE], rules=Rules(streams=site), now=clock)
    made = await service.new_generation("film")
    await service.publish("film", made.generation, None)
    await service.asset_limits.change("film", {"viewer_streams": asset})
    lease = await leased(service, secrets, clock, limits=Limits(streams=link))
    assert (lease.limits.streams, lease.asset_streams) == (counts, None)
    assert Lease.from_json(lease.to_json()) == lease


async def test_limits_of_an_asset_are_set_before_it_is_published_or_later_and_go_with_it(
    any_stores: Stores, secrets: Secrets, clock: "Clock"
) -> None:
    service = await KeysService.start(any_stores, secrets, hosts=[EDGE], now=clock)
    limits = service.asset_limits
    assert await limits.get("film") == NO_ASSET_LIMITS
    assert await limits.change("film", {"streams": 40}) == AssetLimits(streams=40)
    made = await service.new_generation("film")
    assert made.generation == 1
    await service.publish("film", made.generation, None)
    assert (await leased(service, secrets, clock)).asset_streams == 40
    both = AssetLimits(streams=40, viewer_streams=2)
    assert await limits.change("film", {"viewer_streams": 2}) == both
    later = await service.new_generation("film")
    await service.publish("film", later.generation, None)
    assert await limits.get("film") == both, "of the asset, not of a generation"
    assert await limits.change("film", {"streams": None}) == AssetLimits(viewer_streams=2)
    await service.delete_asset("film")
    assert await limits.get("film") == NO_ASSET_LIMITS


@pytest.mark.parametrize(
    "wrong", [{"streams": 0}, {"streams": "2"}, {"streams": True}, {"viewer_streams": 1.5}, {"speed": 5}]
)
async def test_what_is_no_limit_of_an_asset_is_refused_and_changes_nothing(
    service: KeysService, wrong: dict[str, Any]
) -> None:
    await service.asset_limits.change("film", {"streams": 3})
    with pytest.raises(Problem, match="bad_request"):
        await service.asset_limits.change("film", wrong)
    with pytest.raises(Problem, match="bad_request"):
        await service.asset_limits.change("../film", {"streams": 3})
    assert await service.asset_limits.get("film") == AssetLimits(streams=3)


# ---- bound to a browser, to countries


async def test_a_link_bound_to_a_browser_opens_for_who_was_first_and_for_nobody_else(
    service: KeysService, secrets: Secrets, clock: "Clock"
) -> None:
    made = await service.new_generation("film")
    await service.publish("film", made.generation, None)

    def link() -> str:
        limits = Limits(device=True)
        url = sign_url(
            FILM, secrets.issuer, start_within_s=86_400, session_s=3600, limits=limits, now=clock.now
        )
        return split_token(url)[1]

    async def tried(token: str, *cookies: str, ip: str = "198.51.100.7") -> OpenedSession:
        return await service.open_session(token, FILM, ip, "edge-1", cookies=cookies)

    token, other = link(), link()
    first = await tried(token)
    assert len(first.cookie) == 43 and first.cookie_until == int(clock.now) + 86_400
    assert first.cookie not in repr(first)
    lease = await service.lease(first.session_token, f"{EDGE}/v/film/aes/main.m3u8")
    assert (lease.cookie, lease.limits) == (first.cookie, Limits(device=True))
    assert (await tried(token, "x" * 43, first.cookie)).sid == first.sid, "the same browser, moments later"
    clock.advance(3600)
    assert (await tried(token, first.cookie, ip="10.0.0.1")).sid != first.sid, "at another place, hours later"
    for cookies in ((), ("x" * 43,), ((await tried(other)).cookie,)):
        with pytest.raises(Problem) as refused:
            await tried(token, *cookies)
        assert (refused.value.code, refused.value.limit) == ("limit", "device")


async def test_a_link_bound_to_countries_opens_there_only(
    service: KeysService, secrets: Secrets, clock: "Clock"
) -> None:
    made = await service.new_generation("film")
    await service.publish("film", made.generation, None)
    limits = Limits(countries=("DE", "AT"))
    token = split_token(sign_url(FILM, secrets.issuer, now=clock.now, limits=limits))[1]
    assert await service.open_session(token, FILM, "198.51.100.7", "edge-1", country="AT")
    for country in ("", "FR", "at"):
        with pytest.raises(Problem) as refused:
            await service.open_session(token, FILM, "198.51.100.7", "edge-1", country=country)
        assert (refused.value.code, refused.value.limit) == ("limit", "country")


# ---- listing and ending what a viewer watches


async def test_the_sessions_of_one_viewer_are_listed_and_ended_and_he_may_come_again(
    service: KeysService, secrets: Secrets, clock: "Clock"
) -> None:
    made = await service.new_generation("film")
    await service.publish("film", made.generation, None)

    async def opened(viewer: str, ip: str) -> OpenedSession:
        token = split_token(sign_url(FILM, secrets.issuer, now=clock.now, viewer=viewer))[1]
        return await service.open_session(token, FILM, ip, "edge-1")

    of_anna = [await opened("anna", f"10.0.{n}.1") for n in range(2)]
    of_berta = await opened("berta", "10.0.9.1")
    listed = await service.sessions(60, "anna")
    assert {session["sid"] for session in listed} == {session.sid for session in of_anna}
    assert set(await service.revoker.end_sessions("anna")) == {session.sid for session in of_anna}
    assert await service.revoker.end_sessions("anna") == []
    for session in of_anna:
        with pytest.raises(Problem) as refused:
            await service.lease(session.session_token, f"{EDGE}/v/film/aes/main.m3u8")
        assert refused.value.code == "revoked"
    feed = await service.revocations(0, 0)
    assert {(entry.kind, entry.value) for entry in feed.entries} == {("sid", s.sid) for s in of_anna}
    assert (await service.lease(of_berta.session_token, f"{EDGE}/v/film/aes/main.m3u8")).viewer == "berta"
    assert (await opened("anna", "10.0.1.1")).sid not in {session.sid for session in of_anna}
    with pytest.raises(Problem) as wrong:
        await service.revoker.end_sessions("")
    assert wrong.value.code == "bad_request"
