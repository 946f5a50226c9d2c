"""What is stale, renewed behind its clients' backs, each once at a time."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from edge.zone.store import Held

log = logging.getLogger("sluice.zone")


class Renewals:
    """The renewals under way in one worker."""

    def __init__(self) -> None:
        self._tasks: dict[Held, asyncio.Task[None]] = {}

    def begin(self, held: Held, renewing: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Has it renewed, unless it is being so already."""
        if held not in self._tasks:
            task = self._tasks[held] = asyncio.create_task(_unwatched(held.entry.uri, renewing()))
            task.add_done_callback(lambda _: self._tasks.pop(held, None))

    async def close(self) -> None:
        """Ends them."""
        for task in tuple(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


async def _unwatched(uri: str, renewing: Coroutine[Any, Any, None]) -> None:
    try:
        await renewing
    except Exception:  # nobody waits for it
        log.exception("%s could not be renewed", uri)
