"""Webhooks and their messages in the catalogue's database: what is to be sent survives every restart.

Events are noted by the database itself, in the transaction that changes an asset; `spread` makes a message
of each for every webhook that asked for it, and takes the event away, in one transaction. A message that is
being sent is claimed until a time, so that of several processes one sends it; who dies in the middle leaves
it to be sent again. So every message arrives at least once, and may arrive twice.
"""

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, delete, select, update

from keys.database import Database
from keys.problems import Problem
from origin.control.sealing import Sealer
from origin.control.tables import asset_events, deliveries, webhooks
from origin.hooks import retrying, signing
from origin.hooks.events import TEST, told
from origin.hooks.sending import Sent

WAITING, DELIVERED, GIVEN_UP = "waiting", "delivered", "given_up"
CLAIMED_S: Final = 60.0  # far longer than an attempt takes
AT_ONCE: Final = 200  # events of one transaction
KEPT_S: Final = 7 * 86_400.0  # messages that are done
MOST: Final = 100  # webhooks


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as it is listed: everything but its secret."""

    id: str
    url: str
    events: tuple[str, ...]
    created: float
    failing_since: float | None
    disabled: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message for one webhook."""

    id: str
    webhook: str
    event: str
    body: str
    created: float
    state: str
    attempts: int
    next_at: float
    status: int
    error: str


class Webhooks:
    """All of them."""

    def __init__(self, database: Database, sealer: Sealer, now: Callable[[], float]) -> None:
        self._database = database
        self._sealer = sealer
        self._now = now

    async def add(self, url: str, events: Sequence[str]) -> tuple[Webhook, str]:
        """A new webhook, and its secret: nobody can be told that again. Problem conflict."""
        made = Webhook(f"whk_{secrets.token_hex(8)}", url, tuple(events), self._now(), None, None, "")
        secret = signing.new_secret()
        row = {name: getattr(made, name) for name in Webhook.__slots__} | {"events": list(events)}
        async with self._database.write("webhooks") as connection:
            if len(list(await connection.scalars(select(webhooks.c.id)))) >= MOST:
                raise Problem("conflict", f"There are {MOST} webhooks already. Remove some of them.")
            sealed = self._sealer.seal(secret, "webhook", made.id)
            await connection.execute(webhooks.insert().values(**row, secret=sealed))
        return made, signing.written(secret)

    async def all(self) -> list[Webhook]:
        """Every webhook, the newest first."""
        query = select(webhooks).order_by(webhooks.c.created.desc(), webhooks.c.id)
        async with self._database.read() as connection:
            return [_webhook(row) for row in await connection.execute(query)]

    async def get(self, id: str) -> Webhook:
        """The webhook. Problem not_found."""
        return _webhook(await self._row(id))

    async def secret(self, id: str) -> bytes:
        """What its messages are signed with. Problem not_found; keys.cipher.BadWrap."""
        return self._sealer.open((await self._row(id)).secret, "webhook", id)

    async def remove(self, id: str) -> None:
        """Take it away with its messages. Problem not_found."""
        async with self._database.write() as connection:
            gone = await connection.execute(delete(webhooks).where(webhooks.c.id == id))
        if not gone.rowcount:
            raise _unknown()

    async def enable(self, id: str) -> Webhook:
        """Let messages go to it again. Those that were given up are not sent any more. Problem not_found."""
        well = {"disabled": None, "failing_since": None, "reason": ""}
        async with self._database.write() as connection:
            await connection.execute(update(webhooks).where(webhooks.c.id == id).values(**well))
        return await self.get(id)

    async def disable(self, id: str, reason: str) -> None:
        """Send it nothing any more, and say why."""
        values = {"disabled": self._now(), "reason": reason}
        still = (webhooks.c.id == id) & webhooks.c.disabled.is_(None)
        waiting = (deliveries.c.webhook == id) & (deliveries.c.state == WAITING)
        async with self._database.write() as connection:
            await connection.execute(update(webhooks).where(still).values(**values))
            await connection.execute(update(deliveries).where(waiting).values(state=GIVEN_UP))

    async def messages(self, id: str, limit: int) -> list[Delivery]:
        """Its latest messages, the newest first."""
        query = select(deliveries).where(deliveries.c.webhook == id)
        query = query.order_by(deliveries.c.created.desc(), deliveries.c.id).limit(limit)
        async with self._database.read() as connection:
            return [_delivery(row) for row in await connection.execute(query)]

    async def test(self, id: str) -> Delivery:
        """A message for it alone, claimed by who asked. Problem not_found."""
        await self.get(id)
        now = self._now()
        row = _row(id, TEST, now, {"webhook": id}) | {"next_at": now + CLAIMED_S}
        async with self._database.write() as connection:
            await connection.execute(deliveries.insert().values(**row))
        return Delivery(**row)

    async def spread(self) -> int:
        """Make messages of the events that came; how many events there were."""
        query = select(asset_events).order_by(asset_events.c.id).limit(AT_ONCE)
        async with self._database.read() as connection:
            if (await connection.execute(query.limit(1))).first() is None:
                return 0
        now = self._now()
        async with self._database.write("webhook events") as connection:
            found = list(await connection.execute(query))
            hooks = list(await connection.execute(select(webhooks).where(webhooks.c.disabled.is_(None))))
            rows = [
                _row(hook.id, event.event, event.at, _data(event)) | {"next_at": now}
                for event in found
                for hook in hooks
                if event.event in hook.events and event.at >= hook.created
            ]
            if rows:
                await connection.execute(deliveries.insert(), rows)
            ids = [event.id for event in found]
            await connection.execute(delete(asset_events).where(asset_events.c.id.in_(ids)))
        return len(found)

    async def claim(self, limit: int, *, failing: bool) -> list[Delivery]:
        """Messages whose time has come, for this process to send: of webhooks that fail, or of the others."""
        now = self._now()
        since = webhooks.c.failing_since
        meant = select(webhooks.c.id).where(since.is_not(None) if failing else since.is_(None))
        due = (
            (deliveries.c.state == WAITING) & (deliveries.c.next_at <= now) & deliveries.c.webhook.in_(meant)
        )
        async with self._database.read() as connection:
            if await connection.scalar(select(deliveries.c.id).where(due).limit(1)) is None:
                return []
        first = select(deliveries.c.id).where(due).order_by(deliveries.c.next_at).limit(limit)
        async with self._database.write("webhook claims") as connection:
            ids = list(await connection.scalars(first))
            mark = update(deliveries).where(deliveries.c.id.in_(ids)).values(next_at=now + CLAIMED_S)
            rows = list(await connection.execute(mark.returning(deliveries)))
        return sorted(map(_delivery, rows), key=lambda each: (each.created, each.id))

    async def attempted(self, message: Delivery, sent: Sent, spread: float) -> Delivery:
        """Note how an attempt went, and disable the webhook when it is time. `spread`: `retrying`."""
        now, attempts = self._now(), message.attempts + 1
        error = sent.error or ("" if retrying.succeeded(sent.status) else retrying.failure(sent.status))
        again = None if not error else retrying.next_attempt(attempts, now, spread)
        if message.event == TEST:
            again = None
        state = DELIVERED if not error else GIVEN_UP if again is None else WAITING
        values = {"attempts": attempts, "status": sent.status, "error": error, "state": state}
        values["next_at"] = again or now
        async with self._database.write() as connection:
            mine = deliveries.c.id == message.id
            await connection.execute(update(deliveries).where(mine).values(**values))
            hook = webhooks.c.id == message.webhook
            if not error:
                well = update(webhooks).where(hook, webhooks.c.failing_since.is_not(None))
                await connection.execute(well.values(failing_since=None))
            else:
                ill = update(webhooks).where(hook, webhooks.c.failing_since.is_(None))
                await connection.execute(ill.values(failing_since=now))
            since = await connection.scalar(select(webhooks.c.failing_since).where(hook))
        over = state == GIVEN_UP or sent.status == retrying.GONE
        counts = error and over and message.event != TEST
        if counts and since is not None and (why := retrying.disabling(sent.status, since, now, error)):
            await self.disable(message.webhook, why)
        fields = {name: getattr(message, name) for name in Delivery.__slots__}
        return Delivery(**fields | values)

    async def forget(self) -> None:
        """Take away messages that have been done for long."""
        old = (deliveries.c.state != WAITING) & (deliveries.c.created < self._now() - KEPT_S)
        async with self._database.write() as connection:
            await connection.execute(delete(deliveries).where(old))

    async def _row(self, id: str) -> Row[Any]:
        async with self._database.read() as connection:
            row = (await connection.execute(select(webhooks).where(webhooks.c.id == id))).one_or_none()
        if row is None:
            raise _unknown()
        return row


def _row(webhook: str, event: str, at: float, data: dict[str, Any]) -> dict[str, Any]:
    id = f"msg_{secrets.token_hex(12)}"
    return {
        "id": id,
        "webhook": webhook,
        "event": event,
        "body": told(id, event, at, data),
        "created": at,
        "state": WAITING,
        "attempts": 0,
        "next_at": at,
        "status": 0,
        "error": "",
    }


def _data(event: Row[Any]) -> dict[str, Any]:
    names: Iterable[str] = ("asset", "title", "state", "error", "generation", "duration")
    return {name: getattr(event, name) for name in names}


def _webhook(row: Row[Any]) -> Webhook:
    values = {name: getattr(row, name) for name in Webhook.__slots__}
    return Webhook(**values | {"events": tuple(values["events"])})


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**{name: getattr(row, name) for name in Delivery.__slots__})


def _unknown() -> Problem:
    return Problem("not_found", "There is no such webhook.")
