"""Rows of wrapped keys, and of the assets and generations they belong to. Plain keys are `keys.hierarchy`'s.

A generation number is given once and never again, even after its asset was deleted: caches know it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import ColumnElement, and_, delete, select, update

from keys.database import Database
from keys.tables import assets, generations, service_keys, tenants

SUPERSEDED_KEPT_S: Final = 24 * 3600  # SECURITY K2


@dataclass(frozen=True, slots=True)
class WrappedKeys:
    """The asset key and the storage key of one generation, wrapped by the tenant key."""

    asset_key: bytes = field(repr=False)
    storage_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Published:
    """What new sessions of an asset pin: the generation, and the asset's own pace where it has one."""

    generation: int
    pace: dict[str, float] | None


class KeyStore:
    """Wrapped keys in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def service_key(self, purpose: str) -> bytes | None:
        """The service's own key of one purpose, wrapped; None before it was made."""
        query = select(service_keys.c.wrapped).where(service_keys.c.purpose == purpose)
        async with self._database.read() as connection:
            found: bytes | None = await connection.scalar(query)
            return found

    async def add_service_key(self, purpose: str, wrapped: bytes, now: float) -> None:
        """Keep this key unless the purpose has one: of several processes starting together one wins."""
        row = {"purpose": purpose, "wrapped": wrapped, "created": now}
        async with self._database.write() as connection:
            await self._database.insert_once(connection, service_keys, row)

    async def tenant_key(self, tenant: str) -> bytes | None:
        """The tenant's key as the root key wrapped it; None for a tenant without."""
        async with self._database.read() as connection:
            query = select(tenants.c.wrapped_key).where(tenants.c.tenant == tenant)
            found: bytes | None = await connection.scalar(query)
            return found

    async def add_tenant_key(self, tenant: str, wrapped: bytes, now: float) -> None:
        """Keep this wrapped key unless the tenant has one."""
        row = {"tenant": tenant, "wrapped_key": wrapped, "created": now}
        async with self._database.write() as connection:
            await self._database.insert_once(connection, tenants, row)

    async def next_generation(self, tenant: str, asset: str) -> int:
        """A number for the asset's next generation. Numbers may be skipped, never repeated."""
        async with self._database.write("asset", tenant, asset) as connection:
            row = {"tenant": tenant, "asset": asset, "last_generation": 0}
            await self._database.insert_once(connection, assets, row)
            given: int | None = await connection.scalar(
                update(assets)
                .where(_is_asset(tenant, asset))
                .values(last_generation=assets.c.last_generation + 1)
                .returning(assets.c.last_generation)
            )
            assert given is not None, "the row was inserted above"
            return given

    async def add_generation(
        self, tenant: str, asset: str, generation: int, keys: WrappedKeys, now: float
    ) -> None:
        """Keep the wrapped keys of a generation whose number came from `next_generation`."""
        row = {
            "tenant": tenant,
            "asset": asset,
            "generation": generation,
            "wrapped_asset_key": keys.asset_key,
            "wrapped_storage_key": keys.storage_key,
            "created": now,
        }
        async with self._database.write() as connection:
            await connection.execute(generations.insert().values(row))

    async def generation(self, tenant: str, asset: str, generation: int) -> WrappedKeys | None:
        """The wrapped keys of a generation; None when it never was or was deleted."""
        query = select(generations.c.wrapped_asset_key, generations.c.wrapped_storage_key).where(
            _is_generation(tenant, asset), generations.c.generation == generation
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return WrappedKeys(row.wrapped_asset_key, row.wrapped_storage_key) if row else None

    async def publish(
        self, tenant: str, asset: str, generation: int, pace: Mapping[str, float] | None, now: float
    ) -> int | None:
        """Let new sessions pin this generation, unless a later one is published.

        The generation that is published now; None when this one is not there.
        """
        async with self._database.write("asset", tenant, asset) as connection:
            known = select(generations.c.generation).where(
                _is_generation(tenant, asset), generations.c.generation == generation
            )
            current = select(assets.c.published).where(_is_asset(tenant, asset))
            if await connection.scalar(known) is None:
                return None
            if (published := await connection.scalar(current) or 0) > generation:
                return published
            values = {"published": generation, "pace": dict(pace) if pace else None}
            await connection.execute(update(assets).where(_is_asset(tenant, asset)).values(values))
            await connection.execute(
                update(generations)
                .where(
                    _is_generation(tenant, asset),
                    generations.c.generation < generation,
                    generations.c.superseded.is_(None),
                )
                .values(superseded=now)
            )
            return generation

    async def published(self, tenant: str, asset: str) -> Published | None:
        """The generation that new sessions of the asset pin; None when nothing is published."""
        query = select(assets.c.published, assets.c.pace).where(_is_asset(tenant, asset))
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return Published(row.published, row.pace) if row and row.published is not None else None

    async def delete_asset(self, tenant: str, asset: str) -> None:
        """Delete the wrapped keys of every generation: what was sealed under them opens nowhere any more."""
        async with self._database.write("asset", tenant, asset) as connection:
            await connection.execute(
                update(assets).where(_is_asset(tenant, asset)).values(published=None, pace=None)
            )
            await connection.execute(delete(generations).where(_is_generation(tenant, asset)))

    async def delete_superseded(self, now: float) -> int:
        """Delete the keys of generations replaced more than SUPERSEDED_KEPT_S ago; how many."""
        ended = generations.c.superseded < now - SUPERSEDED_KEPT_S
        async with self._database.write() as connection:
            return (await connection.execute(delete(generations).where(ended))).rowcount


def _is_asset(tenant: str, asset: str) -> ColumnElement[bool]:
    return and_(assets.c.tenant == tenant, assets.c.asset == asset)


def _is_generation(tenant: str, asset: str) -> ColumnElement[bool]:
    return and_(generations.c.tenant == tenant, generations.c.asset == asset)
