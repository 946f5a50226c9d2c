"""Waiting for what another process will do, without guessing how long it takes."""

import asyncio
import time
from collections.abc import Awaitable, Callable

LOOK_EVERY_S = 0.1


async def eventually(holds: Callable[[], Awaitable[bool]], *, within_s: float) -> None:
    """Returns as soon as `holds()` is true; fails when it is not within the time."""
    deadline = time.monotonic() + within_s
    while not await holds():
        assert time.monotonic() < deadline, f"{holds.__qualname__} did not come true within {within_s} s"
        await asyncio.sleep(LOOK_EVERY_S)
