"""How long a viewer waits for keys: as long as keys is answering anybody, and under a second when it is not.

SECURITY 3.4 wants a new session refused within a second when keys is down. A fixed limit of a second would
also refuse the crowd of a premiere, whom keys serves one after another; so what is measured is silence.
Who has a session already waits longer: a newcomer can come again, a player may give up. Knows nothing of
what is asked.
"""

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

from keys.problems import Problem

SILENCE_S: Final = 0.9  # no answer to anybody for so long: keys is away, to who comes new
SILENCE_RUNNING_S: Final = 3.0  # to who has a session; keys.client waits no longer for an answer either
LONGEST_S: Final = 8.0  # nobody waits longer, however busy keys is

T = TypeVar("T")


class Patience:
    """Shared by all who ask keys for viewers in one worker. Its clock is the event loop's."""

    def __init__(self) -> None:
        self._heard = float("-inf")

    async def wait(self, answer: Awaitable[T], *, running: bool = False) -> T:
        """The answer, or Problem unavailable once keys is silent. The asking is shielded and goes on.

        `running`: for the sake of a session that there is.
        """
        silence_s = SILENCE_RUNNING_S if running else SILENCE_S
        asked = _now()
        task = asyncio.ensure_future(answer)
        task.add_done_callback(self._hear)
        while True:
            left = self._left(asked, silence_s)
            if left <= 0:
                raise Problem(
                    "unavailable", "Busy. Try again in a moment.", detail="keys does not answer in time"
                )
            done, _ = await asyncio.wait({task}, timeout=left)
            if done:
                return task.result()

    def _left(self, asked: float, silence_s: float) -> float:
        now = _now()
        return min(max(asked, self._heard) + silence_s, asked + LONGEST_S) - now

    def _hear(self, task: "asyncio.Future[T]") -> None:
        """A refusal is an answer; trouble (a 5xx, no connection) is none."""
        if task.cancelled():
            return
        error = task.exception()
        if error is None or (isinstance(error, Problem) and error.status < 500):
            self._heard = _now()


def _now() -> float:
    return asyncio.get_running_loop().time()
