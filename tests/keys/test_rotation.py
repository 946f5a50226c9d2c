"""Rotation: what was opened, signed and sealed before goes on; what comes after is under the new key."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from keys import secrets as secret_files
from keys import sign_url
from keys.cipher import BadWrap
from keys.container import split_token
from keys.hierarchy import Hierarchy
from keys.jws import parse
from keys.leases import Lease
from keys.problems import Problem
from keys.region_ring import ENTRIES_LIVE_S
from keys.rings import LEAD_S
from keys.root_files import RootKeyFiles
from keys.secrets import Secrets
from keys.service import KeysService
from keys.signing import SigningKey
from keys.stores import Stores
from keys.tables import generations, service_keys, tenants

if TYPE_CHECKING:
    from tests.keys.conftest import Clock

EDGE = "http://127.0.0.1:8010"
FILM = f"{EDGE}/v/film/main.m3u8"
SEGMENT = f"{EDGE}/v/film/aes/720p/7.m4s"
DAY = 24 * 3600.0


@pytest.fixture
async def film(service: KeysService) -> str:
    made = await service.new_generation("film")
    await service.publish("film", made.generation, None)
    return "film"


def link(key: SigningKey, clock: Clock, **options: Any) -> str:
    return split_token(sign_url(FILM, key, now=clock.now, **options))[1]


async def opened(service: KeysService, token: str) -> str:
    """The session token."""
    return (await service.open_session(token, FILM, "198.51.100.7", "edge-1")).session_token


async def lease(service: KeysService, token: str) -> Lease:
    return await service.lease(token, SEGMENT)


def issuer(secrets: Secrets) -> SigningKey:
    """The site's key as its file has it now."""
    return secret_files.read_issuer(secrets.directory / "issuer.json")


async def stored_keys(stores: Stores) -> list[bytes]:
    async with stores.database.read() as connection:
        rows = [
            tuple(row)
            for table in (generations, service_keys, tenants)
            for row in await connection.execute(select(table))
        ]
    return [value for row in rows for value in row if isinstance(value, bytes)]


@pytest.mark.parametrize("kind", ["root", "tenant"])
async def test_wrapping_anew_changes_every_stored_copy_and_no_key(
    service: KeysService, stores: Stores, secrets: Secrets, clock: Clock, film: str, kind: str
) -> None:
    token = await opened(service, link(secrets.issuer, clock))
    before, stored = await lease(service, token), set(await stored_keys(stores))
    states = await service.rotator.rotate(kind)
    after = await lease(service, token)
    assert (after.srk, after.sk, after.bucket) == (before.srk, before.sk, before.bucket)
    assert [state.id for state in states] == ["2" if kind == "root" else "default/2"]
    kept = stored & set(await stored_keys(stores))
    service_rows = 3  # session ring, link ring, bucket key
    assert len(kept) == (2 if kind == "root" else service_rows), kind
    assert await opened(service, link(secrets.issuer, clock))


async def test_after_a_root_rotation_the_old_root_key_opens_nothing_and_may_go(
    service: KeysService, stores: Stores, secrets: Secrets, clock: Clock, film: str, tmp_path: Path
) -> None:
    old = RootKeyFiles(tmp_path / "old")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "root.key").write_bytes((secrets.directory / "root.key").read_bytes())
    token = await opened(service, link(secrets.issuer, clock))
    assert await Hierarchy(old, stores.keys).generation("default", "film", 1)
    await service.rotator.rotate("root")
    with pytest.raises(BadWrap):
        await Hierarchy(old, stores.keys).generation("default", "film", 1)
    (secrets.directory / "root.key").unlink()
    anew = await KeysService.start(
        stores, secret_files.load_or_create(secrets.directory), hosts=[EDGE], now=clock
    )
    assert (await lease(anew, token)).srk == (await lease(service, token)).srk
    assert not (secrets.directory / "root.key").exists()


async def test_assets_made_while_the_tenants_key_is_rotated_open_afterwards(
    any_stores: Stores, secrets: Secrets
) -> None:
    of = [Hierarchy(RootKeyFiles(secrets.directory), any_stores.keys) for _ in range(3)]
    made: dict[str, Any] = {}

    async def make(name: str, hierarchy: Hierarchy) -> None:
        made[name] = await hierarchy.new_generation("default", name, 0.0)

    await asyncio.gather(
        *(make(f"film-{n}", of[n % 2]) for n in range(12)),
        *(of[2].rotate_tenant("default", 0.0) for _ in range(3)),
    )
    for name, (generation, keys) in made.items():
        assert await of[0].generation("default", name, generation) == keys
    assert await of[0].tenant_version("default") == 4


async def test_a_signing_key_is_announced_then_signs_and_running_sessions_go_on(
    service: KeysService, secrets: Secrets, clock: Clock, film: str
) -> None:
    first = await opened(service, link(secrets.issuer, clock))
    old = parse(first).kid
    new, before = await service.rotator.rotate("signing")
    assert (new.state, before.state, before.id) == ("announced", "active", f"sluice/{old}")
    assert {jwk["kid"] for jwk in service.jwks()["keys"]} == {old, new.id.removeprefix("sluice/")}
    assert parse(await opened(service, link(secrets.issuer, clock))).kid == old
    clock.advance(LEAD_S)
    second = await opened(service, link(secrets.issuer, clock))
    assert f"sluice/{parse(second).kid}" == new.id
    states = [state for state in await service.rotator.states() if state.kind == "signing"]
    assert [state.state for state in states] == ["active", "retiring"]
    for token in (first, second):
        assert (await lease(service, token)).srk
    assert before.until is not None
    clock.advance(before.until - clock.now)
    assert [jwk["kid"] for jwk in service.jwks()["keys"]] == [parse(second).kid]


async def test_another_process_signs_with_the_new_key_once_it_has_looked(
    service: KeysService, stores: Stores, secrets: Secrets, clock: Clock, film: str
) -> None:
    other = await KeysService.start(stores, secrets, hosts=[EDGE], now=clock)
    await service.rotator.rotate("signing", at_once=True)
    held = asyncio.create_task(other.revocations(0, 25, (await other.revocations(0, 0)).trust))
    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(other.run())
        assert (await held).trust == (await service.revocations(0, 0)).trust
        work.cancel()
    assert parse(await opened(other, link(secrets.issuer, clock))).kid == service.jwks()["keys"][0]["kid"]


async def test_links_of_the_old_key_open_until_the_stated_overlap_ends(
    service: KeysService, secrets: Secrets, clock: Clock, film: str, stores: Stores
) -> None:
    old = secrets.issuer
    running = await opened(service, link(old, clock, viewer="anna"))
    new, before = await service.rotator.rotate("link", overlap_s=DAY)
    key = issuer(secrets)
    assert (new.id, new.state) == (f"site/{key.kid}", "active")
    assert (before.id, before.state, before.until) == (f"site/{old.kid}", "retiring", clock.now + DAY)
    late = link(old, clock, viewer="anna", start_within_s=2 * int(DAY))
    assert await opened(service, late)
    assert await opened(service, link(key, clock, viewer="anna"))
    buckets = {(await lease(service, t)).bucket for t in (running, await opened(service, late))}
    assert len(buckets) == 1, "whom the old key hid is the same viewer"
    clock.advance(DAY)
    with pytest.raises(Problem) as caught:
        await opened(service, late)
    assert caught.value.code == "forbidden"
    assert await opened(service, link(key, clock))
    secret_files.write_issuer(secrets.directory, old)  # an old copy of the file comes back
    stale = secret_files.load_or_create(secrets.directory)
    anew = await KeysService.start(stores, stale, hosts=[EDGE], now=clock)
    with pytest.raises(Problem):
        await opened(anew, link(old, clock))
    assert await opened(anew, link(key, clock))


async def test_a_key_put_into_the_file_by_hand_takes_the_place_of_the_one_before_at_once(
    service: KeysService, stores: Stores, secrets: Secrets, clock: Clock, film: str
) -> None:
    own = SigningKey.generate("site")
    secret_files.write_issuer(secrets.directory, own)
    anew = await KeysService.start(
        stores, secret_files.load_or_create(secrets.directory), hosts=[EDGE], now=clock
    )
    assert await opened(anew, link(own, clock, viewer="anna"))
    with pytest.raises(Problem):
        await opened(anew, link(secrets.issuer, clock))


async def test_region_keys_open_what_the_one_before_sealed_until_it_has_expired(
    service: KeysService, clock: Clock
) -> None:
    first = (await service.rotator.region_keys("default")).keys
    await service.rotator.rotate("region")
    ring = (await service.rotator.region_keys("default")).keys
    assert [key.version for key in ring] == [2, 1]
    assert ring[1].key == first[0].key
    clock.advance(ENTRIES_LIVE_S)
    assert [key.version for key in (await service.rotator.region_keys("default")).keys] == [2]
    with pytest.raises(Problem):
        await service.rotator.region_keys("atlantis")


@pytest.mark.parametrize(
    ("kind", "how"),
    [("everything", {}), ("root", {"overlap_s": 1.0}), ("link", {"at_once": True}), ("", {})],
)
async def test_what_cannot_be_rotated_so_is_refused(
    service: KeysService, kind: str, how: dict[str, Any]
) -> None:
    with pytest.raises(Problem) as caught:
        await service.rotator.rotate(kind, **how)
    assert caught.value.code == "bad_request"


async def test_a_deleted_asset_is_shredded_its_keys_are_nowhere_in_the_files(
    service: KeysService, stores: Stores, secrets: Secrets, clock: Clock, film: str, tmp_path: Path
) -> None:
    found = await stores.keys.generation("default", "film", 1)
    assert found is not None
    token = await opened(service, link(secrets.issuer, clock))
    wrapped = [found[0].keys.asset_key, found[0].keys.storage_key]

    def on_disk() -> bytes:
        return b"".join(path.read_bytes() for path in tmp_path.glob("keys.db*"))

    assert all(key in on_disk() for key in wrapped)
    await service.delete_asset("film")
    assert not any(key in on_disk() for key in wrapped)
    with pytest.raises(Problem) as caught:
        await lease(service, token)
    assert caught.value.code == "revoked"
