"""What time it is at keys, and how far this node's wall clock is off it (SECURITY F24, T23).

Every answer of the revocation feed says keys' time; between two of them it is carried on by the monotonic
clock, so a wall clock that jumps is noticed at the next look, not at the next answer. Tokens are checked by
wall time. With a clock too far off they cannot be judged: no session begins here, and health says why. What
edges share (pace, the proofs of who they are) goes by keys' time, so that one wrong clock harms nobody else.
"""

import logging
from collections.abc import Callable
from typing import Final

from keys.problems import Problem

ALARM_S: Final = 5.0
MOST_S: Final = 30.0  # beyond it no session begins

log = logging.getLogger("sluice.edge.clock")


class KeysClock:
    """Keys' time as this worker knows it. `now` is wall time, `clock` monotonic, both in seconds."""

    def __init__(self, now: Callable[[], float], clock: Callable[[], float]) -> None:
        self._now = now
        self._clock = clock
        self._offset: float | None = None  # keys' time less the monotonic clock
        self._alarmed = False

    def heard(self, keys_now: float) -> None:
        """Keys said its time just now. A clock that is off is logged when it begins and when it ends."""
        self._offset = keys_now - self._clock()
        off = abs(self.skew_s()) > ALARM_S
        if off != self._alarmed:
            self._alarmed = off
            words = self.missing() or "this node's clock agrees with keys again"
            log.log(logging.ERROR if off else logging.INFO, "%s", words)

    def time(self) -> float:
        """Keys' time, seconds since the epoch; this node's own until keys was heard."""
        return self._now() if self._offset is None else self._offset + self._clock()

    def skew_s(self) -> float:
        """How many seconds this node's clock is ahead of keys; 0 until keys was heard."""
        return self._now() - self.time()

    def may_open(self) -> None:
        """Problem unavailable while the clock is too far off for a session to begin."""
        if abs(self.skew_s()) > MOST_S:
            raise Problem("unavailable", "Try again in a moment.", detail=self.missing() or "")

    def missing(self) -> str | None:
        """For health: how far the clock is off, or None."""
        return self._off(ALARM_S)

    def missing_for_new(self) -> str | None:
        """For health: why no session may begin, or None."""
        return self._off(MOST_S)

    def _off(self, limit_s: float) -> str | None:
        skew = self.skew_s()
        if abs(skew) <= limit_s:
            return None
        return f"this node's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} keys"
