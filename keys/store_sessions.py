"""Session records in the database: opened in one transaction with their link, then seen, revoked, forgotten.

Whether a session may be opened is decided by `keys.sessions`; here the decision is carried out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Double,
    Row,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from keys import sessions as core
from keys.database import Database
from keys.revocation import EPOCH, KEPT_S, read_epoch
from keys.sessions import Activity, Decision, History, New, Request, Rules, Session
from keys.tables import sessions, used_links

RECENT_S: Final = 60.0  # as far back as `keys.sessions.decide_open` looks
KEPT_AFTER_END_S: Final = 24 * 3600
ADDRESS_KEPT_S: Final = 24 * 3600  # SECURITY T21: after a day only the network of a viewer stays
LISTED_AT_MOST: Final = 1000

_RECORD: Final = tuple(Session.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Seen:
    """A session and all that nodes told about it."""

    session: Session
    last_seen: float
    requests: int
    bytes: int
    media_s: float
    score: int = 0  # how much its viewer looks like a ripper (`keys.ripper`), and why
    signals: dict[str, int] = field(default_factory=dict)
    acted: str = ""  # what was done about it: log, slow, revoke; or lifted
    offline_until: int | None = None  # when the last license for offline use ends; None: none was given

    def to_json(self, now: float) -> dict[str, Any]:
        """The session as `GET /v1/sessions` lists it."""
        shown = {name: getattr(self.session, name) for name in _LISTED}
        return shown | {
            "lid": self.session.link_id,
            "last_seen": self.last_seen,
            "requests": self.requests,
            "bytes": self.bytes,
            "media_s": self.media_s,
            "state": self.session.standing(now),
            "ripper": {"score": self.score, "signals": self.signals, "acted": self.acted},
            "offline_until": self.offline_until,
        }


_LISTED: Final = ("sid", "asset", "generation", "viewer", "client_ip", "opened", "expires", "edge")


class SessionStore:
    """Sessions and the memory of used links."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(
        self, request: Request, rules: Rules, fresh: tuple[str, bytes], link_until: float, now: float
    ) -> tuple[Decision, Session | None]:
        """Decide and carry out in one transaction, alone for this link. `fresh` is (sid, salt) of a new one.

        The session is the new one or the one opened moments ago; None when refused.
        """
        async with self._database.write("link", request.iss, request.link_id) as connection:
            decision = core.decide_open(request, await _history(connection, request, now), rules, now)
            if not isinstance(decision, New):
                return decision, decision.session if isinstance(decision, core.Again) else None
            session = core.session_of(request, decision, *fresh, now)
            await connection.execute(sessions.insert().values(_to_row(session)))
            if request.single_use or request.limits.device:
                link = {"iss": request.iss, "link_id": request.link_id, "until": link_until}
                await self._database.insert_once(connection, used_links, link)
            return decision, session

    async def get(self, sid: str) -> Session | None:
        """The record of a session; None when there is none (any more)."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(sessions).where(sessions.c.sid == sid))).first()
        return _from_row(row) if row else None

    async def bind_offline(self, sid: str, device: str, until: int) -> bool:
        """Notes a license for offline use on this machine; False, and nothing noted, if another has them."""
        own = or_(sessions.c.offline_device.is_(None), sessions.c.offline_device == device)
        noted = update(sessions).where(sessions.c.sid == sid, sessions.c.state == core.LIVE, own)
        async with self._database.write() as connection:
            result = await connection.execute(noted.values(offline_device=device, offline_until=until))
        return result.rowcount == 1

    async def revoke(self, kind: str, value: str) -> int:
        """Mark every live session that a revocation of `kind` concerns; how many."""
        return len(await self._revoke(_concerned(kind, value)))

    async def revoke_asset(self, tenant: str, asset: str, now: float) -> list[Session]:
        """Mark the asset's running sessions as revoked, and say which they were."""
        running = and_(sessions.c.tenant == tenant, sessions.c.asset == asset, sessions.c.expires > now)
        return await self._revoke(running)

    async def revoke_viewer(self, viewer: str, now: float) -> list[Session]:
        """Mark the viewer's running sessions as revoked, and say which they were."""
        return await self._revoke(and_(sessions.c.viewer == viewer, sessions.c.expires > now))

    async def revoke_link(self, iss: str, link_id: str, now: float) -> list[Session]:
        """Mark the running sessions a link opened as revoked, and say which they were."""
        of_link = and_(sessions.c.iss == iss, sessions.c.link_id == link_id)
        return await self._revoke(and_(of_link, sessions.c.expires > now))

    async def _revoke(self, which: ColumnElement[bool]) -> list[Session]:
        mark = update(sessions).where(which, sessions.c.state == core.LIVE).values(state=core.REVOKED)
        async with self._database.write() as connection:
            return [_from_row(row) for row in await connection.execute(mark.returning(sessions))]

    async def add_activity(self, edge: str, told: Mapping[str, Activity]) -> None:
        """Add what a node saw. Unknown sessions are passed over."""
        rows = [
            {
                "of": sid,
                "by": edge,
                "at": seen.at,
                "more_requests": seen.requests,
                "more_bytes": seen.bytes,
                "more_media_s": seen.media_s,
                "more_again_s": seen.again_s,
                "more_held_s": seen.held_s,
                "more_apart_s": seen.apart_s,
                "now_at_s": seen.position_s,
            }
            for sid, seen in sorted(told.items())  # one order for all nodes: no deadlock
        ]
        if rows:
            async with self._database.write() as connection:
                await connection.execute(_ADD_ACTIVITY, rows)

    async def seen_since(self, since: float, viewer: str | None = None) -> list[Seen]:
        """Sessions (of one viewer) active since a time, the latest first, at most LISTED_AT_MOST."""
        of_viewer = [] if viewer is None else [sessions.c.viewer == viewer]
        query = (
            select(sessions)
            .where(sessions.c.last_seen >= since, *of_viewer)
            .order_by(sessions.c.last_seen.desc(), sessions.c.sid)
            .limit(LISTED_AT_MOST)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [_seen(row) for row in rows]

    async def count_since(self, since: float) -> int:
        """How many sessions were active since a time."""
        query = select(func.count()).select_from(sessions).where(sessions.c.last_seen >= since)
        async with self._database.read() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def forget(self, now: float) -> None:
        """Drop records long over and links that verify nowhere; shorten addresses older than a day."""
        async with self._database.write() as connection:
            await connection.execute(delete(sessions).where(sessions.c.expires < now - KEPT_AFTER_END_S))
            await connection.execute(delete(used_links).where(used_links.c.until < now - KEPT_S))
            await connection.execute(
                update(sessions)
                .where(
                    sessions.c.opened < now - ADDRESS_KEPT_S,
                    sessions.c.client_ip != sessions.c.client_network,
                )
                .values(client_ip=sessions.c.client_network)
            )


async def _history(connection: AsyncConnection, request: Request, now: float) -> History:
    recent = await connection.execute(
        select(sessions).where(
            sessions.c.iss == request.iss,
            sessions.c.link_id == request.link_id,
            sessions.c.opened > now - RECENT_S,
        )
    )
    used = await connection.scalar(
        select(exists().where(used_links.c.iss == request.iss, used_links.c.link_id == request.link_id))
    )
    return History(used=bool(used), recent=[_from_row(row) for row in recent])


def _concerned(kind: str, value: str) -> ColumnElement[bool]:
    if kind == EPOCH:
        tenant, second = read_epoch(value)
        return and_(sessions.c.tenant == tenant, sessions.c.opened < second + 1)
    columns: dict[str, ColumnElement[str]] = {
        "sid": sessions.c.sid,
        "lid": sessions.c.link_id,
        "viewer": sessions.c.viewer,
        "asset": sessions.c.asset,
        "kid": sessions.c.iss + "/" + sessions.c.kid,
    }
    return columns[kind] == value


def _to_row(session: Session) -> dict[str, Any]:
    return {name: getattr(session, name) for name in _RECORD} | {"last_seen": session.opened}


def _from_row(row: Row[Any]) -> Session:
    return Session(**{name: getattr(row, name) for name in _RECORD})


def _seen(row: Row[Any]) -> Seen:
    ripper = (row.ripper_score, row.ripper_signals or {}, row.ripper_acted or "")
    return Seen(
        _from_row(row), row.last_seen, row.requests, row.bytes, row.media_s, *ripper, row.offline_until
    )


_ADD_ACTIVITY: Final = (
    update(sessions)
    .where(sessions.c.sid == bindparam("of"))
    .values(
        edge=bindparam("by"),
        last_seen=case((sessions.c.last_seen < bindparam("at"), bindparam("at")), else_=sessions.c.last_seen),
        requests=sessions.c.requests + bindparam("more_requests"),
        bytes=sessions.c.bytes + bindparam("more_bytes"),
        media_s=sessions.c.media_s + bindparam("more_media_s"),
        again_s=sessions.c.again_s + bindparam("more_again_s"),
        held_s=sessions.c.held_s + bindparam("more_held_s"),
        apart_s=sessions.c.apart_s + bindparam("more_apart_s"),
        position_s=func.coalesce(bindparam("now_at_s", type_=Double), sessions.c.position_s),
    )
)
