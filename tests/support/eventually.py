"""Waiting for what another process will do, without guessing how long it takes.

A deadline only ends a test that has failed: on a busy machine everything comes later, and still comes.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

LOOK_EVERY_S = 0.1
AT_LEAST_S = 90.0


async def eventually(holds: Callable[[], Awaitable[bool]], *, within_s: float) -> None:
    """Returns as soon as `holds()` is true; fails when it is not within the time, AT_LEAST_S or more."""
    deadline = time.monotonic() + max(within_s, AT_LEAST_S)
    while not await holds():
        assert time.monotonic() < deadline, f"{holds.__qualname__} did not come true"
        await asyncio.sleep(LOOK_EVERY_S)
