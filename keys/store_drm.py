"""Rows of DRM assets: which key is which generation's, and which generation last came with a document."""

from collections.abc import Sequence

from sqlalchemy import func, select

from keys.database import Database
from keys.tables import drm_keys, generations


class DrmStore:
    """Keys and documents of DRM providers in the database; the documents are `keys.hierarchy`'s to open."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def free(self, kids: Sequence[str]) -> bool:
        """Whether no generation was ever published with one of these keys."""
        known = select(func.count()).where(drm_keys.c.kid.in_(kids))
        async with self._database.read() as connection:
            return not await connection.scalar(known)

    async def claim(self, tenant: str, asset: str, generation: int, kids: Sequence[str]) -> bool:
        """Have these keys be this generation's, for ever. False, and none is, when one is another's."""
        mine = (
            (drm_keys.c.tenant == tenant)
            & (drm_keys.c.asset == asset)
            & (drm_keys.c.generation == generation)
        )
        others = select(func.count()).where(drm_keys.c.kid.in_(kids), ~mine)
        async with self._database.write("drm keys") as connection:
            if await connection.scalar(others):
                return False
            for kid in kids:
                row = {"kid": kid, "tenant": tenant, "asset": asset, "generation": generation}
                await self._database.insert_once(connection, drm_keys, row)
            return True

    async def latest(self, tenant: str, asset: str) -> int | None:
        """The newest generation of the asset that has a document; None when there is none."""
        query = select(func.max(generations.c.generation)).where(
            generations.c.tenant == tenant,
            generations.c.asset == asset,
            generations.c.wrapped_drm.is_not(None),
        )
        async with self._database.read() as connection:
            found: int | None = await connection.scalar(query)
            return found
