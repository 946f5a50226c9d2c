"""Stored keys: random, wrapped, bound to their place, gone when their one wrapped copy is."""

import asyncio
import itertools
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import select, update

from keys.cipher import BadWrap
from keys.hierarchy import SESSION_SIGNING, Hierarchy
from keys.keyring import Keyring
from keys.root_files import RootKeyFiles
from keys.signing import SigningKey
from keys.stores import Stores
from keys.tables import generations, service_keys, tenants

NOW = 1_800_000_000.0
ROOT = bytes(range(32))


def hierarchy(stores: Stores, root: bytes = ROOT) -> Hierarchy:
    """A process of its own: it knows nothing but the root key, in files, and the database."""
    folder = Path(tempfile.mkdtemp(prefix="sluice-root-"))
    (folder / "root.key").write_bytes(root)
    return Hierarchy(RootKeyFiles(folder), stores.keys)


async def ring(of: Hierarchy) -> Keyring:
    """The ring of session keys, made when it is not there."""
    fresh = Keyring.of(SigningKey.generate("sluice", viewer_key=False))
    return Keyring.from_json((await of.service_key(SESSION_SIGNING, fresh.to_json, NOW)).reveal())


async def test_a_generation_has_two_random_keys_that_open_again(stores: Stores) -> None:
    generation, keys = await hierarchy(stores).new_generation("default", "film", NOW)
    assert generation == 1
    assert len(keys.asset_key) == len(keys.storage_key) == 32
    assert keys.asset_key != keys.storage_key
    assert await hierarchy(stores).generation("default", "film", 1) == keys
    assert "Secret(***)" in repr(keys)


async def test_every_generation_of_every_asset_has_keys_of_its_own(stores: Stores) -> None:
    of = hierarchy(stores)
    made = [await of.new_generation("default", asset, NOW) for asset in ("a", "a", "b")]
    keys = {key.reveal() for _, pair in made for key in (pair.asset_key, pair.storage_key)}
    assert len(keys) == 6
    assert [generation for generation, _ in made] == [1, 2, 1]


async def test_t20_the_database_holds_no_plain_key(stores: Stores) -> None:
    of = hierarchy(stores)
    _, keys = await of.new_generation("default", "film", NOW)
    signing, buckets = (await ring(of)).active(NOW), await of.bucket_key(NOW)
    secrets = [keys.asset_key.reveal(), keys.storage_key.reveal(), buckets.reveal(), signing.to_json()]
    async with stores.database.read() as connection:
        rows = [
            tuple(row)
            for table in (generations, service_keys, tenants)
            for row in await connection.execute(select(table))
        ]
    stored = b"".join(value for row in rows for value in row if isinstance(value, bytes))
    assert len(rows) == 4
    assert not any(secret in stored for secret in secrets)


async def test_another_root_key_opens_nothing(stores: Stores) -> None:
    await hierarchy(stores).new_generation("default", "film", NOW)
    await ring(hierarchy(stores))
    other = hierarchy(stores, bytes(32))
    with pytest.raises(BadWrap):
        await other.generation("default", "film", 1)
    with pytest.raises(BadWrap):
        await ring(other)
    with pytest.raises(BadWrap):
        await other.new_generation("default", "film", NOW)


@pytest.mark.parametrize("column", ["wrapped_asset_key", "wrapped_storage_key"])
async def test_a_wrapped_key_in_anothers_place_does_not_open(stores: Stores, column: str) -> None:
    of = hierarchy(stores)
    await of.new_generation("default", "a", NOW)
    await of.new_generation("default", "b", NOW)
    async with stores.database.write() as connection:
        query = select(generations.c[column]).where(generations.c.asset == "b")
        foreign = await connection.scalar(query)
        await connection.execute(
            update(generations).where(generations.c.asset == "a").values({column: foreign})
        )
    with pytest.raises(BadWrap):
        await of.generation("default", "a", 1)


async def test_asset_key_and_storage_key_cannot_be_exchanged(stores: Stores) -> None:
    of = hierarchy(stores)
    await of.new_generation("default", "a", NOW)
    async with stores.database.write() as connection:
        swapped = {
            "wrapped_asset_key": generations.c.wrapped_storage_key,
            "wrapped_storage_key": generations.c.wrapped_asset_key,
        }
        await connection.execute(update(generations).values(swapped))
    with pytest.raises(BadWrap):
        await of.generation("default", "a", 1)


async def test_deleted_keys_are_gone(stores: Stores) -> None:
    of = hierarchy(stores)
    await of.new_generation("default", "film", NOW)
    await stores.keys.delete_asset("default", "film")
    assert await of.generation("default", "film", 1) is None
    assert await of.generation("default", "never", 1) is None


async def test_processes_that_start_together_agree_on_the_services_keys(any_stores: Stores) -> None:
    rings = await asyncio.gather(*(ring(hierarchy(any_stores)) for _ in range(5)))
    assert len({each.active(NOW).kid for each in rings}) == 1
    buckets = await asyncio.gather(*(hierarchy(any_stores).bucket_key(NOW) for _ in range(5)))
    assert all(a == b for a, b in itertools.pairwise(buckets))
    made = await asyncio.gather(
        *(hierarchy(any_stores).new_generation("default", "film", NOW) for _ in range(5))
    )
    for generation, keys in made:
        assert await hierarchy(any_stores).generation("default", "film", generation) == keys


async def test_a_root_key_is_32_bytes(stores: Stores) -> None:
    with pytest.raises(BadWrap, match="exactly 32 bytes"):
        await hierarchy(stores, b"short").bucket_key(NOW)
