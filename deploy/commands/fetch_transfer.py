"""The bytes of a download into a partial file: several parts at once, each going on where it broke off.

An edge that dies costs a pause and a turn to the next one; a session that ended is opened anew; a file that
changed meanwhile is never mixed with what was there (If-Range, RFC 9110 §13.1.5). What comes encrypted is
opened as it comes (`fetch_form`). Nothing is given up while any part gets on.
"""

import asyncio
import os
import re
import time
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Final

import httpx

from deploy.commands.fetch_form import Form
from deploy.commands.fetch_source import Source, Trouble
from deploy.commands.fetch_state import State
from keys.problems import Problem

FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 15.0
SAVE_EVERY_S: Final = 1.0
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


class Changed(Exception):
    """The file at the edge is another than the one that was begun."""


class Transfer:
    """Fetches what is missing of `state` from `source` into the open file `fd`."""

    def __init__(
        self,
        source: Source,
        state: State,
        fd: int,
        saved: Path,
        *,
        parts: int,
        patience_s: float,
        progress: Callable[[int], None],
        told: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`progress` is told of every number of bytes that came, `told` of what the user should know."""
        self._source = source
        self._state = state
        self._fd = fd
        self._saved = saved
        self._parts = parts
        self._patience_s = patience_s
        self._progress = progress
        self._told = told
        self._clock = clock
        self._todo = deque(state.done.missing(state.size))
        self._moved = clock()
        self._opening = asyncio.Lock()

    async def run(self) -> None:
        """Returns when every byte is there. Problem, Changed or OSError; what came is kept and noted."""
        saving = asyncio.create_task(self._keep_saving())
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(self._parts, len(self._todo))):
                    tasks.create_task(self._work())
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group
        finally:
            saving.cancel()
            self._state.save(self._saved)

    async def _keep_saving(self) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            self._state.save(self._saved)

    async def _work(self) -> None:
        while self._todo:
            await self._piece(*self._todo.popleft())

    async def _piece(self, start: int, stop: int) -> None:
        pause, refused = FIRST_PAUSE_S, 0
        while start < stop:
            base, version, at = self._source.base, self._source.version, start
            try:
                try:
                    start = await self._some(start, stop)
                except Problem as problem:
                    start = self._state_at(start, stop)
                    if problem.status != 403 or refused:
                        raise
                    await self._open_again(version)
                    refused += 1
            except Trouble as trouble:
                start = self._state_at(start, stop)
                if self._clock() - self._moved > self._patience_s:
                    raise Problem("unavailable", str(trouble)) from trouble
                self._source.next_edge(base)
                await asyncio.sleep(max(pause, trouble.after_s))
                pause = min(LONGEST_PAUSE_S, 2 * pause)
            if start > at:
                pause, refused = FIRST_PAUSE_S, 0

    async def _some(self, start: int, stop: int) -> int:
        """Fetches from `start` on, by one request; how far it came, which is `stop`."""
        form = self._source.form
        first, end = form.span(start, stop)
        headers = {"range": f"bytes={first}-{end - 1}", "if-range": form.etag}
        answer = await self._source.ask("GET", self._source.url, headers)
        reading, at = form.reading(start, stop), start
        async with aclosing(answer):
            self._check(answer, form, first, end)
            try:
                async for data in answer.aiter_raw():
                    data = data[: end - first]
                    first += len(data)
                    for plain in reading.feed(data):
                        at = self._keep(plain, at)
            except httpx.HTTPError as exc:
                raise Trouble(f"{self._source.base} broke off ({type(exc).__name__}).") from exc
        if first < end:
            raise Trouble(f"{self._source.base} sent less than it said.")
        return self._keep(reading.finish(), at)

    def _keep(self, data: bytes, at: int) -> int:
        """Puts bytes of the file at their place; where they end."""
        _write(self._fd, data, at)
        self._state.done.add(at, at + len(data))
        self._moved = self._clock()
        self._progress(len(data))
        return at + len(data)

    def _check(self, answer: httpx.Response, form: Form, start: int, stop: int) -> None:
        if answer.headers.get("etag") != form.etag:
            raise Changed
        span = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
        wanted = (start, stop - 1, form.length)
        whole = answer.status_code == 200 and start == 0 and stop == form.length
        if not whole and (span is None or tuple(map(int, span.groups())) != wanted):
            raise Problem("bad_upstream", f"{self._source.base} sent another part than the one asked for.")

    def _state_at(self, start: int, stop: int) -> int:
        """How far a piece is that broke off somewhere after `start`."""
        return next((min(e, stop) for s, e in self._state.done.spans if s <= start < e), start)

    async def _open_again(self, version: int) -> None:
        """A new session, opened by one part for all. Problem when the link does not open any more.

        Changed when it is of another file.
        """
        async with self._opening:
            if self._source.version == version:
                self._told("The session has ended: opening the link again.")
                await self._source.open()
                if (await self._source.about()).mark != self._state.mark:
                    raise Changed


def _write(fd: int, data: bytes, at: int) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(fd, left, at)
        left, at = left[written:], at + written
