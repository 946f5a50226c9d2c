"""One relational database, SQLite or PostgreSQL: how it is opened, read in and written in.

SQLite by aiosqlite in WAL mode, where every writer begins IMMEDIATE and so waits its turn instead of
failing half-way. Those of this process queue for it here: SQLite itself only tries again and again, and a
crowd would starve some. PostgreSQL by asyncpg, where a writer that must be alone names what it locks. Both
promise the same: of two transactions with one lock name, the second sees all the first did. Statements live
with the stores.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Final

from sqlalchemy import Table, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_MS: Final = 10_000
_PRAGMAS: Final = (
    f"busy_timeout={BUSY_TIMEOUT_MS}",
    "foreign_keys=ON",
    "synchronous=FULL",
    "secure_delete=ON",  # a deleted wrapped key is overwritten in the file, not only forgotten
)
_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
_QUERY: Final = ("host", "port", "ssl", "sslmode")  # what a postgresql:// address may say after its `?`
_WRITES: Final = "sluice_writes"


def database_url(text_or_url: str) -> URL:
    """The URL with the asynchronous driver. ValueError for what is neither SQLite nor PostgreSQL."""
    url = make_url(text_or_url)
    name = url.get_backend_name()
    if name not in _DRIVERS:
        raise ValueError(f"databases are sqlite:///… or postgresql://…, not {name}")
    url = url.set(drivername=_DRIVERS[name])
    if name == "sqlite":
        return url
    unknown = sorted(set(url.query) - set(_QUERY))
    if unknown:
        raise ValueError(f"a postgresql:// address may say {', '.join(_QUERY)}, not {unknown[0]}")
    # libpq's name for it, which every provider's address uses; the driver calls it `ssl`
    mode = url.query.get("sslmode")
    return url if mode is None else url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})


class Database:
    """An open database. `url` is `sqlite:///path` or `postgresql://…`; `close()` when done."""

    def __init__(self, url: str) -> None:
        self.url = database_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _sqlite_engine(self.url) if self.is_sqlite else _engine(self.url)
        self._turn = asyncio.Lock()  # of SQLite's writers in this process, first come, first served

    async def close(self) -> None:
        """Give every connection back."""
        await self.engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction that only reads: one consistent view."""
        async with self.engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def write(self, *lock: str) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction that writes, alone among those with the same lock name."""
        async with (
            self._turn if self.is_sqlite else nullcontext(),
            self.engine.execution_options(**{_WRITES: True}).begin() as connection,
        ):
            if lock and not self.is_sqlite:  # SQLite has one writer anyhow
                await connection.execute(
                    text("SELECT pg_advisory_xact_lock(:number)"), {"number": lock_number(*lock)}
                )
            yield connection

    async def flush_deleted(self) -> None:
        """Sees to it that what was deleted is nowhere in SQLite's files, its log of changes included.

        Readers may be in the way: the next time does it then. PostgreSQL's files are its operator's (VACUUM).
        """
        if self.is_sqlite:
            async with self._turn, self.engine.connect() as connection:
                raw = await connection.get_raw_connection()
                cursor = await raw.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
                await cursor.close()

    async def insert_once(self, connection: AsyncConnection, table: Table, values: Mapping[str, Any]) -> bool:
        """Insert a row unless its primary key is there. Whether it was inserted."""
        insert = sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)
        result = await connection.execute(insert.values(**values).on_conflict_do_nothing())
        return result.rowcount == 1


def lock_number(*names: str) -> int:
    """The signed 64-bit number that PostgreSQL locks for these names."""
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _engine(url: URL) -> AsyncEngine:
    return create_async_engine(
        url,
        hide_parameters=True,  # viewers and wrapped keys stay out of error texts
        pool_pre_ping=True,  # a database that was restarted costs no request
    )


def _sqlite_engine(url: URL) -> AsyncEngine:
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)  # it would log every value of every statement
    engine = _engine(url)

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # transactions begin below, not when the driver thinks so
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
