"""The catalogue in pages, filtered; and the one change a publisher makes by hand, a title.

Beside `origin.store.catalogue`, in the same tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, or_, select, update

from keys.database import Database
from origin.store.tables import assets


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which assets: those in one of these states (none: any) whose ID or title holds the text."""

    states: tuple[str, ...] = ()
    text: str = ""


class AssetPages:
    """Reads pages of IDs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ids(self, wanted: Wanted, after: tuple[float, str] | None, limit: int) -> Sequence[str]:
        """At most `limit` IDs, the newest asset first; `after`: created and ID of the last one shown."""
        query = select(assets.c.id).order_by(assets.c.created.desc(), assets.c.id).limit(limit)
        if wanted.states:
            query = query.where(assets.c.state.in_(wanted.states))
        if wanted.text:
            holds = (
                column.icontains(wanted.text, autoescape=True) for column in (assets.c.id, assets.c.title)
            )
            query = query.where(or_(*holds))
        if after is not None:
            created, id = after
            same = and_(assets.c.created == created, assets.c.id > id)
            query = query.where(or_(assets.c.created < created, same))
        async with self._database.read() as connection:
            return list(await connection.scalars(query))

    async def set_title(self, id: str, title: str, *, updated: float, now: float) -> bool:
        """Gives the asset another title. False when it was changed since it was read, at `updated`."""
        same = (assets.c.id == id) & (assets.c.updated == updated)
        async with self._database.write() as connection:
            result = await connection.execute(update(assets).where(same).values(title=title, updated=now))
        return bool(result.rowcount)
