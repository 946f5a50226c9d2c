"""Where each session is in its film, and whether what it takes goes on from there: for the ripper score.

A few integer operations a segment, and bounded memory: the sessions least lately seen are forgotten, and a
rendition of more than NUMBERS segments begins again from bit 0. A worker sees only some of a session's
requests, so a gap forward is the other workers' as far as a player may have come in the time between.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

MOST_SESSIONS: Final = 4096
RENDITIONS: Final = 16  # of one session; those beyond are not remembered
NUMBERS: Final = 1 << 14  # 18 hours of 4 s
NEAR_S: Final = 30.0  # back, without having jumped: players fetch some seconds again
FAR_S: Final = 120.0  # forward, without having jumped, and ON_RATE × the time since
ON_RATE: Final = 3.0


@dataclass(frozen=True, slots=True)
class Step:
    """One segment handed out: where it ends, whether it was had in another rendition, whether it goes on."""

    position_s: float
    again: bool
    apart: bool


@dataclass(slots=True)
class _Course:
    position_s: float
    at: float
    had: dict[str, int] = field(default_factory=dict)  # rendition: bit n is set when it had segment n


class Courses:
    """The courses of the sessions one worker serves."""

    def __init__(self, most: int = MOST_SESSIONS) -> None:
        self._most = most
        self._courses: OrderedDict[str, _Course] = OrderedDict()

    def __len__(self) -> int:
        return len(self._courses)

    def step(self, sid: str, rendition: str, number: int, seconds: float, now: float) -> Step:
        """A session takes segment `number`, of so many seconds, as all of them are."""
        start_s = number * seconds
        course = self._courses.get(sid)
        if course is None:
            course = self._begin(sid, start_s, now)
        else:
            self._courses.move_to_end(sid)
        gap_s = start_s - course.position_s
        apart = gap_s < -NEAR_S or gap_s > FAR_S + ON_RATE * max(0.0, now - course.at)
        course.position_s, course.at = start_s + seconds, now
        return Step(course.position_s, _had_elsewhere(course.had, rendition, number), apart)

    def _begin(self, sid: str, start_s: float, now: float) -> _Course:
        if len(self._courses) >= self._most:
            self._courses.popitem(last=False)
        course = self._courses[sid] = _Course(start_s, now)
        return course


def _had_elsewhere(had: dict[str, int], rendition: str, number: int) -> bool:
    """Notes the segment. What it has in this rendition already is no other quality: somebody went back."""
    bit = 1 << number % NUMBERS
    own = had.get(rendition, 0)
    again = not own & bit and any(bits & bit for bits in had.values())
    if own or len(had) < RENDITIONS:
        had[rendition] = own | bit
    return again
