"""Whether to try a dependency that keeps failing. Pure: times are monotonic seconds, given.

Closed: everything may pass. After `limit` failures in a row: open, nothing passes. When `pause_s` have gone
by, one caller may try (half-open): its success closes the breaker, its failure opens it for another pause.
`spread` times a random share of the pause is added, so that workers do not come back in step (SECURITY F10).
"""

import random
from collections.abc import Callable


class Breaker:
    """Counts consecutive failures of one dependency."""

    def __init__(self, limit: int, pause_s: float, now: Callable[[], float], *, spread: float = 0.0) -> None:
        self._limit, self._pause_s, self._now, self._spread = limit, pause_s, now, spread
        self._failures = 0
        self._retry_at = 0.0

    @property
    def closed(self) -> bool:
        """Whether everything may pass."""
        return self._failures < self._limit

    def allow(self) -> bool:
        """Whether this caller may try. True for one caller a pause while open: it must report how it went."""
        if self.closed:
            return True
        if self._now() < self._retry_at:
            return False
        self._wait()
        return True

    def success(self) -> None:
        """The dependency answered."""
        self._failures = 0

    def failure(self) -> None:
        """The dependency did not answer."""
        self._failures += 1
        if not self.closed:
            self._wait()

    def retry_in_s(self) -> float:
        """Seconds until somebody may try again; 0 when closed."""
        return 0.0 if self.closed else max(0.0, self._retry_at - self._now())

    def _wait(self) -> None:
        self._retry_at = self._now() + self._pause_s * (1 + self._spread * random.random())
