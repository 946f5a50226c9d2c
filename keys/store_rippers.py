"""What the database knows of viewers for the ripper score: their sessions' courses, scores, what was done.

A viewer is whom the link names, or the link itself where it names nobody: as pace counts them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Row, and_, bindparam, or_, select, update

from keys.database import Database
from keys.ripper import Course, Verdict
from keys.sessions import LIVE
from keys.tables import sessions

AT_ONCE: Final = 500  # names in one statement
LIFTED: Final = "lifted"  # what was done about it was lifted by an operator


@dataclass(frozen=True, slots=True)
class Who:
    """A viewer, in a tenant; or a link of an issuer."""

    tenant: str
    viewer: str | None
    iss: str = ""  # of the link, when it names no viewer
    link_id: str = ""

    @property
    def name(self) -> str:
        """What a `slow` entry says (`keys.revocation`)."""
        return self.link_id if self.viewer is None else self.viewer


@dataclass(frozen=True, slots=True)
class Known:
    """A live session: its course, and the verdict on its viewer when he was last looked at."""

    course: Course
    verdict: Verdict


class RipperStore:
    """Courses of sessions by viewer, and what came of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def seen_since(self, since: float, now: float) -> dict[Who, list[Known]]:
        """The sessions that run and were active since a time, by viewer."""
        query = select(*_COLUMNS).where(
            sessions.c.last_seen >= since, sessions.c.state == LIVE, sessions.c.expires > now
        )
        found: dict[Who, list[Known]] = {}
        async with self._database.read() as connection:
            for row in await connection.execute(query):
                found.setdefault(_who(row), []).append(_known(row))
        return found

    async def rate(self, verdicts: Mapping[str, Verdict]) -> None:
        """Keeps the verdicts on sessions, by their IDs."""
        rows = [
            {"of": sid, "score": verdict.score, "signals": verdict.signals}
            for sid, verdict in sorted(verdicts.items())
        ]
        if rows:
            async with self._database.write() as connection:
                await connection.execute(_RATE, rows)

    async def claim(self, sids: Sequence[str], action: str) -> bool:
        """Whether this is to be done about a viewer with these sessions.

        Not when it was for one of them, or an operator lifted it. All are marked; of two processes that ask
        at once, one is told so.
        """
        parts = [sids[start : start + AT_ONCE] for start in range(0, len(sids), AT_ONCE)]
        async with self._database.write("rippers") as connection:
            found: set[str | None] = set()
            for part in parts:
                query = select(sessions.c.ripper_acted).where(sessions.c.sid.in_(part)).distinct()
                found |= set(await connection.scalars(query))
            mark = LIFTED if LIFTED in found else action
            for part in parts:
                of = sessions.c.sid.in_(part)
                await connection.execute(update(sessions).where(of).values(ripper_acted=mark))
        return mark not in found

    async def lift(self, name: str, action: str) -> None:
        """Notes that an operator lifted what was done about a viewer, or a link that names none."""
        of_link = and_(sessions.c.viewer.is_(None), sessions.c.link_id == name)
        whose = and_(or_(sessions.c.viewer == name, of_link), sessions.c.ripper_acted == action)
        async with self._database.write("rippers") as connection:
            await connection.execute(update(sessions).where(whose).values(ripper_acted=LIFTED))


_COLUMNS: Final = (
    *(sessions.c[name] for name in Course.__dataclass_fields__),
    sessions.c.tenant,
    sessions.c.viewer,
    sessions.c.iss,
    sessions.c.link_id,
    sessions.c.ripper_score,
    sessions.c.ripper_signals,
)
_RATE: Final = (
    update(sessions)
    .where(sessions.c.sid == bindparam("of"))
    .values(ripper_score=bindparam("score"), ripper_signals=bindparam("signals"))
)


def _who(row: Row[tuple[object, ...]]) -> Who:
    if row.viewer is not None:
        return Who(row.tenant, row.viewer)
    return Who(row.tenant, None, row.iss, row.link_id)


def _known(row: Row[tuple[object, ...]]) -> Known:
    course = Course(**{name: getattr(row, name) for name in Course.__dataclass_fields__})
    return Known(course, Verdict(row.ripper_score, row.ripper_signals or {}))
