"""Lists in pages: a cursor says after which row the next page begins. Pure.

The rows of a list have a key that orders them; a cursor is the key of the last row shown, so that rows that
come or go meanwhile move none of the others in or out. What it holds is nobody's business but ours.
"""

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Final, TypeVar

from pydantic import Field, StringConstraints

from keys.names import b64url, b64url_decode
from origin.control.operation import Model, invalid

USUAL: Final = 100
MOST: Final = 500

Key = tuple[float, str]
Row = TypeVar("Row")


class Paged(Model):
    """Which page of a list."""

    limit: int = Field(default=USUAL, ge=1, le=MOST, description="Rows of a page.")
    cursor: Annotated[str, StringConstraints(max_length=600, pattern=r"^[A-Za-z0-9_-]*$")] = Field(
        default="", description="`next` of the page before."
    )


def written(key: Key) -> str:
    """The key as a cursor."""
    return b64url(json.dumps(key).encode())


def read(cursor: str) -> Key | None:
    """The key of a cursor; None for the first page. Problem invalid for what we did not write."""
    if not cursor:
        return None
    try:
        first, second = json.loads(b64url_decode(cursor))
    except (ValueError, TypeError, RecursionError):
        raise invalid("the cursor is of no page: use `next` as it was given") from None
    if type(first) is not float or not isinstance(second, str) or "\0" in second or abs(first) > 1e15:
        raise invalid("the cursor is of no page: use `next` as it was given")
    return first, second


def page(rows: Sequence[Row], key: Callable[[Row], Key], asked: Paged) -> tuple[Sequence[Row], str | None]:
    """The page of rows, which go by greatest number, then by text; and the cursor of the next one."""
    after = read(asked.cursor)
    left = [row for row in rows if after is None or _later(key(row), after)]
    return cut(left, key, asked.limit)


def cut(rows: Sequence[Row], key: Callable[[Row], Key], limit: int) -> tuple[Sequence[Row], str | None]:
    """The first `limit` rows, and the cursor of what follows; None when nothing does."""
    shown = rows[:limit]
    return shown, written(key(shown[-1])) if len(rows) > limit else None


def _later(key: Key, after: Key) -> bool:
    return (-key[0], key[1]) > (-after[0], after[1])
