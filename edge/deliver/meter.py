"""Bytes of a link's sessions, over all edges: how many are left, and how fast they go out (`keys.limits`).

Counted are the bodies of segments and downloads as they are sent. A budget is taken from in blocks before the
bytes go out, and what was not sent is given back; where it does not last the answer is refused, or a download
that had begun breaks off, visibly short. Speed is one line that all connections of a link queue on, in pieces
of a quarter of a second, so that a slow link looks like a slow network. While the control store is lost each
worker counts on by itself from what it knows.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol, TypeVar

from starlette.types import Message, Send

from edge.deliver.body import BodyBroken
from edge.deliver.counters import Count, ignore
from edge.deliver.pace_ledger import RETRY_S, StoreLost
from keys.derive import enc
from keys.leases import Lease
from keys.limits import Limits
from keys.names import b64url
from keys.problems import Problem

BLOCK: Final = 8 * 1024 * 1024  # bytes taken from a budget at once
LEAST_PIECE: Final = 16 * 1024  # bytes
PIECES_A_SECOND: Final = 4
LONGEST_S: Final = 30.0  # one piece waits; with more connections than that, the last ones break off
MOST_LINKS: Final = 10_000  # one worker remembers

COUNTERS: Final[dict[str, str]] = {
    "budgets_refused": "answers refused or broken off because their link's budget of bytes was spent",
    "meter_store_lost": "times the control store did not answer about a link's bytes",
}

Found = TypeVar("Found")


class MeterStore(Protocol):
    """Where bytes are counted. A method may raise StoreLost, and nothing else."""

    async def spend(self, link: str, size: int, budget: int, known: int, owed: int) -> tuple[bool, int]:
        """Takes `size` bytes (negative: gives back) of a budget; whether it had them, what is spent now.

        `owed` is what the asker spent without the store, `known` all that he knows to be spent: a store that
        forgot goes on from there.
        """
        ...

    async def turn(self, link: str, size: int, speed: int) -> float:
        """Seconds until `size` bytes may go out, booked; -s: not booked, ask again in s seconds."""
        ...


class Meter:
    """The budgets and speeds of the links one worker serves. `alone` counts while `store` is lost."""

    def __init__(
        self,
        store: MeterStore,
        alone: MeterStore,
        *,
        clock: Callable[[], float],
        count: Count = ignore,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        retry_s: float = RETRY_S,
    ) -> None:
        self._store = store
        self._alone = alone
        self._clock = clock
        self._count = count
        self._sleep = sleep
        self._retry_s = retry_s
        self._ask_again_at = float("-inf")
        self._spent: OrderedDict[str, int] = OrderedDict()  # as far as this worker knows
        self._owed: dict[str, int] = {}  # spent while the store was lost

    @asynccontextmanager
    async def measured(self, lease: Lease, send: Send) -> AsyncIterator[Send]:
        """A `send` within the link's budget and speed. Problem limit when the answer may not begin."""
        flow = _Flow(self, link_name(lease), lease.limits, send)
        try:
            yield flow.send
        except BodyBroken as broken:
            if flow.refused is not None and not flow.begun:
                raise flow.refused from broken
            raise
        finally:
            await flow.end()

    async def spend(self, link: str, size: int, budget: int) -> bool:
        """Whether the budget had so many bytes."""
        known, owed = self._spent.get(link, 0), self._owed.pop(link, 0)
        try:
            had, spent = await self._from_store(lambda store: store.spend(link, size, budget, known, owed))
        except StoreLost:
            had = size <= 0 or known + size <= budget
            spent = known + size if had else known
            self._owed[link] = self._owed.get(link, 0) + owed + spent - known
        self._spent[link] = spent
        self._spent.move_to_end(link)
        if len(self._spent) > MOST_LINKS:
            self._owed.pop(self._spent.popitem(last=False)[0], None)
        if not had:
            self._count("budgets_refused", 1)
        return had

    async def wait_for_turn(self, link: str, size: int, speed: int) -> None:
        """Returns when the bytes may go out. Problem unavailable after LONGEST_S."""
        give_up = self._clock() + LONGEST_S
        while (seconds := await self._turn(link, size, speed)) < 0:
            if self._clock() >= give_up:
                raise Problem("unavailable", detail="too many connections for the speed of its link")
            await self._sleep(-seconds)
        if seconds:
            await self._sleep(seconds)

    async def _turn(self, link: str, size: int, speed: int) -> float:
        try:
            return await self._from_store(lambda store: store.turn(link, size, speed))
        except StoreLost:
            return await self._alone.turn(link, size, speed)

    async def _from_store(self, ask: Callable[[MeterStore], Awaitable[Found]]) -> Found:
        """What the store answers. StoreLost when it does not, and for a while after that."""
        if self._clock() < self._ask_again_at:
            raise StoreLost("not asked again yet")
        try:
            return await ask(self._store)
        except StoreLost:
            self._count("meter_store_lost", 1)
            self._ask_again_at = self._clock() + self._retry_s
            raise


class _Flow:
    """One answer on its way."""

    def __init__(self, meter: Meter, link: str, limits: Limits, send: Send) -> None:
        self.begun = False
        self.refused: Problem | None = None
        self._meter = meter
        self._link = link
        self._budget = limits.budget
        self._speed = limits.speed
        self._send = send
        self._in_hand = 0  # bytes taken from the budget and not sent
        self._to_come = 0  # bytes of the body that nothing was taken for

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            lengths = [int(value) for name, value in message["headers"] if name == b"content-length"]
            self._to_come = sum(lengths)
            await self._take(min(1, self._to_come))
            self.begun = True
            await self._send(message)
            return
        body, more = memoryview(message.get("body", b"")), message.get("more_body", False)
        step = max(LEAST_PIECE, self._speed // PIECES_A_SECOND) if self._speed else len(body)
        for at in range(0, len(body), step or 1):
            piece = body[at : at + step]
            await self._take(len(piece))
            self._in_hand -= len(piece)
            if self._speed:
                await self._meter.wait_for_turn(self._link, len(piece), self._speed)
            last = at + step >= len(body)
            await self._send({**message, "body": piece, "more_body": more or not last})
        if not body:
            await self._send(message)

    async def end(self) -> None:
        """Gives back what was not sent."""
        if self._budget is not None and self._in_hand > 0:
            await self._meter.spend(self._link, -self._in_hand, self._budget)

    async def _take(self, size: int) -> None:
        """Has that many bytes in hand. Problem limit when the budget has no more."""
        if self._budget is None or self._in_hand >= size:
            return
        block = max(size - self._in_hand, min(BLOCK, self._to_come))
        if not await self._meter.spend(self._link, block, self._budget):
            self.refused = Problem("limit", limit="budget", detail="its link's budget is spent")
            raise self.refused
        self._in_hand += block
        self._to_come -= block


def link_name(lease: Lease) -> str:
    """The name under which a link is counted. Says nothing of it."""
    return b64url(hashlib.sha256(enc("sluice1 link", lease.iss, lease.lid)).digest()[:16])
