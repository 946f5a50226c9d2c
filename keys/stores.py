"""Everything the keys service keeps in its database: `Stores` opens it and holds a store for each noun.

Here are the nodes and the log of revocations; wrapped keys are in `keys.store_keys`, whose a DRM provider's
are in `keys.store_drm`, sessions in `keys.store_sessions`, what the ripper score is made of in
`keys.store_rippers`, purges in `keys.store_purges`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, and_, bindparam, delete, func, or_, select, update

from keys.database import Database
from keys.migrations import upgrade
from keys.revocation import EPOCH, LIFTED, Entry
from keys.store_drm import DrmStore
from keys.store_keys import KeyStore
from keys.store_purges import PurgeStore
from keys.store_rippers import RipperStore
from keys.store_sessions import SessionStore
from keys.tables import nodes, revocations

ENTRIES_KEPT_S: Final = 7 * 24 * 3600  # after their time: a reader away for longer starts again


class NodeStore:
    """The enrolled nodes and their public keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def enrol(self, name: str, role: str, jwk: dict[str, Any], now: float) -> bool:
        """Keep a node. False when the name is taken by another role or key; True again for the same."""
        row = {"name": name, "role": role, "jwk": jwk, "enrolled": now}
        async with self._database.write() as connection:
            if await self._database.insert_once(connection, nodes, row):
                return True
            query = select(nodes.c.role, nodes.c.jwk).where(nodes.c.name == name)
            known = (await connection.execute(query)).one()
            return bool(known.role == role and known.jwk == jwk)

    async def rows(self) -> Sequence[Row[Any]]:
        """name, role, jwk, enrolled and last_seen of every node, by name."""
        async with self._database.read() as connection:
            return (await connection.execute(select(nodes).order_by(nodes.c.name))).all()

    async def role(self, name: str) -> str | None:
        """The role of a node; None when there is none of this name."""
        async with self._database.read() as connection:
            return await connection.scalar(select(nodes.c.role).where(nodes.c.name == name))

    async def seen(self, at: Mapping[str, float]) -> None:
        """Note when nodes were seen; nobody is seen earlier than before."""
        rows = [{"of": name, "at": at[name]} for name in sorted(at)]  # one order for all: no deadlock
        if rows:
            async with self._database.write() as connection:
                await connection.execute(_SEEN, rows)

    async def remove(self, name: str) -> None:
        """Forget a node; fine when it is gone."""
        async with self._database.write() as connection:
            await connection.execute(delete(nodes).where(nodes.c.name == name))

    async def all(self) -> list[tuple[str, str, dict[str, Any]]]:
        """(name, role, public JWK) of every node, by name."""
        query = select(nodes.c.name, nodes.c.role, nodes.c.jwk).order_by(nodes.c.name)
        async with self._database.read() as connection:
            return [(row.name, row.role, row.jwk) for row in await connection.execute(query)]


_SEEN: Final = (
    update(nodes)
    .where(
        nodes.c.name == bindparam("of"),
        or_(nodes.c.last_seen.is_(None), nodes.c.last_seen < bindparam("at")),
    )
    .values(last_seen=bindparam("at"))
)


class RevocationStore:
    """The versioned log of revocations: the source of truth."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, names: list[tuple[str, str]], until: float, now: float) -> list[Entry]:
        """Append (kind, value) entries, with versions in the order of commit and without holes."""
        async with self._database.write("revocations") as connection:
            head = await connection.scalar(select(func.coalesce(func.max(revocations.c.version), 0))) or 0
            entries = [
                Entry(version, kind, value, until)
                for version, (kind, value) in enumerate(names, start=head + 1)
            ]
            if entries:
                rows = [entry.to_json() | {"created": now} for entry in entries]
                await connection.execute(revocations.insert(), rows)
        return entries

    async def lift(self, kind: str, value: str, now: float) -> Entry | None:
        """Ends what an entry of this name revoked, by a new entry; None when there is nothing to lift.

        A reader who begins anew is told of the lifting alone. `value` of an epoch is its tenant.
        """
        named = revocations.c.value.startswith(f"{value}/", autoescape=True)
        of = revocations.c.value == value if kind != EPOCH else named
        counts = and_(revocations.c.kind == kind, of, revocations.c.until > now)
        async with self._database.write("revocations") as connection:
            last = select(func.max(revocations.c.value)).where(counts)
            name = await connection.scalar(last)
            if name is None:
                return None
            await connection.execute(update(revocations).where(counts).values(until=now))
            head = await connection.scalar(select(func.max(revocations.c.version)))
            entry = Entry((head or 0) + 1, kind, name, LIFTED)
            await connection.execute(revocations.insert(), [entry.to_json() | {"created": now}])
        return entry

    async def version(self) -> int:
        """The newest version; 0 for an empty log."""
        async with self._database.read() as connection:
            return await connection.scalar(select(func.coalesce(func.max(revocations.c.version), 0))) or 0

    async def after(self, version: int, now: float) -> tuple[int, list[Entry]]:
        """(newest version, entries after `version`). From 0: only those that still count, and liftings."""
        query = select(revocations).where(revocations.c.version > version).order_by(revocations.c.version)
        if version == 0:
            query = query.where(or_(revocations.c.until > now, revocations.c.until == LIFTED))
        head = select(func.coalesce(func.max(revocations.c.version), 0))
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
            newest = await connection.scalar(head) or 0
        entries = [Entry(row.version, row.kind, row.value, row.until) for row in rows]
        return max([newest, *(entry.version for entry in entries)]), entries

    async def forget(self, now: float) -> None:
        """Drop entries long past their time, but never the newest: its version goes on counting."""
        newest = select(func.max(revocations.c.version)).scalar_subquery()
        past = now - ENTRIES_KEPT_S
        ended = and_(revocations.c.until < past, revocations.c.created < past)
        async with self._database.write("revocations") as connection:
            await connection.execute(delete(revocations).where(ended, revocations.c.version < newest))


class Stores:
    """The open keys database. `await Stores.open(url)` migrates it first."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.nodes = NodeStore(database)
        self.keys = KeyStore(database)
        self.drm = DrmStore(database)
        self.sessions = SessionStore(database)
        self.rippers = RipperStore(database)
        self.revocations = RevocationStore(database)
        self.purges = PurgeStore(database)

    @classmethod
    async def open(cls, url: str) -> "Stores":
        """Open `sqlite:///path` or `postgresql://…`, with the newest schema."""
        database = Database(url)
        await upgrade(database)
        return cls(database)

    async def close(self) -> None:
        """Give the database back."""
        await self.database.close()

    async def forget(self, now: float) -> None:
        """Housekeeping: drop what nobody may ask for any more."""
        if await self.keys.delete_superseded(now):
            await self.database.flush_deleted()
        await self.sessions.forget(now)
        await self.revocations.forget(now)
        await self.purges.forget(now)
