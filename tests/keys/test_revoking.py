"""Taking back and lifting, as an operator does: what each kind ends, for how long, and what can be undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from keys import sign_url
from keys.container import split_token
from keys.jws import parse
from keys.leases import OpenedSession
from keys.problems import Problem
from keys.revocation import FOREVER, LIFTED, RevocationSet
from keys.secrets import Secrets
from keys.service import KeysService
from keys.stores import Stores

if TYPE_CHECKING:
    from tests.keys.conftest import Clock

EDGE = "http://127.0.0.1:8010"
FILM = f"{EDGE}/v/film/main.m3u8"
SEGMENT = f"{EDGE}/v/film/aes/720p/7.m4s"
NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
async def film(service: KeysService) -> None:
    made = await service.new_generation("film")
    await service.publish("film", made.generation, None)


def link(secrets: Secrets, clock: Clock, viewer: str | None = "anna") -> str:
    return split_token(sign_url(FILM, secrets.issuer, now=clock.now, viewer=viewer))[1]


async def opened(service: KeysService, token: str) -> OpenedSession:
    return await service.open_session(token, FILM, "198.51.100.7", "edge-1")


async def code(service: KeysService, token: str) -> str | None:
    try:
        await opened(service, token)
    except Problem as problem:
        return problem.code
    return None


async def lease_code(service: KeysService, session: OpenedSession) -> str | None:
    try:
        await service.lease(session.session_token, SEGMENT)
    except Problem as problem:
        return problem.code
    return None


async def test_a_tenant_epoch_ends_all_before_it_and_nothing_after(
    service: KeysService, secrets: Secrets, clock: Clock
) -> None:
    before, session = link(secrets, clock), await opened(service, link(secrets, clock))
    entry = await service.revoker.revoke("epoch", "default")
    assert entry.value == f"default/{int(clock.now)}"
    assert await code(service, before) == "revoked"
    assert await lease_code(service, session) == "revoked"
    clock.advance(1)
    fresh = await opened(service, link(secrets, clock))
    assert await lease_code(service, fresh) is None
    assert entry.until > session.expires
    await service.revoker.lift("epoch", "default")
    assert await code(service, before) is None
    assert await lease_code(service, session) == "revoked", "what was ended stays ended"


@pytest.mark.parametrize("kind", ["viewer", "asset", "lid", "kid"])
async def test_what_was_taken_back_can_be_lifted_but_what_ended_stays_ended(
    service: KeysService, stores: Stores, secrets: Secrets, clock: Clock, kind: str
) -> None:
    token = link(secrets, clock)
    session = await opened(service, token)
    record = await stores.sessions.get(session.sid)
    assert record is not None
    values = {"viewer": "anna", "asset": "film", "lid": record.link_id, "kid": secrets.issuer.kid}
    await service.revoker.revoke(kind, values[kind])
    clock.advance(61)
    assert await code(service, token) == "revoked"
    lifted = await service.revoker.lift(kind, values[kind])
    assert lifted.until == LIFTED
    assert await code(service, token) is None
    assert await lease_code(service, session) == "revoked"
    with pytest.raises(Problem) as caught:
        await service.revoker.lift(kind, values[kind])
    assert caught.value.code == "not_found"
    anew, known = RevocationSet(), RevocationSet()
    assert anew.apply(await service.revocations(0, 0))
    assert len(anew) == 0
    known.apply(await service.revocations(0, 0))
    assert known.version == anew.version == 2


async def test_a_signing_key_is_revoked_for_ever_by_its_id_alone(
    service: KeysService, secrets: Secrets, clock: Clock
) -> None:
    entry = await service.revoker.revoke("kid", secrets.issuer.kid)
    assert (entry.value, entry.until) == (f"site/{secrets.issuer.kid}", FOREVER)
    clock.advance(400 * 86_400)
    assert await code(service, link(secrets, clock)) == "revoked", "who has the key goes on signing"


async def test_revoking_the_key_that_signs_sessions_puts_another_in_its_place_at_once(
    service: KeysService, secrets: Secrets, clock: Clock
) -> None:
    session = await opened(service, link(secrets, clock))
    kid = parse(session.session_token).kid
    await service.revoker.revoke("kid", kid)
    assert await lease_code(service, session) == "forbidden", "the key is believed no more"
    assert kid not in {jwk["kid"] for jwk in service.jwks()["keys"]}
    fresh = await opened(service, link(secrets, clock))
    assert parse(fresh.session_token).kid != kid
    assert await lease_code(service, fresh) is None


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("epoch", "other-tenant", "not_found"),
        ("kid", "unknown", "not_found"),
        ("sid", "AAAAAAAAAAAAAAAAAAAAAA", "not_found"),
        ("asset", "No Such Asset", "bad_request"),
        ("everything", "x", "bad_request"),
        ("viewer", "", "bad_request"),
    ],
)
async def test_what_names_nothing_is_refused(
    service: KeysService, kind: str, value: str, expected: str
) -> None:
    with pytest.raises(Problem) as caught:
        await service.revoker.revoke(kind, value)
    assert caught.value.code == expected


async def test_a_session_cannot_be_lifted(service: KeysService, secrets: Secrets, clock: Clock) -> None:
    session = await opened(service, link(secrets, clock))
    await service.revoker.revoke("sid", session.sid)
    with pytest.raises(Problem, match="stays ended"):
        await service.revoker.lift("sid", session.sid)


async def test_of_both_databases_lifting_ends_every_entry_of_a_name_and_no_other(any_stores: Stores) -> None:
    log = any_stores.revocations
    await log.add([("viewer", "anna"), ("viewer", "bert"), ("viewer", "anna")], NOW + 60, NOW)
    await log.add([("epoch", "default/1799999999"), ("epoch", "default/1800000000")], NOW + 60, NOW)
    lifted = await log.lift("viewer", "anna", NOW + 1)
    assert lifted is not None
    assert (lifted.version, lifted.kind, lifted.value, lifted.until) == (6, "viewer", "anna", LIFTED)
    epoch = await log.lift("epoch", "default", NOW + 1)
    assert epoch is not None
    assert (epoch.version, epoch.value) == (7, "default/1800000000")
    assert await log.lift("viewer", "nobody", NOW + 1) is None
    version, entries = await log.after(0, NOW + 2)
    assert version == 7
    assert [(e.kind, e.value, e.until) for e in entries] == [
        ("viewer", "bert", NOW + 60),
        ("viewer", "anna", LIFTED),
        ("epoch", "default/1800000000", LIFTED),
    ]
    await any_stores.forget(NOW + 3)
    assert len((await log.after(0, NOW + 3))[1]) == 3, "a lifting is told for a week"
