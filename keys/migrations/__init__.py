"""Brings a keys database to the newest schema at start, by alembic without its command line or ini file.

Safe when several processes start together: one does the work inside one transaction, the others wait for it
and find nothing left to do. On SQLite a lock file orders them too, because switching to WAL cannot wait its
turn.
"""

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Final

from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Connection

from keys.database import Database

SCRIPTS: Final = Path(__file__).parent
VERSION_TABLE: Final = "keys_version"


async def upgrade(database: Database) -> None:
    """Make or migrate the tables of `database`. The folder of an SQLite file is made, mode 0700."""
    async with _alone(database):
        if database.is_sqlite:
            await _use_wal(database)
        async with database.write("keys migrations") as connection:
            await connection.run_sync(_run)


def _run(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def _use_wal(database: Database) -> None:
    async with database.engine.connect() as connection:
        raw = await connection.get_raw_connection()
        await raw.driver_connection.execute("PRAGMA journal_mode=WAL")  # type: ignore[union-attr]


@asynccontextmanager
async def _alone(database: Database) -> AsyncIterator[None]:
    path = database.url.database
    if not database.is_sqlite or path in (None, "", ":memory:"):
        yield
        return
    handle = await asyncio.to_thread(_locked, Path(f"{path}.lock"))
    try:
        yield
    finally:
        handle.close()  # frees the lock, as our death would


def _locked(path: Path) -> IO[str]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = path.open("w")
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle
