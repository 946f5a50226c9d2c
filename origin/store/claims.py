"""The queue of ingest, in the catalogue's database: who works on which asset, and until when.

A worker claims an asset for `lease_s` seconds and says again and again that it is there; when it is not heard
of in time, the asset is anybody's. Each claim has a number of its own, the fence: what a worker writes names
it, so one that lost its claim changes nothing any more. Attempts are claims that were neither ended nor given
back: each is a worker that died over the asset. Leases are told by the database's clock, so machines need not
agree on the time. Every change is one transaction, in SQLite and PostgreSQL alike.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keys.database import Database
from origin.store.tables import assets

MOST_ATTEMPTS: Final = 3
POISONED: Final = (
    "Three times the worker that converted this file died over it, so it is not tried again by itself. "
    "Look at the file and at the memory of the server, then retry it."
)
WAITING: Final = ("queued", "ingesting")  # ingesting: by somebody who is not there any more
LISTED: Final = ("uploading", "queued", "ingesting", "failed", "cancelled")
_LOCK: Final = "ingest claims"


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often a worker looks for work and says that it is there, and how long it is believed; seconds."""

    poll_s: float = 1.0
    beat_s: float = 2.0
    lease_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Claim:
    """One worker's right to one asset."""

    asset: str
    holder: str  # the worker: its machine, a slash, and something of its own
    fence: int
    attempts: int  # this one included


@dataclass(frozen=True, slots=True)
class Job:
    """An asset on its way, as operators see it."""

    asset: str
    title: str
    state: str
    progress: float  # 0 to 1
    rate: float  # media seconds a second
    eta_s: float | None
    attempts: int
    worker: str  # empty: none has it
    node: str  # whose disk the upload is on; empty: every worker reaches it
    queued: float  # seconds since the epoch, as the next
    heartbeat: float  # 0: no worker had it yet
    upload_bytes: int
    error: str

    def public(self) -> dict[str, Any]:
        """Its JSON fields."""
        return asdict(self)


class Claims:
    """Claims in one database. `now` stands in for the database's clock, seconds since the epoch."""

    def __init__(self, database: Database, now: Callable[[], float] | None = None) -> None:
        self._database = database
        self._now = now

    async def claim(self, holder: str, node: str, *, idle: bool, lease_s: float) -> Claim | None:
        """The asset that waits longest of those this node may take, now `holder`'s. None: nothing to do.

        One over which a worker died is for a worker that does nothing else (`idle`), so that what runs beside
        it is not taken down with it; one over which MOST_ATTEMPTS died fails.
        """
        async with self._database.read() as connection:  # most often there is nothing, and nobody is kept
            if await self._first(connection, node) is None:
                return None
        async with self._database.write(_LOCK) as connection:
            while row := await self._first(connection, node):
                # Publishing and cancelling take no lock: what one has changed since is looked at anew.
                free = update(assets).where(
                    assets.c.id == row.id, self._free(await self._time(connection), node)
                )
                if row.attempts >= MOST_ATTEMPTS:
                    ended = {"state": "failed", "error": POISONED, "holder": "", "lease_until": 0.0}
                    ended |= {"rate": 0.0, "eta_s": None}
                    await connection.execute(free.values(ended))
                    continue
                if row.attempts and not idle:
                    return None
                claim = Claim(row.id, holder, secrets.randbits(62), row.attempts + 1)
                now = await self._time(connection)
                values = {
                    "state": "ingesting",
                    "error": "",
                    "progress": 0.0,
                    "rate": 0.0,
                    "eta_s": None,
                    "holder": holder,
                    "fence": claim.fence,
                    "attempts": claim.attempts,
                    "heartbeat": now,
                    "lease_until": now + lease_s,
                    "updated": now,
                }
                if (await connection.execute(free.values(values))).rowcount:
                    return claim
        return None

    async def beat(self, claim: Claim, lease_s: float) -> str | None:
        """Holds the claim for `lease_s` more; the state its asset is in. None: it is lost, or ran out."""
        async with self._database.write() as connection:
            now = await self._time(connection)
            held = update(assets).where(_of(claim), assets.c.lease_until > now)
            result = await connection.execute(held.values(heartbeat=now, lease_until=now + lease_s))
            if not result.rowcount:
                return None
            state = await connection.scalar(select(assets.c.state).where(assets.c.id == claim.asset))
        return str(state)

    async def last(self, claim: Claim) -> bool:
        """Whether nobody has claimed the asset since: what belongs to it may be cleared up."""
        query = select(assets.c.fence, assets.c.holder).where(assets.c.id == claim.asset)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return row is None or (row.fence, row.holder) == (claim.fence, claim.holder)

    async def end(self, claim: Claim) -> None:
        """The work on it is over, whatever became of it."""
        async with self._database.write() as connection:
            await connection.execute(update(assets).where(_of(claim)).values(holder="", lease_until=0.0))

    async def leave(self, holder: str) -> None:
        """Gives back all that a worker has: it ends, and that is no fault of theirs."""
        given = case((assets.c.attempts > 0, assets.c.attempts - 1), else_=0)
        async with self._database.write() as connection:
            held = update(assets).where(assets.c.holder == holder)
            await connection.execute(held.values(holder="", lease_until=0.0, attempts=given))

    async def holders(self, node: str) -> Sequence[str]:
        """The workers of a node that hold anything."""
        named = assets.c.holder.startswith(f"{node}/", autoescape=True)
        query = select(assets.c.holder).where(assets.c.state.in_(LISTED), named).distinct()
        async with self._database.read() as connection:
            return [str(holder) for holder in await connection.scalars(query)]

    async def lapse(self, holder: str) -> None:
        """What this worker held is anybody's now: it is dead. That counts as an attempt."""
        async with self._database.write() as connection:
            held = update(assets).where(assets.c.holder == holder)
            await connection.execute(held.values(holder="", lease_until=0.0))

    async def held(self, asset: str) -> bool:
        """Whether a worker has it, or still clears up after it."""
        async with self._database.read() as connection:
            now = await self._time(connection)
            row = select(assets.c.id).where(
                assets.c.id == asset, assets.c.holder != "", assets.c.lease_until > now
            )
            return await connection.scalar(row) is not None

    async def jobs(self) -> Sequence[Job]:
        """Every asset that is not published, the one that waits longest first."""
        query = select(assets).where(assets.c.state.in_(LISTED))
        async with self._database.read() as connection:
            now = await self._time(connection)
            rows = (await connection.execute(query.order_by(assets.c.queued, assets.c.id))).all()
        return [_job(row, now) for row in rows]

    async def _first(self, connection: AsyncConnection, node: str) -> Any:
        now = await self._time(connection)
        query = select(assets.c.id, assets.c.attempts).where(self._free(now, node))
        ordered = query.order_by(assets.c.queued, assets.c.created, assets.c.id)
        return (await connection.execute(ordered.limit(1))).one_or_none()

    @staticmethod
    def _free(now: float, node: str) -> ColumnElement[bool]:
        """Whether a worker of this node may take an asset."""
        return and_(
            assets.c.state.in_(WAITING),
            or_(assets.c.holder == "", assets.c.lease_until <= now),
            assets.c.node.in_(("", node)),
        )

    async def _time(self, connection: AsyncConnection) -> float:
        """SQLite's clock is this machine's: whoever shares its file is on it."""
        if self._now is not None:
            return self._now()
        if self._database.is_sqlite:
            return time.time()
        return float(await connection.scalar(select(func.extract("epoch", func.clock_timestamp()))) or 0)


def _of(claim: Claim) -> ColumnElement[bool]:
    return and_(assets.c.id == claim.asset, assets.c.fence == claim.fence, assets.c.holder == claim.holder)


def _job(row: Any, now: float) -> Job:
    here = row.holder != "" and row.lease_until > now
    return Job(
        asset=row.id,
        title=row.title,
        state="queued" if row.state == "ingesting" and not here else row.state,
        progress=row.progress,
        rate=row.rate,
        eta_s=row.eta_s,
        attempts=row.attempts,
        worker=row.holder if here else "",
        node=row.node,
        queued=row.queued,
        heartbeat=row.heartbeat,
        upload_bytes=row.upload_bytes,
        error=row.error,
    )
