"""Rows of wrapped keys, and of the assets and generations they belong to. Plain keys are `keys.hierarchy`'s.

A generation number is given once and never again, even after its asset was deleted: caches know it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keys.database import Database
from keys.root_keys import Wrapped
from keys.tables import assets, generations, service_keys, tenants

SUPERSEDED_KEPT_S: Final = 24 * 3600  # SECURITY K2


@dataclass(frozen=True, slots=True)
class WrappedKeys:
    """The asset key and the storage key of one generation, wrapped by the tenant key; so a DRM document."""

    asset_key: bytes = field(repr=False)
    storage_key: bytes = field(repr=False)
    drm: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TenantKey:
    """A tenant's key: how often it was made anew, from 1, and the key as the root key wrapped it."""

    version: int
    wrapped: Wrapped


@dataclass(frozen=True, slots=True)
class GenerationRow:
    """A generation's wrapped keys, and the version of the tenant's key that opens them."""

    asset: str
    generation: int
    tenant_version: int
    keys: WrappedKeys


@dataclass(frozen=True, slots=True)
class Published:
    """What new sessions of an asset pin: the generation; and the asset's own pace and limits, if any."""

    generation: int
    pace: dict[str, float] | None
    limits: dict[str, int] | None = None
    drm: bool = False  # whether it is encrypted with keys of a DRM provider


class KeyStore:
    """Wrapped keys in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def service_key(self, purpose: str) -> Wrapped | None:
        """The service's own key of one purpose, wrapped; None before it was made."""
        query = select(service_keys.c.root, service_keys.c.wrapped).where(service_keys.c.purpose == purpose)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return Wrapped(row.root, row.wrapped) if row else None

    async def add_service_key(self, purpose: str, wrapped: Wrapped, now: float) -> None:
        """Keep this key unless the purpose has one: of several processes starting together one wins."""
        row = {"purpose": purpose, "root": wrapped.root, "wrapped": wrapped.data, "created": now}
        async with self._database.write() as connection:
            await self._database.insert_once(connection, service_keys, row)

    async def replace_service_key(self, purpose: str, old: Wrapped, new: Wrapped) -> bool:
        """Put `new` where `old` is; False when another is there by now."""
        change = (
            update(service_keys)
            .where(service_keys.c.purpose == purpose, service_keys.c.wrapped == old.data)
            .values(root=new.root, wrapped=new.data)
        )
        async with self._database.write() as connection:
            return (await connection.execute(change)).rowcount == 1

    async def service_purposes(self) -> list[str]:
        """Every purpose that has a key."""
        query = select(service_keys.c.purpose).order_by(service_keys.c.purpose)
        async with self._database.read() as connection:
            return list((await connection.execute(query)).scalars())

    async def tenants(self) -> list[str]:
        """Every tenant that has a key."""
        query = select(tenants.c.tenant).order_by(tenants.c.tenant)
        async with self._database.read() as connection:
            return list((await connection.execute(query)).scalars())

    async def tenant_key(self, tenant: str) -> TenantKey | None:
        """The tenant's key as the root key wrapped it; None for a tenant without."""
        async with self._database.read() as connection:
            return await _tenant_key(connection, tenant)

    async def add_tenant_key(self, tenant: str, key: TenantKey, now: float) -> None:
        """Keep this wrapped key unless the tenant has one."""
        row = {"tenant": tenant, "created": now, **_columns(key)}
        async with self._database.write() as connection:
            await self._database.insert_once(connection, tenants, row)

    async def replace_tenant_key(
        self,
        tenant: str,
        old: TenantKey,
        new: TenantKey,
        rewrap: Callable[[GenerationRow], WrappedKeys] | None = None,
    ) -> bool:
        """Put `new` where `old` is, in one step with what `rewrap` makes of every generation's keys.

        False, and nothing changed, when another key is there by now.
        """
        async with self._database.write("tenant", tenant) as connection:
            if await _tenant_key(connection, tenant) != old:
                return False
            await connection.execute(
                update(tenants).where(tenants.c.tenant == tenant).values(**_columns(new))
            )
            if rewrap is None:
                return True
            rows = await connection.execute(_GENERATIONS.where(generations.c.tenant == tenant))
            changed = [
                {
                    "of": tenant,
                    "of_asset": row.asset,
                    "of_generation": row.generation,
                    "ak": keys.asset_key,
                    "sk": keys.storage_key,
                    "drm": keys.drm,
                    "by": new.version,
                }
                for row in rows
                for keys in [rewrap(_generation_row(row))]
            ]
            if changed:
                await connection.execute(_REWRAP, changed)
            return True

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

    async def add_generation(self, tenant: str, row: GenerationRow, now: float) -> bool:
        """Keep the wrapped keys of a generation whose number came from `next_generation`.

        False, and nothing kept, when the tenant's key is not the one any more that wrapped them.
        """
        values = {
            "tenant": tenant,
            "asset": row.asset,
            "generation": row.generation,
            "tenant_version": row.tenant_version,
            "wrapped_asset_key": row.keys.asset_key,
            "wrapped_storage_key": row.keys.storage_key,
            "wrapped_drm": row.keys.drm,
            "created": now,
        }
        async with self._database.write("tenant", tenant) as connection:
            current = await _tenant_key(connection, tenant)
            if current is None or current.version != row.tenant_version:
                return False
            await connection.execute(generations.insert().values(values))
            return True

    async def generation(
        self, tenant: str, asset: str, generation: int
    ) -> tuple[GenerationRow, TenantKey] | None:
        """The wrapped keys of a generation, and at the same moment the tenant's; None when it was deleted."""
        query = (
            select(*_GENERATION_COLUMNS, tenants.c.version, tenants.c.root, tenants.c.wrapped_key)
            .join(tenants, tenants.c.tenant == generations.c.tenant)
            .where(_is_generation(tenant, asset), generations.c.generation == generation)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return (_generation_row(row), _tenant_row(row)) if row else None

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
        same = (
            generations.c.tenant == assets.c.tenant,
            generations.c.asset == assets.c.asset,
            generations.c.generation == assets.c.published,
        )
        query = (
            select(
                assets.c.published,
                assets.c.pace,
                assets.c.limits,
                generations.c.wrapped_drm.is_not(None).label("drm"),
            )
            .outerjoin(generations, and_(*same))
            .where(_is_asset(tenant, asset))
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        if row is None or row.published is None:
            return None
        return Published(row.published, row.pace, row.limits, drm=bool(row.drm))

    async def asset_limits(self, tenant: str, asset: str) -> dict[str, int] | None:
        """The limits of an asset, published or not."""
        async with self._database.read() as connection:
            return await connection.scalar(select(assets.c.limits).where(_is_asset(tenant, asset)))

    async def limit_asset(self, tenant: str, asset: str, limits: Mapping[str, int] | None) -> None:
        """Put these limits in the place of what the asset has."""
        values = {"limits": dict(limits) if limits else None}
        new = {"tenant": tenant, "asset": asset, "last_generation": 0}
        async with self._database.write("asset", tenant, asset) as connection:
            await self._database.insert_once(connection, assets, new)
            await connection.execute(update(assets).where(_is_asset(tenant, asset)).values(values))

    async def delete_asset(self, tenant: str, asset: str) -> None:
        """Delete the wrapped keys of every generation: what was sealed under them opens nowhere any more."""
        async with self._database.write("asset", tenant, asset) as connection:
            await connection.execute(
                update(assets).where(_is_asset(tenant, asset)).values(published=None, pace=None, limits=None)
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


_GENERATION_COLUMNS: Final = (
    generations.c.asset,
    generations.c.generation,
    generations.c.tenant_version,
    generations.c.wrapped_asset_key,
    generations.c.wrapped_storage_key,
    generations.c.wrapped_drm,
)
_GENERATIONS: Final = select(*_GENERATION_COLUMNS)
_REWRAP: Final = (
    update(generations)
    .where(
        generations.c.tenant == bindparam("of"),
        generations.c.asset == bindparam("of_asset"),
        generations.c.generation == bindparam("of_generation"),
    )
    .values(
        wrapped_asset_key=bindparam("ak"),
        wrapped_storage_key=bindparam("sk"),
        wrapped_drm=bindparam("drm"),
        tenant_version=bindparam("by"),
    )
)


def _generation_row(row: Any) -> GenerationRow:
    keys = WrappedKeys(row.wrapped_asset_key, row.wrapped_storage_key, row.wrapped_drm)
    return GenerationRow(row.asset, row.generation, row.tenant_version, keys)


def _tenant_row(row: Any) -> TenantKey:
    return TenantKey(row.version, Wrapped(row.root, row.wrapped_key))


async def _tenant_key(connection: AsyncConnection, tenant: str) -> TenantKey | None:
    query = select(tenants.c.version, tenants.c.root, tenants.c.wrapped_key).where(tenants.c.tenant == tenant)
    row = (await connection.execute(query)).first()
    return _tenant_row(row) if row else None


def _columns(key: TenantKey) -> dict[str, Any]:
    return {"version": key.version, "root": key.wrapped.root, "wrapped_key": key.wrapped.data}
