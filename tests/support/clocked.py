"""Viewers on a clock of their own: players and rippers at one real pace bucket, and what edges tell of them.

Each asks for one segment after the other, waits for `keys.pace`, and is told of as `edge.deliver` does it.
"""

import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from edge.deliver.course import Courses
from edge.deliver.pace_ledger import Ask, decide
from keys.pace import Charge, Pace, PaceState
from keys.ripper import Course, Verdict, judge

NOW: Final = 1_800_000_000.0
SEGMENT_S: Final = 4.0
LOOK_S: Final = 30.0
FETCH_S: Final = 0.05  # a segment takes this long to come

Wish = tuple[str, int]  # rendition, segment number


class Taker(Protocol):
    """Who takes segments, one at a time."""

    def next(self, now: float) -> Wish | float | None:
        """The segment it wants now; or for how long it wants none; None when it is done."""
        ...

    def got(self, number: int) -> None:
        """The segment it wanted is there."""
        ...


@dataclass
class Told:
    """What edges tell of one session."""

    sid: str
    asset: str
    opened: float
    last_seen: float
    media_s: float = 0.0
    again_s: float = 0.0
    held_s: float = 0.0
    apart_s: float = 0.0
    position_s: float | None = None

    def course(self) -> Course:
        return Course(**vars(self))


@dataclass
class Waiting:
    """One taker's request, as the bucket's queue has it."""

    taker: int
    wish: Wish
    ask: Ask
    noted: float  # until when its waiting was told


@dataclass
class Bucket:
    """One viewer: all that his sessions take comes out of one bucket, first come first."""

    pace: Pace = field(default_factory=Pace)
    now: float = NOW
    sessions: list[Told] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._state = PaceState.full(self.pace, self.now)
        self._courses = Courses()
        self._turns: list[tuple[float, int]] = []  # when which taker asks
        self._takers: list[tuple[Told, Taker]] = []
        self._queue: list[Waiting] = []
        self._look_at = math.inf

    def open(self, asset: str, takers: Iterable[Taker]) -> Told:
        """One more session, from which these take."""
        told = Told(f"session-{len(self.sessions)}", asset, self.now, self.now)
        self.sessions.append(told)
        for taker in takers:
            heapq.heappush(self._turns, (self.now, len(self._takers)))
            self._takers.append((told, taker))
        return told

    def run(self, for_s: float) -> list[Verdict]:
        """Lets time pass; the verdict every LOOK_S."""
        end, verdicts = self.now + for_s, []
        while self.now < end:
            until = min(end, self.now + LOOK_S)
            while (at := min(self._look_at, self._turns[0][0] if self._turns else math.inf)) <= until:
                self.now = at
                while self._turns and self._turns[0][0] <= at:
                    self._asks(heapq.heappop(self._turns)[1])
                self._look()
            self.now = until
            self._note_waiting()
            verdicts.append(judge([told.course() for told in self.sessions], self.now))
        return verdicts

    def _asks(self, number: int) -> None:
        told, taker = self._takers[number]
        wish = taker.next(self.now)
        if isinstance(wish, tuple):
            charge = Charge(f"{told.asset}:1", wish[1], SEGMENT_S)
            self._queue.append(Waiting(number, wish, Ask(self.pace, charge), self.now))
        elif wish is not None:
            heapq.heappush(self._turns, (self.now + wish, number))

    def _look(self) -> None:
        self._note_waiting()
        for waiting in list(self._queue):  # who wants something else now has left, and asks anew
            if self._takers[waiting.taker][1].next(self.now) != waiting.wish:
                self._queue.remove(waiting)
                self._asks(waiting.taker)
        look = decide(self._state, [waiting.ask for waiting in self._queue], self.now)
        granted = set(map(id, look.granted))
        self._state = look.state
        for waiting in [one for one in self._queue if id(one.ask) in granted]:
            self._queue.remove(waiting)
            self._give(waiting)
        self._look_at = math.inf if look.wait_s is None else self.now + min(8.0, look.wait_s + 0.01)

    def _note_waiting(self) -> None:
        for waiting in self._queue:
            told = self._takers[waiting.taker][0]
            told.held_s += self.now - waiting.noted
            waiting.noted = told.last_seen = self.now

    def _give(self, waiting: Waiting) -> None:
        told, taker = self._takers[waiting.taker]
        step = self._courses.step(told.sid, *waiting.wish, SEGMENT_S, self.now)
        told.last_seen = self.now
        told.media_s += SEGMENT_S
        told.again_s += SEGMENT_S * step.again
        told.apart_s += SEGMENT_S * step.apart
        told.position_s = step.position_s
        taker.got(waiting.wish[1])
        heapq.heappush(self._turns, (self.now + FETCH_S, waiting.taker))


@dataclass
class Player:
    """Somebody who watches: `rate` × real time, with at most `buffer_s` fetched ahead.

    At each of `seeks` (seconds from now on, place) he goes there; at each of `switches` his player throws
    away what it fetched ahead, and takes it anew in the next of his renditions.
    """

    rate: float = 1.0
    buffer_s: float = 30.0
    film_s: float = 7200.0
    seeks: Sequence[tuple[float, float]] = ()
    switches: Sequence[float] = ()
    renditions: Sequence[str] = ("720p", "480p", "240p")
    began: float = NOW

    def __post_init__(self) -> None:
        self._at = self._ahead = 0.0  # where he watches, and until where it was fetched
        self._when = self.began
        self._events = sorted([*((t, place) for t, place in self.seeks), *((t, None) for t in self.switches)],
                              key=lambda event: event[0])  # fmt: skip
        self._switched = 0

    def next(self, now: float) -> Wish | float | None:
        self._at = min(self._ahead, self._at + self.rate * (now - self._when))
        self._when = now
        while self._events and self.began + self._events[0][0] <= now:
            _, place = self._events.pop(0)
            if place is None:
                self._switched += 1
            else:
                self._at = min(place, self.film_s - SEGMENT_S) // SEGMENT_S * SEGMENT_S
            self._ahead = self._at // SEGMENT_S * SEGMENT_S
        if self._ahead >= self.film_s or self._ahead - self._at + SEGMENT_S > self.buffer_s:
            return 0.5 if self._at < self.film_s - 1 else None
        return self.renditions[self._switched % len(self.renditions)], int(self._ahead / SEGMENT_S)

    def got(self, number: int) -> None:
        self._ahead = (number + 1) * SEGMENT_S


@dataclass
class Ripper:
    """Takes a list of segments, as fast as it gets them."""

    wishes: Sequence[Wish]

    def __post_init__(self) -> None:
        self._next = 0

    def next(self, now: float) -> Wish | float | None:
        return self.wishes[self._next] if self._next < len(self.wishes) else None

    def got(self, number: int) -> None:
        self._next += 1


Plan = Callable[[int, int, int], Sequence[int]]  # of which of how many takers, of a film of so many segments


def in_turns(which: int, of: int, segments: int) -> Sequence[int]:
    """Every taker takes the next that nobody has."""
    return range(which, segments, of)


def in_parts(which: int, of: int, segments: int) -> Sequence[int]:
    """Every taker takes a part of the film."""
    return range(segments * which // of, segments * (which + 1) // of)


def rip(
    bucket: Bucket,
    *,
    sessions: int,
    connections: int,
    renditions: Sequence[str] = ("720p",),
    plan: Plan = in_turns,
    segments: int = 1800,
) -> None:
    """Opens the sessions of a ripper who takes a whole film in these renditions."""
    for session in range(sessions):
        takers = []
        for connection in range(connections):
            numbers = plan(session * connections + connection, sessions * connections, segments)
            takers.append(Ripper([(rendition, number) for number in numbers for rendition in renditions]))
        bucket.open("film", takers)
