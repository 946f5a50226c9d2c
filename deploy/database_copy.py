"""The rows of one database in another, whichever kinds they are: of one moment, in an order keys allow."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Table, select, text

from keys.database import Database

ROWS: Final = 500  # held at once


async def copy_rows(
    source: Database, target: Database, tables: Sequence[Table], emptied: Sequence[Table] = ()
) -> None:
    """Every row of these tables into the empty ones of `target`, as `source` has them at one moment.

    They come in the order keys allow. What triggers put into those `emptied` meanwhile is taken out again.
    """
    async with source.engine.connect() as reading, target.write() as writing:
        if not source.is_sqlite:
            reading = await reading.execution_options(isolation_level="REPEATABLE READ")
        for table in tables:
            rows = await reading.stream(select(table))
            async for part in rows.mappings().partitions(ROWS):
                await writing.execute(table.insert(), [dict(row) for row in part])
        for table in emptied:
            await writing.execute(table.delete())


async def is_empty(database: Database, tables: Sequence[Table]) -> bool:
    """Whether none of these tables, all made, has a row."""
    async with database.read() as connection:
        for table in tables:
            if (await connection.execute(select(text("1")).select_from(table).limit(1))).first():
                return False
    return True
