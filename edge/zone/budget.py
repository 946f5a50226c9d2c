"""How many requests may be sent a second time: a share, so that trouble is not doubled (SECURITY F6). Pure.

Counted over the last WINDOW_S seconds, in steps of a second. A request that was never sent anywhere, as its
connection was refused, costs nothing when it goes to the next origin: no origin gets it twice.
"""

from collections import deque
from typing import Final

SHARE: Final = 0.1
FLOOR: Final = 3  # a window, whatever the share is
WINDOW_S: Final = 10


class Budget:
    """Of one zone."""

    def __init__(self, *, share: float = SHARE, floor: int = FLOOR) -> None:
        self._share, self._floor = share, floor
        self._steps: deque[list[int]] = deque()  # [second, requests, repeats]
        self._requests = self._repeats = 0

    def request(self, now: float) -> None:
        """One more request came. `now` in monotonic seconds."""
        self._step(now)[1] += 1
        self._requests += 1

    def repeat(self, now: float) -> bool:
        """Whether one may be sent again; if so it is counted."""
        step = self._step(now)
        if self._repeats >= max(self._floor, int(self._share * self._requests)):
            return False
        step[2] += 1
        self._repeats += 1
        return True

    def _step(self, now: float) -> list[int]:
        second = int(now)
        while self._steps and self._steps[0][0] <= second - WINDOW_S:
            _, requests, repeats = self._steps.popleft()
            self._requests -= requests
            self._repeats -= repeats
        if not self._steps or self._steps[-1][0] < second:
            self._steps.append([second, 0, 0])
        return self._steps[-1]
