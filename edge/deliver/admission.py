"""May one more session begin here now? Decided from how busy the worker is. Pure: measurements are given.

Only links are ever refused, with 503 and Retry-After, before anything is verified or asked for: a viewer
who opens one can wait or be sent to another edge, while a running player dies of a refused segment (SECURITY
F35). Two things say that a worker is busy:

    lateness   how late its event loop comes to what is due, which is what every small request waits;
               an average, so that one hiccup is none. From `lag_s` on nobody new begins, until it halves
    opening    keys does not keep up: of the links being opened the first has waited for `wait_s`, so whoever
               comes now would wait longer, and keys would work for clients who have given up by then
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from keys.problems import Problem

MEASURED_EVERY_S: Final = 0.05
NEWEST_SHARE: Final = 0.05  # of the newest sample in the average: a lasting change shows within 3 s
AGAIN_S: Final = (2, 5)  # when to try again; spread, so that who was refused does not come back in step


class TooBusy(Problem):
    """No session may begin now."""

    def __init__(self, reason: str) -> None:
        sentence = "Too many viewers at this moment. Try again soon."
        super().__init__("unavailable", sentence, detail=reason, retry_after_s=random.randint(*AGAIN_S))


@dataclass(frozen=True, slots=True)
class Limits:
    """What an operator says."""

    lag_s: float = 0.08
    wait_s: float = 1.0
    opening: int = 512  # links opened at once, however fast that goes


class Admission:
    """The decision of one worker."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._late_s = 0.0
        self._busy = False
        self._opening: dict[object, float] = {}  # since when, the first one first

    @property
    def late_s(self) -> float:
        """The average lateness of the loop, in seconds."""
        return self._late_s

    def measured(self, late_s: float) -> None:
        """Takes in one sample of the loop's lateness; one is due every MEASURED_EVERY_S."""
        self._late_s += NEWEST_SHARE * (max(0.0, late_s) - self._late_s)
        self._busy = self._late_s >= self._limits.lag_s * (0.5 if self._busy else 1.0)

    def reason(self, now: float) -> str | None:
        """Why no session may begin at `now` (monotonic seconds), or None."""
        if self._busy:
            return f"busy: {1000 * self._late_s:.0f} ms late"
        if len(self._opening) >= self._limits.opening:
            return f"busy: {len(self._opening)} links are being opened"
        waited = now - next(iter(self._opening.values()), now)
        return f"busy: a link waits for {waited:.1f} s" if waited >= self._limits.wait_s else None

    def check(self, now: float) -> None:
        """TooBusy when no session may begin at `now`."""
        reason = self.reason(now)
        if reason is not None:
            raise TooBusy(reason)

    @contextmanager
    def asking(self, now: float) -> Iterator[None]:
        """Around keys being asked to open a link, from `now` until it answers or the asking is given up."""
        mine = object()
        self._opening[mine] = now
        try:
            yield
        finally:
            del self._opening[mine]
