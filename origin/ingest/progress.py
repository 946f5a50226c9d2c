"""Progress of one job, told a few times a second at most, however often it is noted.

`note` is cheap and synchronous; the latest one is written when it is time. Knows nothing of catalogues.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from origin.ingest.transcode import Progress

INTERVAL_S: Final = 0.3

Write = Callable[[Progress], Awaitable[bool]]  # False when nobody wants to know any more


class UnwantedError(Exception):
    """The job is not wanted any more: its asset was taken from it elsewhere."""


class Reporter:
    """Holds the latest progress and writes it with `write`."""

    def __init__(self, write: Write, *, interval_s: float = INTERVAL_S) -> None:
        self._write = write
        self._interval_s = interval_s
        self._latest: Progress | None = None
        self._news = asyncio.Event()

    def note(self, progress: Progress) -> None:
        """Remember how far it is."""
        self._latest = progress
        self._news.set()

    @contextlib.asynccontextmanager
    async def reporting(self) -> AsyncIterator[None]:
        """Writes while entered. Stops the work inside with UnwantedError when `write` says so."""
        try:
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(self._report())
                yield
                writing.cancel()
        except BaseExceptionGroup as group:  # of one: the work's own failure, or UnwantedError
            raise group.exceptions[0] from None

    async def _report(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            if self._latest is not None and not await self._write(self._latest):
                raise UnwantedError
            await asyncio.sleep(self._interval_s)
