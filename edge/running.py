"""Background work that has to go on for as long as a worker serves."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

AGAIN_S: Final = 1.0  # after which what broke runs again

log = logging.getLogger("sluice.edge")


async def kept_running(run: Callable[[], Awaitable[None]]) -> None:
    """Runs what never ends; should it break, that is logged, and it runs again after a pause."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("a background task broke")
        await asyncio.sleep(AGAIN_S)
