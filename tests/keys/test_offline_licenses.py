"""Who gets a license for offline use: a running session whose link grants it, on one machine."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from keys import offline, sign_url
from keys.container import split_token
from keys.derive import content_key, download_salt
from keys.ecdh import public_jwk
from keys.jws import VerifyKey
from keys.leases import OpenedSession
from keys.names import b64url
from keys.offline_licenses import OfflineLicense
from keys.problems import Problem
from keys.secrets import Secrets
from keys.service import KeysService
from keys.signing import SigningKey
from keys.stores import Stores
from keys.tokens import Trust, verify

if TYPE_CHECKING:
    from tests.keys.conftest import Clock

FILE = "http://127.0.0.1:8010/d/film/ece/film.mp4"
LICENSE = f"{FILE}/license"
TOLD: dict[str, Any] = {
    "rendition": "file-original", "name": "A film.mp4", "type": "video/mp4", "size": 77,
    "sha256": b64url(hashlib.sha256(b"film").digest()),
}  # fmt: skip
MACHINE, OTHER = X25519PrivateKey.generate(), X25519PrivateKey.generate()
DAY = 86_400


@pytest.fixture(autouse=True)
async def film(service: KeysService) -> None:
    """A published asset."""
    made = await service.new_generation("film")
    await service.publish("film", made.generation, None)


async def opened(
    service: KeysService, key: SigningKey, clock: Clock, url: str = FILE, **how: Any
) -> OpenedSession:
    token = split_token(sign_url(url, key, now=clock.now, **how))[1]
    return await service.open_session(token, url, "198.51.100.7", "edge-1")


async def granted(
    service: KeysService,
    session: OpenedSession,
    machine: X25519PrivateKey = MACHINE,
    uri: str = LICENSE,
    **changed: Any,
) -> OfflineLicense:
    device = public_jwk(machine.public_key())
    return await service.offline.grant(session.session_token, uri, device, TOLD | changed)


async def code(service: KeysService, session: OpenedSession, *how: Any, **more: Any) -> str:
    with pytest.raises(Problem) as caught:
        await granted(service, session, *how, **more)
    return caught.value.code


async def test_a_link_that_grants_it_gets_a_license_of_the_session_s_key(
    service: KeysService, secrets: Secrets, clock: Clock, counted: list[str]
) -> None:
    session = await opened(service, secrets.issuer, clock, offline_s=2 * DAY, session_s=3600)
    clock.advance(60)
    given = await granted(service, session)
    license = offline.read(given.license, VerifyKey.from_jwk(given.signer))
    assert (license.issued, license.expires) == (clock.now, clock.now + 2 * DAY)  # the session ends before
    lease = await service.lease(session.session_token, FILE)
    assert offline.content_key(license, MACHINE) == content_key(lease.srk, "ece", "file", "file-original", 0)
    assert license.salt == download_salt(lease.srk, "film.mp4")
    assert (license.file.asset, license.file.name, license.file.size) == ("film", "film.mp4", 77)
    assert given.signer in service.jwks()["keys"]
    assert counted.count("keys_offline_licenses") == 1
    (listed,) = await service.sessions(3600)
    assert listed["offline_until"] == license.expires


async def test_a_link_without_the_grant_gets_none(
    service: KeysService, secrets: Secrets, clock: Clock, counted: list[str]
) -> None:
    session = await opened(service, secrets.issuer, clock)
    assert await code(service, session) == "not_offline"
    assert counted[-1] == "keys_offline_licenses_refused"
    (listed,) = await service.sessions(3600)
    assert listed["offline_until"] is None


async def test_a_session_gives_licenses_to_one_machine_as_often_as_it_asks(
    service: KeysService, secrets: Secrets, clock: Clock
) -> None:
    session = await opened(service, secrets.issuer, clock, offline_s=DAY, once=True)
    first = await granted(service, session)
    assert await code(service, session, OTHER) == "limit"
    again = await granted(service, session)
    assert again.license != first.license
    other = await opened(service, secrets.issuer, clock, offline_s=DAY)
    await granted(service, other, OTHER)


async def test_what_is_revoked_or_over_gets_none(
    service: KeysService, secrets: Secrets, clock: Clock
) -> None:
    session = await opened(service, secrets.issuer, clock, offline_s=DAY, session_s=600, link_id="a")
    await service.revoker.revoke("lid", "a")
    assert await code(service, session) == "revoked"
    session = await opened(service, secrets.issuer, clock, offline_s=DAY, session_s=600)
    clock.advance(600)
    assert await code(service, session) == "expired"
    session = await opened(service, secrets.issuer, clock, offline_s=DAY)
    await service.delete_asset("film")
    assert await code(service, session) == "revoked"


@pytest.mark.parametrize(
    "uri", [FILE, f"{FILE}/key", "http://127.0.0.1:8010/d/film/ece/other.mp4/license", f"{LICENSE}/license"]
)
async def test_any_other_place_of_the_session_has_none(
    service: KeysService, secrets: Secrets, clock: Clock, uri: str
) -> None:
    session = await opened(service, secrets.issuer, clock, offline_s=DAY)
    assert await code(service, session, uri=uri) == "forbidden"


@pytest.mark.parametrize(
    "changed",
    [{"size": -1}, {"size": "77"}, {"sha256": "AA"}, {"sha256": 1}, {"name": None}, {"rendition": "a/b"},
     {"rendition": 1}, {"type": ""}, {"name": "x" * 600}],
)  # fmt: skip
async def test_a_file_of_no_form_gets_none(
    service: KeysService, secrets: Secrets, clock: Clock, changed: dict[str, Any]
) -> None:
    session = await opened(service, secrets.issuer, clock, offline_s=DAY)
    assert await code(service, session, **changed) == "bad_request"


async def test_a_device_s_key_of_no_form_gets_none(
    service: KeysService, secrets: Secrets, clock: Clock
) -> None:
    session = await opened(service, secrets.issuer, clock, offline_s=DAY)
    for device in ({}, {"kty": "OKP", "crv": "X25519", "x": b64url(bytes(32))}, {"x": 1}):
        with pytest.raises(Problem) as caught:
            await service.offline.grant(session.session_token, LICENSE, device, TOLD)
        assert caught.value.code == "bad_request"


@pytest.mark.parametrize("path", ["/d/film/film.mp4", "/v/film/main.m3u8"])
async def test_a_grant_for_what_is_no_protected_download_opens_nothing(
    service: KeysService, secrets: Secrets, clock: Clock, path: str
) -> None:
    """No signer of ours makes such a link."""
    url = f"http://127.0.0.1:8010{path}"
    with pytest.raises(ValueError, match="protected download"):
        sign_url(url, secrets.issuer, offline_s=DAY)
    good = {"aud": "sluice", "exp": int(clock.now) + 60, "cdniuc": "regex:.*", "lid": "a", "offline": DAY}
    with pytest.raises(Problem) as caught:
        await service.open_session(secrets.issuer.sign(good), url, "198.51.100.7", "edge-1")
    assert caught.value.code == "forbidden"


async def test_a_renewed_token_grants_what_the_one_before_did(
    service: KeysService, secrets: Secrets, clock: Clock
) -> None:
    session = await opened(service, secrets.issuer, clock, offline_s=DAY, renew="cookie")
    again = await service.renew(session.session_token, FILE)
    trust = Trust.from_json(await service.trust())
    assert verify(again.session_token, uri=LICENSE, trust=trust, now=clock.now).offline == DAY
    await granted(service, again)


async def test_the_machine_is_noted_in_both_databases(
    any_stores: Stores, secrets: Secrets, clock: Clock
) -> None:
    service = await KeysService.start(any_stores, secrets, hosts=["http://127.0.0.1:8010"], now=clock)
    made = await service.new_generation("film")
    await service.publish("film", made.generation, None)
    session = await opened(service, secrets.issuer, clock, offline_s=DAY)
    await granted(service, session)
    assert await code(service, session, OTHER) == "limit"
