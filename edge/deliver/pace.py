"""Holds each segment until its viewer's pace allows it: never refused, only slowed.

    with gate.request(bucket, "video", pace, "film:1", 7, 4.0) as grant:
        if not await grant.wait(8):              # held before the first byte
            while not await grant.wait(2): ...   # then a few bytes at a time
Only the first DRIPPING of a bucket get those bytes (`grant.may_drip`): the others are held until they are
granted, and cost nothing but their wait.
Requests of one bucket queue in the worker, and the one that waits longest asks for all of them. What this
worker knows to be paid is granted at once. How a bucket is shared with other workers is for `pace_ledger`,
what a pace allows for `keys.pace`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import islice
from types import TracebackType
from typing import Final, Self

from edge.deliver.counters import Count, ignore
from edge.deliver.pace_ledger import RETRY_S, Ask, Bucket, Ledger, Look, PaceStore
from keys.pace import Charge, Pace
from keys.problems import Problem
from keys.tasks import end_tasks

COUNTERS: Final[dict[str, str]] = {
    "pace_waits": "segments that could not be granted at once",
    "pace_conflicts": "buckets that another worker changed at the same time",
    "pace_store_lost": "times the control store did not answer",
    "pace_data_lost": "times the control store was found to have lost its data",
}

LONGEST_S: Final = 8.0  # between two looks at a bucket somebody waits on
SHORTEST_S: Final = 0.01
DRIPPING: Final = 16  # of one bucket in one worker: more than players ask for at once


class Grant:
    """One segment's permission. Leave the `with` block before it is granted, and nothing is charged."""

    def __init__(self, ask: Ask, lane: "_Lane") -> None:
        self.ask = ask
        self._lane = lane
        self._answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.counted = False  # as one that had to wait

    @property
    def granted(self) -> bool:
        """Whether the segment may be sent at full speed now."""
        return self._answer.done() and not self._answer.cancelled() and self._answer.exception() is None

    async def wait(self, timeout_s: float) -> bool:
        """Whether it was granted within so many seconds. May be asked again. Problem when the gate closed."""
        if not self._answer.done():
            await asyncio.wait((self._answer,), timeout=timeout_s)
        if self._answer.done():
            self._answer.result()
            return True
        return False

    def may_drip(self) -> bool:
        """Whether it is one of the few of its bucket that get some bytes before they are granted."""
        return self._lane.may_drip(self)

    def cancel(self) -> None:
        """The client left. Means nothing once granted."""
        if not self._answer.done():
            self._answer.cancel()
            self._lane.leave(self)

    def answer(self, error: BaseException | None = None) -> None:
        """What the gate says: granted, or the error that ended all waiting."""
        if self._answer.done():
            return
        if error is None:
            self._answer.set_result(None)
        else:
            self._answer.set_exception(error)
            self._answer.exception()  # nobody may be listening, and need not be

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()


class _Lane:
    """One bucket and who waits on it in this worker, first come first. Small: each viewer has some."""

    __slots__ = ("_dripping", "bucket", "changed", "task", "waiting")

    def __init__(self, key: str) -> None:
        self.bucket = Bucket(key)
        self.waiting: list[Grant] = []
        self._dripping: set[Grant] | None = None  # those that get some bytes meanwhile
        self.changed: asyncio.Event | None = None  # of the task: who waits is not as it was at the last look
        self.task: asyncio.Task[None] | None = None

    def asks(self) -> list[Ask]:
        return [grant.ask for grant in self.waiting]

    def join(self, grant: Grant) -> None:
        self.waiting.append(grant)
        if len(self.waiting) == 1 or self.bucket.may_jump(grant.ask.charge):
            self._tell()  # it need not wait behind the first

    def leave(self, grant: Grant) -> None:
        if self.waiting[0] is grant:
            self._tell()
        self._remove(grant)

    def may_drip(self, grant: Grant) -> bool:
        dripping = self._dripping = set() if self._dripping is None else self._dripping
        if grant not in dripping and len(dripping) < DRIPPING and not grant.granted:
            dripping.add(grant)
        return grant in dripping

    def grant(self, look: Look) -> None:
        granted = set(map(id, look.granted))
        for grant in [g for g in self.waiting if id(g.ask) in granted]:
            self._remove(grant)
            grant.answer()

    def abandon(self, error: BaseException) -> None:
        self._dripping = None
        while self.waiting:
            self.waiting.pop().answer(error)

    def _remove(self, grant: Grant) -> None:
        self.waiting.remove(grant)
        if self._dripping is not None:
            self._dripping.discard(grant)
            self._dripping = self._dripping or None

    def _tell(self) -> None:
        if self.changed is not None:
            self.changed.set()


class PaceGate:
    """Every bucket one worker hands out from.

    `now` is wall seconds, `limit` how many buckets it remembers, `retry_s` the pause after a lost store.
    """

    def __init__(
        self,
        store: PaceStore,
        *,
        now: Callable[[], float],
        count: Count = ignore,
        limit: int = 10_000,
        retry_s: float = RETRY_S,
    ) -> None:
        self._ledger = Ledger(store, now, count, retry_s)
        self._count = count
        self._limit = limit
        self._lanes: OrderedDict[str, _Lane] = OrderedDict()
        self._closed = False

    def request(
        self,
        bucket: str,
        media_type: str,
        pace: Pace,
        item: str,
        number: int,
        seconds: float,
        following: Sequence[float] = (),
    ) -> Grant:
        """Asks for segment `number` of `item` ("asset:generation"), `seconds` of media, from a bucket.

        `following` are the seconds of the segments after it: who plays on need not wait for the store then.
        """
        lane = self._lane(f"{media_type}:{bucket}")
        grant = Grant(Ask(pace, Charge(item, number, seconds), following), lane)
        if self._closed:
            grant.answer(Problem("unavailable", detail="the pace gate is closed"))
        elif lane.bucket.has_paid(grant.ask.charge):
            grant.answer()
        else:
            lane.join(grant)
            if lane.task is None:
                lane.task = asyncio.create_task(self._serve(lane))
        return grant

    async def aclose(self) -> None:
        """Ends all waiting: who still waits gets Problem unavailable."""
        self._closed = True
        await end_tasks([lane.task for lane in self._lanes.values() if lane.task is not None])

    def _lane(self, key: str) -> _Lane:
        lane = self._lanes.get(key)
        if lane is None:
            self._forget()
            lane = self._lanes[key] = _Lane(key)
        self._lanes.move_to_end(key)
        return lane

    def _forget(self) -> None:
        """Makes room: the bucket least lately asked for, on which nobody waits."""
        if len(self._lanes) < self._limit:
            return
        for key, lane in islice(self._lanes.items(), 16):
            if lane.task is None:
                del self._lanes[key]
                return

    async def _serve(self, lane: _Lane) -> None:
        """Runs while anybody waits on this bucket."""
        changed = lane.changed = asyncio.Event()
        try:
            while lane.waiting:
                changed.clear()
                look = await self._ledger.look(lane.bucket, lane.asks)
                if look is not None:
                    lane.grant(look)
                    if look.wait_s is not None:  # else who is there came while the bucket was written
                        self._count_waits(lane)
                        await _pause(changed, look.wait_s if lane.waiting else None)
        except asyncio.CancelledError:
            lane.abandon(Problem("unavailable", detail="the pace gate is closed"))
            raise
        except Exception as exc:
            lane.abandon(exc)  # a fault of ours: those who wait must hear of it, or they would wait for ever
        finally:
            lane.task = lane.changed = None

    def _count_waits(self, lane: _Lane) -> None:
        for grant in lane.waiting:
            if not grant.counted:
                grant.counted = True
                self._count("pace_waits", 1)


async def _pause(changed: asyncio.Event, seconds: float | None) -> None:
    if seconds is None:
        return
    try:
        async with asyncio.timeout(min(LONGEST_S, max(SHORTEST_S, seconds))):
            await changed.wait()
    except TimeoutError:
        return
