"""The log of purges in the keys database: versions without holes, and only the latest of them."""

from typing import Final

from sqlalchemy import and_, delete, func, or_, select

from keys.database import Database
from keys.purge import ANSWERED_MOST, Purge, Purges
from keys.tables import purges

KEPT_S: Final = 24 * 3600  # a reader who was away for longer purges everything, softly;
KEPT_MOST: Final = 10_000  # so does one who missed so many

_HEAD: Final = select(func.coalesce(func.max(purges.c.version), 0))


class PurgeStore:
    """The purges there were lately."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, zone: str, kind: str, value: str, *, soft: bool, now: float) -> Purge:
        """Append a purge (`keys.purge.named`)."""
        async with self._database.write("purges") as connection:
            head = await connection.scalar(_HEAD) or 0
            entry = Purge(head + 1, zone, kind, value, soft)
            await connection.execute(purges.insert(), [entry.to_json() | {"created": now}])
        return entry

    async def version(self) -> int:
        """The newest version; 0 when there never was a purge."""
        async with self._database.read() as connection:
            return await connection.scalar(_HEAD) or 0

    async def after(self, version: int) -> Purges:
        """What came after `version`; nothing when that is too much to tell, or is from `keys.purge.NEW`."""
        query = select(purges).where(purges.c.version > version).order_by(purges.c.version)
        async with self._database.read() as connection:
            newest = await connection.scalar(_HEAD) or 0
            if version < 0 or newest - version > ANSWERED_MOST:
                return Purges(newest)
            rows = (await connection.execute(query.limit(ANSWERED_MOST))).all()
        entries = tuple(Purge(row.version, row.zone, row.kind, row.value, bool(row.soft)) for row in rows)
        return Purges(max([newest, *(entry.version for entry in entries)]), entries)

    async def forget(self, now: float) -> None:
        """Drop old purges, but never the newest: its version goes on counting."""
        async with self._database.write("purges") as connection:
            newest = await connection.scalar(_HEAD) or 0
            old = or_(purges.c.created < now - KEPT_S, purges.c.version <= newest - KEPT_MOST)
            await connection.execute(delete(purges).where(and_(old, purges.c.version < newest)))
