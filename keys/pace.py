"""How fast may media be handed to one viewer? A bucket of seconds of media for each viewer and media type.

The bucket holds at most `burst_s` and refills at `rate` × real time. A segment number costs its duration
once, in whatever rendition, and is free again. A jump (a number not within NEAR of those handed out lately)
may draw `jump_s` at once from a store of `jumps`, which refills by JUMP_REFILL a second. Nobody is refused:
the answer is "now", or "in so many seconds". What anybody can take in t seconds, in however many sessions,
is therefore at most (SECURITY T1; `jump_s` · JUMP_REFILL is the 0.13 of the README)

    burst_s + jump_s · jumps + (rate + jump_s · JUMP_REFILL) · t    seconds of media

and, where one segment is longer than the whole burst, that excess once. Pure: times are wall seconds of
whichever edge asks; a clock that is set back neither refills nor drains.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, Final

NEAR: Final = 2  # segment numbers: players skip one, or ask one again, without having jumped
RECENT: Final = 8  # numbers remembered as handed out lately: video of a few parallel sessions
ITEMS: Final = 32  # assets whose paid numbers are remembered; an older one is paid again
AHEAD: Final = 3  # segments paid for before they are asked for, while there is plenty
JUMP_REFILL: Final = 0.13 / 8  # jumps a second: about one a minute
MAX_NUMBER: Final = 1 << 17  # segment numbers: six days of 4 s
SKEW: Final = 30.0  # s: edges further apart than this have stopped serving (F24)
MAX: Final = 1e6


@dataclass(frozen=True, slots=True)
class Pace:
    """The pace of one asset or link. ValueError for a pace at which nobody could watch."""

    burst_s: float = 300.0  # seconds of media at once
    rate: float = 2.0  # × real time
    jump_s: float = 8.0  # seconds of media for each jump
    jumps: float = 10.0  # jumps in store

    def __post_init__(self) -> None:
        values = (self.burst_s, self.rate, self.jump_s, self.jumps)
        if not all(_is_number(value) and 0 <= value <= MAX for value in values) or self.rate < 0.1:
            raise ValueError("a pace is of numbers from 0, its rate from 0.1")

    def to_json(self) -> dict[str, float]:
        """As it stands in a lease: `burst_s`, `rate`, `jump_s`, `jumps`."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Pace":
        """The pace that `to_json` wrote; what is missing is the default. ValueError or TypeError if none."""
        return _one(cls(**found))

    def overridden(self, found: Mapping[str, Any] | None) -> "Pace":
        """This pace with the fields another one (a link's) sets. ValueError or TypeError as above."""
        return replace(self, **found) if found else self

    def cautious(self) -> "Pace":
        """What is allowed while nobody knows what was handed out elsewhere: real time, no burst, no jumps."""
        return Pace(burst_s=0.0, rate=min(1.0, self.rate), jump_s=0.0, jumps=0.0)


@lru_cache(1024)
def _one(pace: Pace) -> Pace:
    """One object for all that are equal: every session of an asset has the same."""
    return pace


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True, slots=True)
class PaceState:
    """One bucket. `item` is what a number belongs to: `asset:generation`."""

    level: float  # seconds of media to hand out at once; below 0 after a segment longer than the burst
    stamp: float  # when `level` and `jumps` were right, seconds since the epoch
    jumps: float  # jumps in store
    recent: tuple[tuple[str, int], ...] = ()  # (item, number), latest last
    paid: Mapping[str, int] = field(
        default_factory=dict
    )  # item → bit n set when number n is paid; latest last

    @classmethod
    def full(cls, pace: Pace, now: float) -> "PaceState":
        """The bucket of a viewer never seen before."""
        return cls(pace.burst_s, now, pace.jumps)

    @classmethod
    def empty(cls, now: float) -> "PaceState":
        """The bucket of a viewer of whom nothing is known, though he may have taken his burst."""
        return cls(0.0, now, 0.0)

    def has_paid(self, item: str, number: int) -> bool:
        """Whether this number is free."""
        return bool(self.paid.get(item, 0) >> number & 1)

    def is_jump(self, item: str, number: int) -> bool:
        """Whether this number is not where the viewer was lately."""
        return not any(item == i and abs(number - n) <= NEAR for i, n in self.recent)

    def drained(self, now: float) -> "PaceState":
        """The same knowledge of what was paid, without what is left to spend."""
        return replace(self, level=min(self.level, 0.0), stamp=now, jumps=0.0)


@dataclass(frozen=True, slots=True)
class Granted:
    """Hand it out now, and keep `state`: the same object when the number was free."""

    state: PaceState


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again in `seconds`. Nothing is charged: a viewer who leaves owes nothing."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Charge:
    """A segment handed out: `seconds` of media, number `number` of `item`."""

    item: str
    number: int
    seconds: float


def take(state: PaceState, pace: Pace, charge: Charge, now: float) -> Granted | Wait:
    """May this segment be handed out at `now`? ValueError for a number no asset has."""
    if not 0 <= charge.number < MAX_NUMBER:
        raise ValueError("no such segment number")
    if state.has_paid(charge.item, charge.number):
        return Granted(state)
    ready = refilled(state, pace, now)
    need = min(charge.seconds, pace.burst_s)  # a segment longer than the burst is given from a full bucket
    # Also where what is left would pay for this segment and not for the next: a seek gives `jump_s` at once.
    draws = (
        ready.jumps >= 1
        and ready.level < max(need, pace.jump_s)
        and ready.is_jump(charge.item, charge.number)
    )
    level = ready.level + pace.jump_s * draws
    if level >= need:
        return Granted(_paid(replace(ready, jumps=ready.jumps - draws), level - charge.seconds, charge))
    behind = max(0.0, ready.stamp - now)  # another edge's clock is ahead of ours
    return Wait(behind + (need - level) / pace.rate)


def paid_ahead(state: PaceState, pace: Pace, charge: Charge, following: Sequence[float]) -> PaceState:
    """The bucket after a granted segment, with those that follow it paid too: at most AHEAD of them, of so
    many seconds each, and only from the upper half of the burst.

    Who plays on finds them free, and nobody need look into the bucket for them. They cost what they would
    cost anyway: what can be taken in t seconds stays the same.
    """
    level, number, bits = state.level, charge.number, state.paid.get(charge.item, 0)
    for seconds in following[:AHEAD]:
        if number + 1 >= MAX_NUMBER or level - seconds < pace.burst_s / 2:
            break
        number += 1
        if not bits >> number & 1:
            level -= seconds
            bits |= 1 << number
    if level == state.level:
        return state
    recent = (*state.recent, (charge.item, number))[-RECENT:]
    return replace(state, level=level, recent=recent, paid={**state.paid, charge.item: bits})


def refilled(state: PaceState, pace: Pace, now: float) -> PaceState:
    """The bucket at `now`: never less than it was, never more than `rate` × the time since."""
    elapsed = now - state.stamp
    if -SKEW <= elapsed < 0:
        return state
    elapsed = max(0.0, elapsed)  # the clock was set back: start from here
    level = min(state.level, max(pace.burst_s, pace.jump_s))  # what a jump drew may stand above a small burst
    if level < pace.burst_s:
        level = min(pace.burst_s, level + pace.rate * elapsed)
    return replace(state, level=level, stamp=now, jumps=min(pace.jumps, state.jumps + elapsed * JUMP_REFILL))


def settle(state: PaceState, pace: Pace, charges: Iterable[Charge], now: float) -> PaceState:
    """The bucket after segments that were handed out without asking it, while it could not be reached.

    They cost what is there and leave no debt: a viewer who watched on at real time must not stall for it now.
    """
    ready = refilled(state, pace, now)
    floor = min(ready.level, 0.0)
    for charge in charges:
        if not ready.has_paid(charge.item, charge.number):
            ready = _paid(ready, max(floor, ready.level - charge.seconds), charge)
    return ready


def _paid(state: PaceState, level: float, charge: Charge) -> PaceState:
    paid = dict(state.paid)
    paid[charge.item] = paid.pop(charge.item, 0) | 1 << charge.number  # latest last
    while len(paid) > ITEMS:
        del paid[next(iter(paid))]
    recent = (*state.recent, (charge.item, charge.number))[-RECENT:]
    return replace(state, level=level, recent=recent, paid=paid)
