"""One reader's way through a body in slices: what is there goes on as it is, what is missing is asked for.

A slice that is there whole is handed on in one piece, and not copied: no task, no generator and no count of
readers stands between the store and the socket, which is most of what a hit of many slices would cost.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from edge.zone.sliced import TRIES, Ask, Lied, Other, Refusal, Sliced
from edge.zone.upstream import BrokenOff, NoAnswer


class SlicedReading:
    """One of them; counts as a reader until it is closed."""

    def __init__(self, body: Sliced, start: int, stop: int | None, ask: Ask) -> None:
        """Bytes [start, stop), to the end when there is no `stop`; `ask` is for what is missing."""
        self.at, self.stop = start, body.total if stop is None else stop
        self._body, self._ask = body, ask
        body.enter(self)

    def close(self) -> None:
        """Reads no more."""
        self._body.leave(self)

    @property
    def begun(self) -> bool:
        """Whether its first slice is there or coming."""
        return self.at >= self.stop or self._body.has(self.at // self._body.size)

    @property
    def complete(self) -> bool:
        """Whether all of it is there or coming."""
        size = self._body.size
        return all(self._body.has(index) for index in range(self.at // size, -(-self.stop // size)))

    async def ready(self) -> None:
        """Waits for the first byte. Other, Refusal, NoAnswer: then something else may be tried."""
        for tries_left in reversed(range(TRIES)):
            try:
                if self.at < self.stop:
                    body = await self._body.obtain(self, self._ask)
                    await body.reach(self.at % self._body.size)
                return
            except BrokenOff as error:
                if not tries_left:
                    raise NoAnswer("http_response_incomplete", str(error)) from error

    async def pieces(self) -> AsyncGenerator[bytes | memoryview, None]:
        """The bytes, as they come: a slice that is there at once, in one piece, not copied. BrokenOff."""
        failures, size = 0, self._body.size
        while self.at < self.stop:
            index = self.at // size
            begins = index * size
            whole = self._body.slice(index)
            if whole is not None:
                first, after = self.at - begins, min(size, self.stop - begins)
                yield whole if not first and after >= len(whole) else memoryview(whole)[first:after]
                self.at = begins + after
                self._body.moved()
                continue
            try:
                body = await self._body.obtain(self, self._ask)
                reading = body.read(self.at - begins, min(size, self.stop - begins))
                try:
                    async with aclosing(reading.pieces()) as pieces:
                        async for piece in pieces:
                            yield piece
                            self.at += len(piece)
                            failures = 0
                            self._body.moved()
                finally:
                    reading.close()
            except (Other, Refusal, Lied) as error:
                raise BrokenOff(str(error)) from error
            except (BrokenOff, NoAnswer) as error:
                failures += 1
                if failures == TRIES:
                    raise BrokenOff(str(error)) from error
