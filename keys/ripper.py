"""Does a viewer watch, or take a film away? A score from what edges told of his sessions, and why.

Pace bounds what anybody gets (`keys.pace`); this says who stays at that bound as no player does. Signals,
each from 0 to its weight, add up to a score of 0 to 100:

    ahead       more media than BUFFER_S and the clock since a session of his opened: up to double speed, or
                a large buffer, gives all of this, so it never suffices
    parallel    more than PLAYER_WAITS requests of one session wait for pace at any moment
    renditions  the same seconds in three renditions or more
    sessions    more sessions in use at once than he has devices
    apart       one session that takes from here and there in turns, or sessions at more places than devices
    unbroken    ahead, for a quarter of an hour of media, and never a seek

Who takes one rendition in order, one segment after the other, at double speed looks like somebody who
watches so with a large buffer: he scores `ahead` and `unbroken`, and is left to pace. Pure; times are seconds
since the epoch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

WEIGHTS: Final[dict[str, int]] = {
    "ahead": 25,
    "parallel": 35,
    "renditions": 35,
    "sessions": 40,
    "apart": 35,
    "unbroken": 10,
}
THRESHOLD: Final = 60  # who watches stays below 50
DEVICES: Final = 2  # of one viewer, in use at once

BUFFER_S: Final = 600.0  # the most that browsers' players hold
SHORTEST_S: Final = 60.0  # of a clock: what happened in less says little
PLAYER_WAITS: Final = 2.0  # a player asks for one segment, and perhaps the one after it
TRIED_S: Final = 2000.0  # somebody tries each quality, and his player fetches its buffer anew for each
UNBROKEN_S: Final = 900.0
PLACE_S: Final = 120.0  # sessions nearer to each other than this are at one place
RUNNING_S: Final = 60.0  # a session that asked for something within this time is in use


@dataclass(frozen=True, slots=True)
class Course:
    """What edges told of one session. Seconds are of media, but for `held_s`: of waiting for pace, summed."""

    sid: str
    asset: str
    opened: float
    last_seen: float
    media_s: float  # handed out in all
    again_s: float  # of it, what it had before in another rendition
    held_s: float  # of all its requests together: two that wait for a second are two seconds
    apart_s: float  # of media_s, what did not go on from where it was: after a seek, or from another place
    position_s: float | None  # where in the film it is

    @property
    def once_s(self) -> float:
        """Seconds of the film it has."""
        return max(0.0, self.media_s - self.again_s)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The score, 0 to 100, and the points of each signal that gave any."""

    score: int
    signals: dict[str, int] = field(default_factory=dict)


def judge(courses: Sequence[Course], now: float, devices: int = DEVICES) -> Verdict:
    """The verdict on a viewer with these sessions, running or lately so. `devices` he may use at once."""
    taking = [course for course in courses if course.media_s > 0]
    running = [course for course in taking if now - course.last_seen <= RUNNING_S]
    at_once = _most_at_once(running)
    ahead = _ahead(taking, now)
    found = {
        "ahead": ahead,
        "parallel": max(map(_parallel, running), default=0.0),
        "renditions": _renditions(taking),
        "sessions": _above(at_once, devices),
        "apart": max(_apart(running), _above(min(_places(running), at_once), devices)),
        "unbroken": float(ahead > 0 and _unbroken(taking)),
    }
    points = {name: round(WEIGHTS[name] * share) for name, share in found.items()}
    return Verdict(min(100, sum(points.values())), {name: n for name, n in points.items() if n})


def _share(value: float, none: float, full: float) -> float:
    """0 up to `none`, 1 from `full`, in a straight line between."""
    return min(1.0, max(0.0, (value - none) / (full - none)))


def _above(count: int, allowed: int) -> float:
    """One more may be a page left open; two more are not."""
    return min(1.0, max(0, count - allowed) ** 2 / 4)


def _ahead(courses: Iterable[Course], now: float) -> float:
    """Since whichever opening it is worst for: an idle session opened early excuses nothing."""
    worst = once_s = 0.0
    for course in sorted(courses, key=lambda course: -course.opened):
        once_s += course.once_s
        clock_s = max(SHORTEST_S, now - course.opened)
        worst = max(worst, _share((once_s - BUFFER_S) / clock_s, 1.0, 1.5))
    return worst


def _parallel(course: Course) -> float:
    waits = course.held_s / max(SHORTEST_S, course.last_seen - course.opened)
    return _share(waits, PLAYER_WAITS, PLAYER_WAITS + 1.25)


def _renditions(courses: Iterable[Course]) -> float:
    again_s = once_s = 0.0
    for course in courses:
        again_s += course.again_s
        once_s += course.once_s
    return min(_share(again_s, TRIED_S, 1.5 * TRIED_S), _share(again_s / max(1.0, once_s), 1.25, 1.8))


def _apart(courses: Iterable[Course]) -> float:
    """Within one session: whoever seeks watches where he arrives, for a while."""
    shares = (course.apart_s / course.media_s for course in courses if course.media_s >= BUFFER_S / 2)
    return max((_share(share, 0.35, 0.7) for share in shares), default=0.0)


def _unbroken(courses: Iterable[Course]) -> bool:
    courses = list(courses)
    return sum(c.once_s for c in courses) >= UNBROKEN_S and not any(c.apart_s for c in courses)


def _most_at_once(courses: Iterable[Course]) -> int:
    """How many were in use at one moment. Who goes from film to film leaves each for the next."""
    moments = sorted(moment for course in courses for moment in ((course.opened, 1), (course.last_seen, -1)))
    most = now = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most


def _places(courses: Iterable[Course]) -> int:
    places = 0
    before: tuple[str, float] | None = None
    found = sorted((course.asset, course.position_s) for course in courses if course.position_s is not None)
    for asset, position_s in found:
        if before is None or asset != before[0] or position_s - before[1] > PLACE_S:
            places += 1
        before = (asset, position_s)
    return places
