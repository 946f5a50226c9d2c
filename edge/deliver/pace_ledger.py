"""One viewer's bucket as all workers and edges share it: look, decide, write back if nobody else did.

Buckets live in a store changed by compare-and-set. What this worker last saw of one is kept beside it, for
three troubles. The store does not answer: what is known here counts, at real time and with no burst, and
what was handed out meanwhile is settled later. The store has gone back to an older value: the newer one
seen here counts. The store has forgotten everything (its marker is gone): each bucket starts empty at the
moment that was noticed, for whoever comes next may have taken his burst already.
"""

import asyncio
import os
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from edge.deliver.counters import Count
from keys.pace import SKEW, Charge, Granted, Pace, PaceState, paid_ahead, settle, take
from keys.pace_bytes import decode, encode

KEEP_S: Final = 12 * 3600  # a bucket is full again long before; what it says is paid is worth keeping
MARKER: Final = "marker"  # the key of a value that vanishes with the store's data
MARKER_S: Final = 365 * 86_400
RETRY_S: Final = 1.0  # between questions to a store that did not answer
TRIES: Final = 8  # against other workers' changes, before a pause

_MARKER = struct.Struct(">d8s")  # when data was lost, 0 for never; random bytes


class StoreLost(Exception):
    """The store did not answer in time, or not at all."""


class PaceStore(Protocol):
    """Where buckets live. A method may raise StoreLost, and nothing else."""

    async def load(self, key: str) -> bytes | None:
        """The value under this key, None when there is none."""
        ...

    async def swap(self, key: str, old: bytes | None, new: bytes, ttl_s: int) -> bool:
        """Puts `new` there for `ttl_s` seconds if `old` is there (None: nothing); whether it did."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """A request for one segment. `following`: seconds of those after it, which may be paid for ahead."""

    pace: Pace
    charge: Charge
    following: Sequence[float] = ()


@dataclass(slots=True)
class Bucket:
    """One bucket as this worker knows it."""

    key: str
    known: PaceState | None = None  # as the store last had it
    value: bytes | None = None  # the same, as the bytes that stand there unless another changed them since
    alone: PaceState | None = None  # as this worker carries on without the store
    unsettled: list[Charge] = field(default_factory=list)  # handed out without the store

    def has_paid(self, charge: Charge) -> bool:
        """Whether this worker knows the segment to be free."""
        states = (self.known, self.alone)
        return any(s is not None and s.has_paid(charge.item, charge.number) for s in states)

    def may_jump(self, charge: Charge) -> bool:
        """Whether the segment may draw on the jumps in store."""
        known = self.known
        return known is None or (known.jumps >= 1 and known.is_jump(charge.item, charge.number))


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a bucket gave: whom to grant, and when to look again (None: nobody waits)."""

    state: PaceState
    granted: tuple[Ask, ...]
    wait_s: float | None


def decide(state: PaceState, asks: Sequence[Ask], now: float, *, cautious: bool = False) -> Look:
    """Grants in order. Behind one that must wait, only what is paid and what is a jump may pass."""
    granted: list[Ask] = []
    wait_s: float | None = None
    for ask in asks:
        item, number = ask.charge.item, ask.charge.number
        if wait_s is not None and not (state.has_paid(item, number) or state.is_jump(item, number)):
            continue
        answer = take(state, ask.pace.cautious() if cautious else ask.pace, ask.charge, now)
        if isinstance(answer, Granted):
            state = answer.state
            granted.append(ask)
            if ask.following and not cautious:
                state = paid_ahead(state, ask.pace, ask.charge, ask.following)
        else:
            wait_s = answer.seconds if wait_s is None else min(wait_s, answer.seconds)
    return Look(state, tuple(granted), wait_s)


class Ledger:
    """The buckets of a store, as one worker reads and writes them. `now` is wall seconds."""

    def __init__(self, store: PaceStore, now: Callable[[], float], count: Count, retry_s: float) -> None:
        self._store = store
        self._now = now
        self._count = count
        self._retry_s = retry_s
        self._marker: bytes | None = None
        self._ask_again_at = 0.0  # loop time

    async def look(self, bucket: Bucket, asks: Callable[[], Sequence[Ask]]) -> Look | None:
        """Decides on those who wait by then, and writes what they cost. None: look again if anybody waits."""
        clock = asyncio.get_running_loop().time
        if clock() >= self._ask_again_at:
            try:
                return await self._look_in_store(bucket, asks)
            except StoreLost:
                self._count("pace_store_lost", 1)
                self._ask_again_at = clock() + self._retry_s
        return self._look_alone(bucket, asks(), self._ask_again_at - clock())

    async def _look_in_store(self, bucket: Bucket, asks: Callable[[], Sequence[Ask]]) -> Look | None:
        """One round trip where nobody else changed the bucket: what this worker wrote last is its `old`."""
        for attempt in range(TRIES):
            guessed = attempt == 0 and bucket.value is not None
            old = bucket.value if guessed else await self._store.load(bucket.key)
            lost_at = 0.0 if old is not None else await self._lost_at()
            waiting = asks()  # whoever left until here is not charged
            if not waiting:
                return None
            state = self._state(bucket, old, lost_at, waiting[0].pace)
            found = decide(state, waiting, self._now())
            new = encode(found.state)
            if (new == old and not guessed) or await self._store.swap(bucket.key, old, new, KEEP_S):
                bucket.known, bucket.value = found.state, new
                bucket.alone, bucket.unsettled = None, []
                return found
            if not guessed:
                self._count("pace_conflicts", 1)
        await asyncio.sleep(random.uniform(0.0, 0.05))
        return None

    def _state(self, bucket: Bucket, old: bytes | None, lost_at: float, pace: Pace) -> PaceState:
        now, known = self._now(), bucket.known
        if old is not None:
            # What this worker wrote or read last, it need not read again: the store compares the bytes.
            state = known if known is not None and old is bucket.value else decode(old, now)
            if known is not None and state.stamp < known.stamp <= now + SKEW:
                state = known
        elif known is not None:
            state = known.drained(now)
        else:
            state = PaceState.empty(lost_at) if lost_at else PaceState.full(pace, now)
        return settle(state, pace, bucket.unsettled, now) if bucket.unsettled else state

    async def _lost_at(self) -> float:
        """When the store last lost its data, as far as anybody noticed; 0 for never."""
        found = await self._store.load(MARKER)
        # Gone, or made anew by somebody who could not know? (The first worker of all finds none either.)
        if found is None or (self._marker not in (None, found) and not _lost(found)):
            found = await self._mark(found, 0.0 if self._marker is None else self._now())
        elif self._marker is None:
            await self._store.swap(MARKER, found, found, MARKER_S)  # it lives on as long as workers start
        self._marker = found
        return _lost(found)

    async def _mark(self, found: bytes | None, lost_at: float) -> bytes:
        """The marker after we, or somebody faster, made a new one."""
        made = _MARKER.pack(lost_at, os.urandom(8))
        if await self._store.swap(MARKER, found, made, MARKER_S):
            if lost_at:
                self._count("pace_data_lost", 1)
            return made
        found = await self._store.load(MARKER)
        if found is None:
            raise StoreLost("the marker does not stay")
        return found

    def _look_alone(self, bucket: Bucket, waiting: Sequence[Ask], retry_s: float) -> Look:
        now = self._now()
        state = bucket.alone or (bucket.known.drained(now) if bucket.known else PaceState.empty(now))
        found = decide(state, waiting, now, cautious=True)
        bucket.alone = found.state
        bucket.unsettled += [ask.charge for ask in found.granted]
        wait_s = None if found.wait_s is None else min(found.wait_s, max(0.0, retry_s))
        return Look(found.state, found.granted, wait_s)


def _lost(marker: bytes) -> float:
    """The time in a marker; an altered one means nothing was lost, which its change itself will show."""
    lost_at: float = _MARKER.unpack(marker)[0] if len(marker) == _MARKER.size else 0.0
    return lost_at if lost_at > 0 else 0.0
