"""What is known of one origin's health, and in which order a zone's origins are asked. Pure.

An origin that gives no answer LIMIT times in a row is *away*: nobody asks it but one probe a PAUSE_S. One
that answers, but with gateway errors in a row, or that asked for a pause by Retry-After, or that fails its
health check, is *resting*: it is asked only by requests that have no other choice, as one path's trouble is
not all paths'. Only when it keeps saying 503 with Retry-After is it taken at its word and asked by nobody.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final

from edge.cache.breaker import Breaker, Outage

LIMIT: Final = 5  # failures in a row
PAUSE_S: Final = 5.0  # between probes
LONGEST_PAUSE_S: Final = 60  # that an origin may ask for
UNWELL: Final = 2  # health checks in a row
GATEWAY: Final = frozenset({502, 503, 504})


class Standing(Enum):
    """How an origin stands now."""

    READY = "ready"
    PROBE = "away, and a probe is due"
    RESTING = "resting"
    AWAY = "away"


class Health:
    """Of one origin. Times are monotonic seconds."""

    def __init__(self, now: Callable[[], float], outage: Outage | None = None) -> None:
        self._now = now
        self._breaker = Breaker(LIMIT, PAUSE_S, now, outage=outage)
        self._errors = 0  # gateway errors in a row
        self._pauses = 0  # 503 with Retry-After in a row
        self._rests_until = float("-inf")
        self._unwell = 0  # failed checks in a row

    def standing(self) -> Standing:
        """How it stands now."""
        if not self._breaker.closed:
            return Standing.AWAY if self._breaker.retry_in_s() > 0 else Standing.PROBE
        resting = self._now() < self._rests_until
        if resting and self._pauses >= LIMIT:
            return Standing.AWAY
        return Standing.RESTING if resting or self._unwell >= UNWELL else Standing.READY

    def begin(self) -> bool:
        """Whether it may be asked now: while it is away one caller a PAUSE_S, who must say how it went."""
        return self._breaker.allow()

    def answered(self, status: int, retry_after_s: int | None = None) -> None:
        """It answered."""
        self._breaker.success()
        pause = 0.0
        if status in (429, 503) and retry_after_s:
            pause = min(retry_after_s, LONGEST_PAUSE_S)
        if status in GATEWAY:
            self._errors += 1
            if self._errors >= LIMIT:
                pause = max(pause, PAUSE_S)
        else:
            self._errors = 0
        if status == 503 and retry_after_s:
            self._pauses += 1
        else:
            self._pauses = 0
        if pause:
            self._rests_until = self._now() + pause

    def failed(self) -> bool:
        """It gave no answer; whether it is away from now on."""
        closed = self._breaker.closed
        self._breaker.failure()
        return closed and not self._breaker.closed

    def checked(self, *, well: bool) -> None:
        """What a health check found."""
        self._unwell = 0 if well else self._unwell + 1

    def asked_again_in_s(self) -> float:
        """Seconds until it may be asked again; 0 when it may be now."""
        if not self._breaker.closed:
            return self._breaker.retry_in_s()
        return max(0.0, self._rests_until - self._now())


def order(standings: Sequence[Standing], *, repeatable: bool, stale: bool) -> list[int]:
    """Which origins to ask one after the other, as indices.

    `repeatable`: the request may be sent twice, so it can probe. `stale`: there is something to serve
    without any origin, which is a choice.
    """
    first = (Standing.READY, Standing.PROBE) if repeatable else (Standing.READY,)
    found = [i for i, standing in enumerate(standings) if standing in first]
    if not stale:
        found += [i for i, standing in enumerate(standings) if standing is Standing.RESTING]
    if not repeatable:
        found += [i for i, standing in enumerate(standings) if standing is Standing.PROBE]
    return found
