"""Whether to try a dependency that keeps failing. Pure: times are monotonic seconds, given.

Closed: everything may pass. After `limit` failures in a row: open, nothing passes. When `pause_s` have gone
by, one caller may try (half-open): its success closes the breaker, its failure opens it for another pause.
`spread` times a random share of the pause is added, so that workers do not come back in step (SECURITY F10).
Workers of a node that share an `Outage` try once a pause between them (F1), and know at once when it is over.
"""

import mmap
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

_NEVER: Final = float("-inf")
_MOMENT: Final = struct.Struct("=d")


class Outage(Protocol):
    """What the workers of a node know together. Moments in monotonic seconds, _NEVER for none."""

    tried: float  # when somebody last tried, although it failed before
    answered: float  # when it last answered anybody


class PrivateOutage:
    """Of one worker alone."""

    def __init__(self) -> None:
        self.tried = self.answered = _NEVER


class SharedOutage:
    """The moments in a small mapped file. Nobody locks: two workers that try at once do no harm."""

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_size < 2 * _MOMENT.size:
                os.pwrite(fd, _MOMENT.pack(_NEVER) * 2, 0)
            self._moments = mmap.mmap(fd, 2 * _MOMENT.size)
        finally:
            os.close(fd)

    @property
    def tried(self) -> float:
        """See Outage."""
        return float(_MOMENT.unpack_from(self._moments, 0)[0])

    @tried.setter
    def tried(self, moment: float) -> None:
        _MOMENT.pack_into(self._moments, 0, moment)

    @property
    def answered(self) -> float:
        """See Outage."""
        return float(_MOMENT.unpack_from(self._moments, _MOMENT.size)[0])

    @answered.setter
    def answered(self, moment: float) -> None:
        _MOMENT.pack_into(self._moments, _MOMENT.size, moment)


class Breaker:
    """Counts consecutive failures of one dependency."""

    def __init__(
        self,
        limit: int,
        pause_s: float,
        now: Callable[[], float],
        *,
        spread: float = 0.0,
        outage: Outage | None = None,
    ) -> None:
        self._limit, self._pause_s, self._now, self._spread = limit, pause_s, now, spread
        self._outage = outage or PrivateOutage()
        self._failures = 0
        self._failed_at = _NEVER
        self._retry_at = 0.0

    @property
    def closed(self) -> bool:
        """Whether everything may pass."""
        return self._failures < self._limit

    def allow(self) -> bool:
        """Whether this caller may try. True for one caller a pause while open: it must report how it went."""
        if self.closed:
            return True
        now = self._now()
        if self._failed_at < self._outage.answered <= now:  # another worker was answered
            self._failures = 0
            return True
        if now < self._retry_at or 0 <= now - self._outage.tried < self._pause_s:
            return False
        self._outage.tried = now
        self._wait()
        return True

    def success(self) -> None:
        """The dependency answered."""
        self._failures = 0
        self._outage.answered = self._now()

    def failure(self) -> None:
        """The dependency did not answer."""
        self._failures += 1
        self._failed_at = self._now()
        if not self.closed:
            self._wait()

    def retry_in_s(self) -> float:
        """Seconds until somebody may try again; 0 when closed."""
        return 0.0 if self.closed else max(0.0, self._retry_at - self._now())

    def _wait(self) -> None:
        self._retry_at = self._now() + self._pause_s * (1 + self._spread * random.random())
