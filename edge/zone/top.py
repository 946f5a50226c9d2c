"""What is asked for most, in bounded memory: an object with more than its share is never missed. Pure.

Misra and Gries' counters (1982), thinned out many at a time: what is new gets a counter; when there are twice
as many as wanted, all are lowered by what all but the `size` largest have, and those at nothing go. Each
lowering takes as much from more than `size` objects at once, so after a weight of W in all no object was ever
counted more than W / (size + 1) too low, and none with more than that is missing. Adding costs a look into
a dictionary; thinning out is rare, as it frees half of the counters.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

SIZE: Final = 128  # objects that are surely known: whoever has more than 1 in 129 of all


class Weighed(NamedTuple):
    """An object and what it weighs: at least `least`, and at most `least + off`."""

    name: str
    least: int
    off: int


class Top:
    """The heaviest objects of those that were added."""

    __slots__ = ("_counters", "_most", "_size", "lowered", "total")

    def __init__(self, size: int = SIZE) -> None:
        self._size, self._most = size, 2 * size
        self._counters: dict[str, int] = {}
        self.lowered = 0  # by so much at most a counter is too low
        self.total = 0  # what was added in all

    def add(self, name: str, weight: int = 1) -> None:
        """This object weighs so much more. Nothing or less changes nothing."""
        if weight <= 0:
            return
        counters = self._counters
        self.total += weight
        counters[name] = counters.get(name, 0) + weight
        if len(counters) > self._most:
            self._thin_out()

    def heaviest(self, count: int) -> list[Weighed]:
        """So many at most, the heaviest first."""
        found = sorted(self._counters.items(), key=lambda each: (-each[1], each[0]))[:count]
        return [Weighed(name, weight, self.lowered) for name, weight in found]

    def _thin_out(self) -> None:
        by = sorted(self._counters.values(), reverse=True)[self._size]
        self._counters = {name: weight - by for name, weight in self._counters.items() if weight > by}
        self.lowered += by


class Lately:
    """The heaviest objects of a while: two halves, of which the older goes when the newer is full of time."""

    __slots__ = ("_began", "_half_s", "_past", "now")

    def __init__(self, half_s: float, now: float) -> None:
        """Knows what was added in the last `half_s` seconds to twice as many."""
        self._half_s, self._began = half_s, now
        self.now, self._past = Top(), Top()

    def turn(self, now: float) -> None:
        """It is now `now`. Call it now and then: adding does not look at a clock."""
        gone = int((now - self._began) // self._half_s)
        if gone <= 0:
            return
        self._past = self.now if gone == 1 else Top()
        self.now = Top()
        self._began += gone * self._half_s

    def heaviest(self, count: int) -> list[Weighed]:
        """So many at most, the heaviest first."""
        return merged([self._past.heaviest(2 * SIZE), self.now.heaviest(2 * SIZE)], count)

    @property
    def total(self) -> int:
        """What was added in that time."""
        return self._past.total + self.now.total


def merged(tops: Iterable[Iterable[Weighed]], count: int) -> list[Weighed]:
    """The heaviest of several, as of several workers. What one does not name it may still have seen:
    a weight is at least what is said, and may be more by what all of them are off.
    """
    weights: dict[str, int] = {}
    off = 0
    for top in tops:
        worst = 0
        for name, least, each_off in top:
            weights[name] = weights.get(name, 0) + least
            worst = max(worst, each_off)
        off += worst
    found = sorted(weights.items(), key=lambda each: (-each[1], each[0]))[:count]
    return [Weighed(name, least, off) for name, least in found]
