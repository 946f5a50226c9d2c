"""Ending background tasks for sure. One cancellation is not always enough.

In Python 3.11 `asyncio.wait_for` returns normally when it is cancelled in the moment its awaitable is done,
and the cancellation is lost (python/cpython#86296, mended in 3.12). Client libraries use it, so a loop around
a Redis command can outlive its `cancel()`: it is asked again until it ended.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

AGAIN_S: Final = 0.25


async def end_tasks(tasks: Iterable["asyncio.Task[Any]"], again_s: float = AGAIN_S) -> None:
    """Returns when every task has ended, each cancelled as often as it takes. Their results are dropped.

    `again_s` is longer for tasks that need time to clear up after a cancellation.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=again_s)
        for task in done:
            if not task.cancelled():
                task.exception()  # seen: whoever cares has asked before
