"""The use cases of the keys service: sessions, leases, revocation, generations, over a real database."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from keys import SigningKey, sign_url
from keys.cipher import seal_claim
from keys.container import hash_container, split_token
from keys.counters import COUNTERS
from keys.derive import session_root
from keys.hierarchy import Hierarchy
from keys.issuers import LINK_LIFETIME_S, configured_issuers
from keys.leases import LEASE_S, OpenedSession
from keys.leasing import FASTEST, SLOWEST, within_limits
from keys.names import b64url, b64url_decode
from keys.pace import Pace
from keys.problems import Problem
from keys.secrets import Secrets
from keys.service import KeysService
from keys.sessions import Activity, Rules
from keys.stores import Stores
from keys.tokens import Trust, verify

if TYPE_CHECKING:
    from tests.keys.conftest import Clock

EDGE = "http://127.0.0.1:8010"
FILM = f"{EDGE}/v/film/main.m3u8"
SEGMENT = f"{EDGE}/v/film/aes/720p/7.m4s"
VIEWER_IP = "198.51.100.7"


@pytest.fixture
async def film(service: KeysService) -> str:
    """A published asset."""
    made = await service.new_generation("film")
    await service.publish("film", made.generation, None)
    return "film"


def link(key: SigningKey, clock: Clock, url: str = FILM, **options: Any) -> str:
    """The token of a link."""
    return split_token(sign_url(url, key, now=clock.now, **options))[1]


async def opened(service: KeysService, token: str, ip: str = VIEWER_IP, uri: str = FILM) -> OpenedSession:
    return await service.open_session(token, uri, ip, "edge-1")


async def refused(service: KeysService, token: str, ip: str = VIEWER_IP, uri: str = FILM) -> Problem:
    with pytest.raises(Problem) as caught:
        await opened(service, token, ip, uri)
    return caught.value


async def no_lease(service: KeysService, session: OpenedSession, uri: str = SEGMENT) -> str:
    with pytest.raises(Problem) as caught:
        await service.lease(session.session_token, uri)
    return caught.value.code


# ---- opening


async def test_a_link_opens_a_session_whose_token_is_good_for_everything_of_the_asset(
    service: KeysService, secrets: Secrets, clock: Clock, film: str, counted: list[str]
) -> None:
    session = await opened(service, link(secrets.issuer, clock, session_s=3600))
    assert (session.asset, session.generation, session.expires) == ("film", 1, clock.now + 3600)
    trust = Trust.from_json(await service.trust())
    claims = verify(session.session_token, uri=SEGMENT, trust=trust, now=clock.now)
    assert (claims.kind, claims.sid, claims.asset) == ("session", session.sid, "film")
    assert len(b64url_decode(session.sid)) == 16
    assert session.session_token not in repr(session)
    assert counted[-1] == "keys_sessions_opened"


async def test_the_manifest_opens_the_same_session_as_the_playlist(
    service: KeysService, secrets: Secrets, clock: Clock, film: str
) -> None:
    token = link(secrets.issuer, clock)
    assert await opened(service, token) == await opened(service, token, uri=f"{EDGE}/v/film/main.mpd")


async def test_opening_again_answers_the_same_token_and_counts_no_opening(
    service: KeysService, secrets: Secrets, clock: Clock, film: str, counted: list[str]
) -> None:
    token = link(secrets.issuer, clock, once=True)
    first = await opened(service, token)
    clock.advance(59)
    assert await opened(service, token, "198.51.100.99") == first
    assert counted[-1] == "keys_sessions_repeated"
    clock.advance(1)
    assert (await refused(service, token)).code == "limit"


async def test_t2_a_single_use_link_raced_by_strangers_opens_for_exactly_one(
    service: KeysService, secrets: Secrets, clock: Clock, film: str
) -> None:
    token = link(secrets.issuer, clock, once=True)
    answers = await asyncio.gather(
        *(opened(service, token, f"10.0.{n}.1") for n in range(8)), return_exceptions=True
    )
    assert sum(isinstance(answer, OpenedSession) for answer in answers) == 1
    assert {answer.code for answer in answers if isinstance(answer, Problem)} == {"limit"}


async def test_t2_a_session_url_opened_as_a_link_opens_nothing(
    service: KeysService, secrets: Secrets, clock: Clock, film: str
) -> None:
    session = await opened(service, link(secrets.issuer, clock))
    assert (await refused(service, session.session_token)).code == "forbidden"


@pytest.mark.parametrize(
    "path",
    [
        "/v/film/aes/main.m3u8",
        "/v/film/main.txt",
        "/d/film",
        "/d/film/a/b.mp4",
        "/v/main.m3u8",
    ],
)
async def test_only_a_main_playlist_a_manifest_or_a_download_opens(
    service: KeysService, secrets: Secrets, clock: Clock, film: str, path: str
) -> None:
    token = link(secrets.issuer, clock, EDGE + path)
    assert (await refused(service, token, uri=EDGE + path)).code == "forbidden"


async def test_t12_an_absent_asset_a_bad_token_and_a_foreign_issuer_are_refused_with_the_same_bytes(
    service: KeysService, secrets: Secrets, clock: Clock, film: str
) -> None:
    absent = f"{EDGE}/v/absent/main.m3u8"
    await service.new_generation("unpublished")
    unpublished = f"{EDGE}/v/unpublished/main.m3u8"
    token = link(secrets.issuer, clock)
    refusals = [
        await refused(service, link(secrets.issuer, clock, absent), uri=absent),
        await refused(service, link(secrets.issuer, clock, unpublished), uri=unpublished),
        await refused(service, token, uri=absent),
        await refused(service, token[:-2] + ("AA" if token[-2:] != "AA" else "BA")),
        await refused(service, "x"),
        await refused(service, link(SigningKey.generate("stranger"), clock)),
        await refused(service, link(SigningKey.generate("site"), clock)),
    ]
    assert {problem.code for problem in refusals} == {"forbidden"}
    assert len({problem.body() for problem in refusals}) == 1


async def test_a_link_past_its_time_is_expired(
    service: KeysService, secrets: Secrets, clock: Clock, film: str, counted: list[str]
) -> None:
    token = link(secrets.issuer, clock, start_within_s=60)
    clock.advance(60)
    assert (await refused(service, token)).code == "expired"
    assert counted[-1] == "keys_sessions_refused"


async def test_a_link_that_lives_longer_than_allowed_is_refused(
    service: KeysService, secrets: Secrets, clock: Clock, film: str
) -> None:
    token = link(secrets.issuer, clock, start_within_s=LINK_LIFETIME_S + 1)
    assert (await refused(service, token)).code == "forbidden"


async def test_a_link_bound_to_a_network_opens_there_only_and_the_lease_says_so(
    service: KeysService, secrets: Secrets, clock: Clock, film: str
) -> None:
    token = link(secrets.issuer, clock, network="198.51.100.0/24")
    assert (await refused(service, token, "203.0.113.1")).code == "forbidden"
    session = await opened(service, token)
    assert (await service.lease(session.session_token, SEGMENT)).network == "198.51.100.0/24"


async def test_a_viewer_hidden_under_another_key_opens_nothing(
    service: KeysService, secrets: Secrets, clock: Clock, film: str
) -> None:
    foreign = SigningKey.generate("site").viewer_key
    key = SigningKey(secrets.issuer.iss, secrets.issuer.kid, secrets.issuer.private, foreign)
    assert (await refused(service, link(key, clock, viewer="anna"))).code == "forbidden"
    assert (await refused(service, link(key, clock, network="10.0.0.0/8"))).code == "forbidden"


async def test_a_session_never_outlasts_the_sites_maximum(
    stores: Stores, secrets: Secrets, clock: Clock
) -> None:
    service = await KeysService.start(
        stores, secrets, hosts=[EDGE], now=clock, rules=Rules(opens_per_minute=2, maximum_s=600)
    )
    made = await service.new_generation("film")
    await service.publish("film", made.generation, None)
    token = link(secrets.issuer, clock, session_s=86400)
    assert (await opened(service, token)).expires == clock.now + 600
    await opened(service, token, "10.0.0.1")
    assert (await refused(service, token, "10.0.1.1")).code == "limit"


async def test_a_client_address_that_is_none_is_the_edges_mistake(
    service: KeysService, secrets: Secrets, clock: Clock, film: str
) -> None:
    for address in ("nowhere", "", "198.51.100.7/24", "fe80::1%eth0"):
        assert (await refused(service, link(secrets.issuer, clock), address)).code == "bad_request"


async def test_a_viewer_that_is_no_printable_text_opens_nothing(
    service: KeysService, secrets: Secrets, clock: Clock, film: str
) -> None:
    key = secrets.issuer
    assert key.viewer_key is not None
    for viewer in ("", "a\0b", "v" * 257):
        hidden = seal_claim(key.viewer_key.reveal(), viewer)
        claims = {"exp": int(clock.now) + 60, "lid": "l", "sub": hidden, "cdniuc": hash_container(FILM)}
        assert (await refused(service, key.sign(claims))).code == "forbidden"


async def test_a_further_issuer_from_the_configuration_is_believed(
    stores: Stores, secrets: Secrets, clock: Clock
) -> None:
    partner = SigningKey.generate("partner", "ES256")
    assert partner.viewer_key is not None
    config = {"partner": {"keys": [partner.public_jwk()], "viewer_key": b64url(partner.viewer_key.reveal())}}
    service = await KeysService.start(
        stores, secrets, hosts=[EDGE], now=clock, issuers=configured_issuers(config)
    )
    made = await service.new_generation("film")
    await service.publish("film", made.generation, None)
    session = await opened(service, link(partner, clock, viewer="bob"))
    assert (await service.lease(session.session_token, SEGMENT)).viewer == "bob"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"keys": []},
        {"keys": [{"kty": "oct"}]},
        {"keys": [SigningKey.generate("x").public_jwk()], "viewer_key": "AAAA"},
        {"keys": [SigningKey.generate("x").public_jwk()], "max_lifetime_s": 0},
    ],
)
def test_a_wrong_issuer_in_the_configuration_is_named(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="issuer partner:"):
        configured_issuers({"partner": fields})


def test_no_configured_issuer_may_pass_for_the_service_itself() -> None:
    with pytest.raises(ValueError, match="issuer sluice:"):
        configured_issuers({"sluice": {"keys": [SigningKey.generate("sluice").public_jwk()]}})


# ---- leases


async def test_a_lease_holds_the_keys_of_exactly_this_session(
    service: KeysService, stores: Stores, secrets: Secrets, clock: Clock, film: str
) -> None:
    session = await opened(service, link(secrets.issuer, clock, viewer="anna"))
    lease = await service.lease(session.session_token, SEGMENT)
    record = await stores.sessions.get(session.sid)
    keys = await Hierarchy(secrets.root, stores.keys).generation("default", "film", 1)
    assert record is not None
    assert keys is not None
    assert lease.sk == keys.storage_key.reveal()
    assert lease.srk == session_root(
        keys.asset_key.reveal(), record.salt, "default", "film", 1, b64url_decode(session.sid)
    )
    assert (lease.viewer, lease.tenant, lease.generation) == ("anna", "default", 1)
    assert lease.lease_expires == clock.now + LEASE_S
    assert lease.pace == Pace()
    assert "srk" not in repr(lease)
    assert "sk=" not in repr(lease)


async def test_two_sessions_have_two_roots_and_one_storage_key(
    service: KeysService, secrets: Secrets, clock: Clock, film: str
) -> None:
    token = link(secrets.issuer, clock)
    leases = [
        await service.lease((await opened(service, token, ip)).session_token, SEGMENT)
        for ip in ("10.0.0.1", "10.0.1.1")
    ]
    assert leases[0].srk != leases[1].srk
    assert leases[0].sk == leases[1].sk


async def test_t1_all_sessions_of_a_viewer_or_else_of_a_link_share_one_opaque_bucket(
    service: KeysService, secrets: Secrets, clock: Clock, film: str
) -> None:
    async def bucket(token: str, ip: str = VIEWER_IP) -> str:
        session = await opened(service, token, ip)
        return (await service.lease(session.session_token, SEGMENT)).bucket

    one = link(secrets.issuer, clock)
    assert await bucket(one) == await bucket(one, "10.0.0.1")
    assert await bucket(one) != await bucket(link(secrets.issuer, clock))
    annas = {await bucket(link(secrets.issuer, clock, viewer="anna")) for _ in range(3)}
    assert len(annas) == 1
    assert "anna" not in annas.pop()


async def test_a_lease_never_outlives_its_session_and_none_is_given_after_it(
    service: KeysService, secrets: Secrets, clock: Clock, film: str
) -> None:
    session = await opened(service, link(secrets.issuer, clock, session_s=100))
    assert (await service.lease(session.session_token, SEGMENT)).lease_expires == session.expires
    clock.advance(100)
    assert await no_lease(service, session) == "expired"


async def test_no_lease_for_another_assets_uri_nor_for_a_link_token(
    service: KeysService, secrets: Secrets, clock: Clock, film: str
) -> None:
    token = link(secrets.issuer, clock)
    session = await opened(service, token)
    assert await no_lease(service, session, f"{EDGE}/v/other/aes/720p/7.m4s") == "forbidden"
    with pytest.raises(Problem) as caught:
        await service.lease(token, FILM)
    assert caught.value.code == "forbidden"


async def test_a_running_session_stays_on_the_generation_it_opened_on(
    service: KeysService, secrets: Secrets, clock: Clock, film: str
) -> None:
    session = await opened(service, link(secrets.issuer, clock))
    before = await service.lease(session.session_token, SEGMENT)
    made = await service.new_generation("film")
    await service.publish("film", made.generation, None)
    after = await service.lease(session.session_token, SEGMENT)
    assert (after.generation, after.srk, after.sk) == (1, before.srk, before.sk)
    fresh = await opened(service, link(secrets.issuer, clock))
    assert fresh.generation == 2
    assert (await service.lease(fresh.session_token, SEGMENT)).sk == made.storage_key


async def test_pace_is_the_assets_then_the_links_within_limits(
    service: KeysService, secrets: Secrets, clock: Clock
) -> None:
    made = await service.new_generation("film")
    await service.publish("film", made.generation, {"burst_s": 20, "rate": 3})
    plain = await opened(service, link(secrets.issuer, clock))
    assert (await service.lease(plain.session_token, SEGMENT)).pace == Pace(burst_s=20, rate=3)
    wild = await opened(service, link(secrets.issuer, clock, pace={"rate": 1e6, "jumps": 3, "burst": 0}))
    pace = (await service.lease(wild.session_token, SEGMENT)).pace
    assert pace == Pace(burst_s=SLOWEST.burst_s, rate=FASTEST.rate, jumps=3)


def test_limits_leave_an_ordinary_pace_alone() -> None:
    assert within_limits(Pace()) == Pace()
    assert within_limits(FASTEST) == FASTEST
    assert within_limits(SLOWEST) == SLOWEST


# ---- revocation


@pytest.mark.parametrize("kind", ["sid", "lid", "viewer", "asset", "kid"])
async def test_t4_whatever_is_revoked_gets_no_lease_and_no_session(
    service: KeysService, stores: Stores, secrets: Secrets, clock: Clock, film: str, kind: str
) -> None:
    token = link(secrets.issuer, clock, viewer="anna")
    session = await opened(service, token)
    record = await stores.sessions.get(session.sid)
    assert record is not None
    values = {
        "sid": session.sid,
        "lid": record.link_id,
        "viewer": "anna",
        "asset": "film",
        "kid": f"site/{secrets.issuer.kid}",
    }
    entry = await service.revoker.revoke(kind, values[kind])
    assert entry.until >= session.expires
    assert await no_lease(service, session) == "revoked"
    clock.advance(61)
    if kind == "sid":
        assert (await opened(service, token)).sid != session.sid
    else:
        assert (await refused(service, token)).code == "revoked"


async def test_a_revocation_in_another_process_counts_here_at_once(
    service: KeysService, stores: Stores, secrets: Secrets, clock: Clock, film: str
) -> None:
    other = await KeysService.start(stores, secrets, hosts=[EDGE], now=clock)
    session = await opened(service, link(secrets.issuer, clock))
    await other.revoker.revoke("sid", session.sid)
    assert await no_lease(service, session) == "revoked"


async def test_a_held_question_is_answered_when_something_is_revoked(service: KeysService) -> None:
    empty = await service.revocations(0, 0)
    assert (empty.version, empty.entries) == (0, ())
    held = asyncio.create_task(service.revocations(0, 25))
    await asyncio.sleep(0)
    await service.revoker.revoke("viewer", "anna")
    feed = await held
    assert [(entry.version, entry.kind, entry.value) for entry in feed.entries] == [(1, "viewer", "anna")]


async def test_a_held_question_hears_of_another_process_too(
    service: KeysService, stores: Stores, secrets: Secrets, clock: Clock
) -> None:
    other = await KeysService.start(stores, secrets, hosts=[EDGE], now=clock)
    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(service.run())
        held = tasks.create_task(service.revocations(0, 25))
        await other.revoker.revoke("viewer", "anna")
        assert (await held).version == 1
        work.cancel()


async def test_hushing_answers_held_questions(service: KeysService) -> None:
    held = asyncio.create_task(service.revocations(0, 25))
    await asyncio.sleep(0)
    await service.hush()
    assert (await held).entries == ()


async def test_what_cannot_be_revoked_is_said(service: KeysService) -> None:
    for kind, value, code in (
        ("sid", "nobody", "not_found"),
        ("tenant", "x", "bad_request"),
        ("lid", "", "bad_request"),
        ("viewer", "v" * 513, "bad_request"),
        ("viewer", "v\0", "bad_request"),
    ):
        with pytest.raises(Problem) as caught:
            await service.revoker.revoke(kind, value)
        assert caught.value.code == code


# ---- generations and assets


async def test_a_deleted_asset_ends_its_sessions_and_may_come_again(
    service: KeysService, secrets: Secrets, clock: Clock, film: str
) -> None:
    token = link(secrets.issuer, clock)
    session = await opened(service, token)
    await service.delete_asset("film")
    assert await no_lease(service, session) == "revoked"
    assert (await refused(service, token)).code == "forbidden"
    assert [(e.kind, e.value) for e in (await service.revocations(0, 0)).entries] == [("sid", session.sid)]
    made = await service.new_generation("film")
    assert made.generation == 2
    await service.publish("film", 2, None)
    assert (await opened(service, token)).sid != session.sid
    await service.delete_asset("never-there")


async def test_publishing_what_is_not_there_or_older_or_at_no_pace_is_refused(service: KeysService) -> None:
    for _ in range(2):
        await service.new_generation("film")
    await service.publish("film", 2, None)
    await service.publish("film", 2, {"rate": 2.5})
    cases: list[tuple[str, int, dict[str, Any] | None, str]] = [
        ("film", 1, None, "conflict"),
        ("film", 3, None, "not_found"),
        ("film", 2, {"rate": "fast"}, "bad_request"),
        ("film", 2, {"speed": 1}, "bad_request"),
        ("../film", 2, None, "bad_request"),
    ]
    for asset, generation, pace, code in cases:
        with pytest.raises(Problem) as caught:
            await service.publish(asset, generation, pace)
        assert caught.value.code == code


# ---- what is told


async def test_live_sessions_are_listed_with_what_edges_saw(
    service: KeysService, secrets: Secrets, clock: Clock, film: str
) -> None:
    session = await opened(service, link(secrets.issuer, clock, viewer="anna"))
    clock.advance(30)
    await service.add_activity("edge-2", {session.sid: Activity(clock.now + 999, 3, 4096, 12.0)})
    (listed,) = await service.sessions(60)
    assert listed["last_seen"] == clock.now, "an edge's clock ahead of ours does not keep a session alive"
    shown = {name: listed[name] for name in ("sid", "asset", "viewer", "client_ip", "edge", "state", "bytes")}
    assert shown == {
        "sid": session.sid,
        "asset": "film",
        "viewer": "anna",
        "client_ip": VIEWER_IP,
        "edge": "edge-2",
        "state": "live",
        "bytes": 4096,
    }
    clock.advance(61)
    assert await service.sessions(60) == []


async def test_trust_names_packagers_and_nodes(service: KeysService, clock: Clock) -> None:
    jwk = {name: SigningKey.generate("n").public_jwk()[name] for name in ("kty", "crv", "x")}
    await service.roster.enrol("origin-1", "origin", jwk)
    trust = await service.trust()
    assert [node["name"] for node in trust["nodes"]] == ["origin-1"]
    assert trust["packagers"][0]["x"] == jwk["x"]
    assert {issuer["iss"]: issuer["kind"] for issuer in trust["issuers"]} == {
        "site": "link",
        "sluice": "session",
    }
    assert trust["now"] == clock.now


@pytest.mark.parametrize(
    ("name", "role", "jwk"),
    [
        ("Edge 1", "edge", None),
        ("edge-1", "admin", None),
        ("edge-1", "edge", {"kty": "OKP", "crv": "Ed25519", "x": "short"}),
        ("edge-1", "edge", SigningKey.generate("n", "ES256").public_jwk()),
    ],
)
async def test_a_node_that_cannot_be_one_is_refused(
    service: KeysService, name: str, role: str, jwk: dict[str, Any] | None
) -> None:
    with pytest.raises(Problem) as caught:
        await service.roster.enrol(name, role, jwk or SigningKey.generate("n").public_jwk())
    assert caught.value.code == "bad_request"


async def test_t21_no_token_and_no_key_is_logged(
    service: KeysService, secrets: Secrets, clock: Clock, film: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = link(secrets.issuer, clock, viewer="anna-the-canary")
    session = await opened(service, token)
    lease = await service.lease(session.session_token, SEGMENT)
    await service.revoker.revoke("viewer", "anna-the-canary")
    await refused(service, token)
    planted = (token, session.session_token, "anna-the-canary", b64url(lease.srk), lease.sk.hex())
    assert not [secret for secret in planted if secret in caplog.text]


async def test_every_name_counted_is_in_the_table(
    service: KeysService, secrets: Secrets, clock: Clock, film: str, counted: list[str]
) -> None:
    session = await opened(service, link(secrets.issuer, clock))
    await service.lease(session.session_token, SEGMENT)
    await no_lease(service, session, FILM + "x/../../nowhere")
    await service.revoker.revoke("sid", session.sid)
    assert set(counted) <= set(COUNTERS)


async def test_a_session_of_a_download_is_good_for_that_file_alone(
    service: KeysService, secrets: Secrets, clock: Clock, film: str
) -> None:
    place = f"{EDGE}/d/film/film-720p.mp4"
    token = link(secrets.issuer, clock, place)
    session = await opened(service, token, uri=place)
    assert (session.asset, await opened(service, token, uri=place)) == ("film", session)
    assert (await service.lease(session.session_token, place)).sid == session.sid
    for other in (SEGMENT, FILM, f"{EDGE}/d/film/film.mp4", f"{EDGE}/d/film/film-720pxmp4", place + "/x"):
        assert await no_lease(service, session, other) == "forbidden"
    assert (await refused(service, token, uri=f"{EDGE}/d/film/film.mp4")).code == "forbidden"
    stream = await opened(service, link(secrets.issuer, clock))
    assert await no_lease(service, stream, place) == "forbidden"


async def test_a_session_of_a_protected_download_is_good_for_its_encrypted_form_and_key_alone(
    service: KeysService, secrets: Secrets, clock: Clock, film: str
) -> None:
    place, plain = f"{EDGE}/d/film/ece/film.mp4", f"{EDGE}/d/film/film.mp4"
    token = link(secrets.issuer, clock, place)
    session = await opened(service, token, uri=place)
    for uri in (place, f"{place}/key"):
        assert (await service.lease(session.session_token, uri)).sid == session.sid
    others = (plain, f"{plain}/key", f"{place}/keys", f"{place}x", f"{place}/key/key", f"{place}x/key", FILM)
    for other in others:
        assert await no_lease(service, session, other) == "forbidden"
    for other in (plain, f"{place}/key"):
        assert (await refused(service, token, uri=other)).code == "forbidden"
    assert await no_lease(
        service, await opened(service, link(secrets.issuer, clock, plain), uri=plain), place
    )
