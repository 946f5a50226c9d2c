"""Keys change under a running system: who watches plays on, who comes gets the new ones; what is deleted is
shredded.
"""

import json
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from keys import SigningKey
from keys.client import KeysClient
from keys.database import Database
from keys.jws import parse
from keys.store_keys import KeyStore
from origin.media.seal import SLICE, TAG, Sealer
from tests.support.eventually import eventually
from tests.support.packaged import Packaged, storage_key
from tests.support.publish import publish
from tests.support.system import System
from tests.support.viewer import Viewer, decrypt

SIZES = {"720p": [50_000] * 30}


def token_of(url: str) -> str:
    return url.split("URISigningPackage=")[1].split("/")[0]


async def plays(viewer: Viewer, stored: Packaged, number: int) -> bool:
    """Whether a segment not asked for before comes, by a new connection, and is the packaged one."""
    async with httpx.AsyncClient(timeout=60) as client:
        key = await client.get(urljoin(viewer.url, f"720p/key/{number // 3}"))
        body = await client.get(viewer.segment_url("720p", number))
    if (key.status_code, body.status_code) != (200, 200):
        return False
    return decrypt(key.content, number, body.content) == stored.segment("720p", number)


def rotate(system: System, *words: str) -> list[dict[str, str]]:
    told = system.sluice("rotate", *words, "--json")
    assert told.returncode == 0, told.stderr + system.logs()
    found: list[dict[str, str]] = json.loads(told.stdout)
    return found


async def test_who_watches_plays_on_over_every_rotation_and_new_sessions_get_the_new_keys(
    system: System,
) -> None:
    asset = await publish(system, "rotated", SIZES)
    stored = await Packaged.of(system.data, asset)
    old_key = SigningKey.load(system.data / "secrets" / "issuer.json")
    old_link, leaked = system.sign(asset), system.sign(asset)
    segment = iter(range(30))
    async with await Viewer(system.sign(asset)).opened() as viewer:
        assert await plays(viewer, stored, next(segment))
        kinds = [("root",), ("tenant",), ("link", "--overlap", "1h"), ("signing", "--now"), ("region",)]
        for words in kinds:
            states = rotate(system, *words)
            assert states[0]["state"] == "active", words
            assert await plays(viewer, stored, next(segment)), (words, system.logs())
            async with await Viewer(system.sign(asset)).opened() as newcomer:
                assert await plays(newcomer, stored, 0), words
                if words[0] == "signing":
                    assert states[0]["id"] == f"sluice/{parse(token_of(newcomer.url)).kid}"
                    assert states[1]["id"] == f"sluice/{parse(token_of(viewer.url)).kid}"

        assert (await Packaged.of(system.data, asset)).key == stored.key, "what is sealed stays as it was"
        jwks = (await viewer.client.get(f"{system.url('keys')}/.well-known/jwks.json")).json()
        assert {parse(token_of(viewer.url)).kid, parse(token_of(newcomer.url)).kid} <= {
            jwk["kid"] for jwk in jwks["keys"]
        }
        new_key = SigningKey.load(system.data / "secrets" / "issuer.json")
        assert new_key.kid != old_key.kid
        async with await Viewer(old_link).opened() as late:
            assert await plays(late, stored, 0), "a link of before opens within the overlap"

        told = system.sluice("revoke", "--signing-key", old_key.kid)
        assert (told.returncode, "for ever" in told.stderr) == (0, True), told.stderr

        async def ended() -> bool:
            async with Viewer(leaked) as thief:
                opens = (await thief.open()).status_code
            return opens == 403 and not await plays(viewer, stored, 0)

        await eventually(ended, within_s=30)
        async with await Viewer(system.sign(asset)).opened() as honest:
            assert await plays(honest, stored, 0)
    listed = system.sluice("rotate")
    assert (listed.returncode, new_key.kid in listed.stdout) == (0, True)


def test_what_cannot_be_rotated_or_revoked_says_so(system: System) -> None:
    for words, code, sentence in (
        (("rotate", "everything"), 2, "is not one of"),
        (("rotate", "root", "--overlap", "1h"), 2, "--overlap is for"),
        (("rotate", "link", "--now"), 2, "--now is for"),
        (("revoke",), 2, "Say what"),
        (("revoke", "--signing-key", "unknown"), 1, "No signing key"),
        (("revoke", "--undo", "viewer:nobody"), 1, "Nothing of this name"),
    ):
        told = system.sluice(*words)
        assert (told.returncode, sentence in told.stderr) == (code, True), (words, told.stderr)
        assert "Traceback" not in told.stderr


async def test_a_viewer_is_taken_back_and_let_in_again(system: System) -> None:
    asset = await publish(system, "lifted", SIZES)
    stored = await Packaged.of(system.data, asset)
    async with await Viewer(system.sign(asset, viewer="undone")).opened() as viewer:
        assert system.sluice("revoke", "viewer:undone").returncode == 0

        async def refused() -> bool:
            return not await plays(viewer, stored, 0)

        await eventually(refused, within_s=30)
        assert system.sluice("revoke", "--undo", "viewer:undone").returncode == 0

        async def opens() -> bool:
            async with Viewer(system.sign(asset, viewer="undone")) as again:
                return (await again.open()).status_code == 200 and await plays(again, stored, 1)

        await eventually(opens, within_s=30)
        assert await refused(), "the session that was ended stays ended"


async def test_everything_of_a_tenant_is_taken_back_up_to_a_second(system: System) -> None:
    asset = await publish(system, "epoch", SIZES)
    stored = await Packaged.of(system.data, asset)
    unopened = system.sign(asset)
    async with await Viewer(system.sign(asset)).opened() as viewer:
        assert system.sluice("revoke", "--tenant-epoch").returncode == 0

        async def ended() -> bool:
            async with Viewer(unopened) as late:
                opens = (await late.open()).status_code
            return opens == 403 and not await plays(viewer, stored, 0)

        await eventually(ended, within_s=30)

        async def opens() -> bool:  # from the next second on
            async with Viewer(system.sign(asset)) as newcomer:
                return (await newcomer.open()).status_code == 200 and await plays(newcomer, stored, 1)

        await eventually(opens, within_s=30)


async def test_a_deleted_assets_sealed_copies_open_nowhere(system: System) -> None:
    asset = await publish(system, "shredded", SIZES)
    stored = await Packaged.of(system.data, asset)
    database = Database(f"sqlite:///{system.data / 'keys' / 'keys.db'}")
    try:
        found = await KeyStore(database).generation("default", asset, 1)
    finally:
        await database.close()
    assert found is not None
    wrapped = [found[0].keys.asset_key, found[0].keys.storage_key]

    def keys_files() -> bytes:
        return b"".join(p.read_bytes() for p in Path(system.data / "keys").glob("keys.db*") if p.is_file())

    async with await Viewer(system.sign(asset)).opened() as viewer:
        for number in range(3):
            assert await plays(viewer, stored, number)
        copies = [(stored.folder / "720p" / f"{n}.m4s").read_bytes() for n in range(3)]
        sealed = [c[: SLICE + TAG] for c in copies]

        async def in_redis() -> bool:
            values = await system.redis_values()
            return all(any(copy in value for value in values.values()) for copy in sealed)

        await eventually(in_redis, within_s=30)
        sealer = Sealer(stored.key, "default", asset, 1, "720p", "0.m4s")
        assert sealer.open(0, sealed[0])[:8] == stored.segment("720p", 0)[:8]
        assert all(key in keys_files() for key in wrapped)

        async with KeysClient(system.direct("keys"), lambda: system.admin_token) as keys:
            await keys.delete_asset(asset)
        assert not any(key in keys_files() for key in wrapped), "the wrapped keys are overwritten"
        with pytest.raises(LookupError):
            await storage_key(system.data, asset)
        assert all((await system.redis_values()).values()), "the sealed copies are still there"

        async def ended() -> bool:
            async with Viewer(system.sign(asset)) as late:
                opens = (await late.open()).status_code
            return opens == 403 and not await plays(viewer, stored, 0)

        await eventually(ended, within_s=30)
