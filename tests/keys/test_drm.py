"""Content keys of DRM providers: which document can be used, and who is given what of it."""

from __future__ import annotations

import uuid
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from keys import sign_url
from keys.container import split_token
from keys.cpix import AUDIO, VIDEO, BadCpix, ContentKey, Document, UsageRule
from keys.cpix_xml import read_cpix, write_cpix
from keys.drm import key_for, keys_of, read_drm, told
from keys.leases import Lease, NewGeneration, OpenedSession
from keys.names import b64url, b64url_decode
from keys.nodes import NodeIdentity
from keys.problems import Problem
from keys.secrets import Secrets
from keys.service import KeysService
from keys.stores import Stores
from tests.support.drm import document, key_of

if TYPE_CHECKING:
    from tests.keys.conftest import Clock, Serve

EDGE = "http://127.0.0.1:8010"
FILM = f"{EDGE}/v/film/main.m3u8"
SEGMENT = f"{EDGE}/v/film/drm/720p/7.m4s"
FOUND = document()
ONE, OTHER = (key.kid for key in FOUND.keys)


def changed(**what: object) -> Document:
    return replace(FOUND, **what)  # type: ignore[arg-type]


REFUSED = {
    "no keys": changed(keys=(), systems=(), rules=()),
    "nine keys": changed(
        keys=tuple(ContentKey(uuid.uuid4(), bytes(16)) for _ in range(9)), systems=(), rules=()
    ),
    "a key that is not there": changed(keys=(FOUND.keys[0], replace(FOUND.keys[1], key=None))),
    "two schemes": changed(keys=(FOUND.keys[0], replace(FOUND.keys[1], scheme="cenc", explicit_iv=None))),
    "no key for sound": changed(rules=FOUND.rules[:1]),
    "two keys for pictures": changed(rules=(*FOUND.rules, UsageRule(OTHER, VIDEO))),
    "two keys and no rule": changed(rules=()),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_document_that_no_asset_can_be_encrypted_by_is_refused_without_its_keys(why: str) -> None:
    with pytest.raises(BadCpix) as caught:
        read_drm(write_cpix(REFUSED[why]))
    for key in FOUND.keys:
        assert key.key is not None
        assert not any(form in str(caught.value) for form in (key.key.hex(), b64encode(key.key).decode()))


def test_a_document_that_is_large_is_refused_unread() -> None:
    with pytest.raises(BadCpix):
        read_drm(write_cpix(FOUND) + b" " * (33 << 10))


def test_a_rule_for_a_type_of_track_wins_over_one_for_any() -> None:
    found = changed(rules=(UsageRule(ONE), UsageRule(OTHER, AUDIO)))
    assert (key_for(found, "video").kid, key_for(found, "audio").kid) == (ONE, OTHER)
    alone = changed(keys=FOUND.keys[:1], rules=())
    assert key_for(alone, "video") == key_for(alone, "audio") == FOUND.keys[0]


def test_the_public_part_has_everything_but_the_keys() -> None:
    public = read_cpix(told(FOUND))
    assert keys_of(public) == {}
    assert public == replace(FOUND, keys=tuple(replace(key, key=None) for key in FOUND.keys))


async def published(service: KeysService, drm: bytes | None = None, asset: str = "film") -> NewGeneration:
    made = await service.new_generation(asset, drm)
    await service.publish(asset, made.generation, None)
    return made


async def opened(service: KeysService, secrets: Secrets, clock: Clock) -> OpenedSession:
    token = split_token(sign_url(FILM, secrets.issuer, now=clock.now))[1]
    return await service.open_session(token, FILM, "198.51.100.7", "edge-1")


async def leased(service: KeysService, secrets: Secrets, clock: Clock) -> Lease:
    return await service.lease((await opened(service, secrets, clock)).session_token, SEGMENT)


async def test_the_keys_come_with_leases_of_its_sessions_and_of_no_others(
    service: KeysService, secrets: Secrets, clock: Clock
) -> None:
    await published(service)
    assert not (await opened(service, secrets, clock)).drm
    assert dict((await leased(service, secrets, clock)).drm) == {}
    made = await published(service, write_cpix(FOUND))
    assert read_cpix(made.drm) == read_cpix(told(FOUND))
    clock.advance(61)
    assert (await opened(service, secrets, clock)).drm
    lease = await leased(service, secrets, clock)
    assert dict(lease.drm) == keys_of(FOUND)
    assert Lease.from_json(lease.to_json()) == lease
    assert key_of(FOUND, VIDEO).hex() not in repr(lease) and repr(key_of(FOUND, VIDEO)) not in repr(lease)


async def test_a_document_serves_the_generations_after_it_until_the_asset_is_deleted(
    service: KeysService, secrets: Secrets, clock: Clock
) -> None:
    await service.new_generation("film", write_cpix(FOUND))
    later = await published(service)
    assert later.drm
    assert dict((await leased(service, secrets, clock)).drm) == keys_of(FOUND)
    assert read_cpix(await service.drm.document("film")) == FOUND
    await service.delete_asset("film")
    with pytest.raises(Problem) as caught:
        await service.drm.document("film")
    assert caught.value.code == "not_found"
    assert (await service.new_generation("film")).drm == b""


async def test_keys_lie_sealed_and_open_after_every_rotation(
    stores: Stores, secrets: Secrets, clock: Clock, tmp_path: Path
) -> None:
    service = await KeysService.start(stores, secrets, hosts=[EDGE], now=clock)
    await published(service, write_cpix(FOUND))
    for what in ("tenant", "root"):
        await service.rotator.rotate(what)
    assert dict((await leased(service, secrets, clock)).drm) == keys_of(FOUND)
    lying = b"".join(path.read_bytes() for path in tmp_path.glob("keys.db*"))
    for key in keys_of(FOUND).values():
        for form in (key, key.hex().encode(), b64encode(key), b64url(key).encode()):
            assert form not in lying


async def test_with_cenc_no_key_encrypts_what_is_published_twice_and_with_cbcs_it_may(
    service: KeysService,
) -> None:
    counted, chained = write_cpix(document("cenc")), write_cpix(FOUND)
    for asset, sent in (("failed", counted), ("one", counted), ("two", chained), ("three", chained)):
        await service.new_generation(asset, sent)  # what is not published left nobody
    for asset in ("one", "two", "three"):
        for _ in range(2):
            await service.publish(asset, 1, None)
    again = await service.new_generation("one")
    await service.delete_asset("one")
    refused = [
        service.publish("failed", 1, None),
        service.new_generation("one", counted),
        service.new_generation("four", counted),
    ]
    for each in refused:
        with pytest.raises(Problem) as caught:
            await each
        assert caught.value.code == "conflict"
    assert again.drm


async def test_with_cenc_a_key_is_known_under_another_id_too(service: KeysService) -> None:
    """The counters of two films are the same: so would their keystreams be."""
    found = document("cenc")
    await published(service, write_cpix(found))
    other = document("cenc", "other")
    values = [each.key for each in found.keys]
    keys = tuple(replace(each, key=value) for each, value in zip(other.keys, values, strict=True))
    with pytest.raises(Problem) as caught:
        await service.new_generation("other", write_cpix(replace(other, keys=keys)))
    assert caught.value.code == "conflict"


async def test_a_document_that_names_no_drm_system_is_refused(service: KeysService) -> None:
    with pytest.raises(Problem) as caught:
        await service.new_generation("film", write_cpix(replace(FOUND, systems=())))
    assert caught.value.code == "bad_request" and "no DRM system" in caught.value.message


async def test_a_second_generation_under_the_same_cenc_keys_is_never_published(service: KeysService) -> None:
    await published(service, write_cpix(document("cenc")))
    later = await service.new_generation("film")
    with pytest.raises(Problem) as caught:
        await service.publish("film", later.generation, None)
    assert caught.value.code == "conflict"


async def test_only_an_operator_gets_the_document_and_only_an_origin_hands_one_in(
    service: KeysService, secrets: Secrets, clock: Clock, serve: Serve, tmp_path: Path
) -> None:
    url = await serve(service)
    origin, edge = (NodeIdentity.load_or_create(tmp_path / role, role, role) for role in ("origin", "edge"))
    for node in (origin, edge):
        await service.roster.enrol(node.name, node.role, node.public_jwk())
    admin = {"authorization": f"Bearer {secrets.admin_token}"}
    as_origin, as_edge = (
        {"authorization": f"Bearer {node.bearer('keys', clock.now)}"} for node in (origin, edge)
    )
    sent = {"asset": "film", "drm": b64url(write_cpix(FOUND))}
    async with httpx.AsyncClient(base_url=url) as http:
        for headers in ({}, as_edge):
            assert (await http.post("/v1/generations", json=sent, headers=headers)).status_code in (401, 403)
        for bad in ("!", b64url(b"<CPIX/>"), 7):
            answer = await http.post("/v1/generations", json={**sent, "drm": bad}, headers=as_origin)
            assert answer.status_code == 400
        made = await http.post("/v1/generations", json=sent, headers=as_origin)
        assert made.status_code == 201
        assert keys_of(read_cpix(b64url_decode(made.json()["drm"]))) == {}
        for headers in ({}, as_edge, as_origin):
            assert (await http.get("/v1/assets/film/drm", headers=headers)).status_code in (401, 403)
        found = await http.get("/v1/assets/film/drm", headers=admin)
        assert read_cpix(b64url_decode(found.json()["cpix"])) == FOUND
        assert found.headers["cache-control"] == "no-store"
        assert (await http.get("/v1/assets/other/drm", headers=admin)).status_code == 404
