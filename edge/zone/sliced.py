"""A large body in slices: what is there of it is read at once, what is missing is asked for as it is read.

A slice is a body of its own (`Body`), there or coming, and is let go on its own. A run of missing slices
comes in one request, a *fill*. It goes as fast as the fastest of its readers takes it, never more than a
slice ahead, so who stands still holds nobody; it is given up when nothing is taken of it for long. When
nobody wants more of it, it ends with the slice it is at (SECURITY F20). What breaks off is asked for again
from that slice on.

When the origin has another representation, or lies, all of it is dropped as a set: who has begun to read
gets BrokenOff, never bytes of two (F7, F8).
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Final, Protocol

from edge.http.partial import SLICE
from edge.zone.body import Body
from edge.zone.upstream import BrokenOff, NoAnswer

JOIN: Final = 2  # so many slices ahead of a fill a reader waits for it; further on it asks for itself
TRIES: Final = 3  # without a byte between them
PAUSE_S: Final = 30.0  # for so long a fill waits for readers


class Other(Exception):
    """There is another representation now, or the origin has stopped serving ranges."""


class Refusal(Exception):
    """The origin answered a request for slices with something else."""


class Lied(NoAnswer):
    """The origin's answer cannot be true."""

    def __init__(self, why: str) -> None:
        super().__init__("http_protocol_error", why)


class Source(Protocol):
    """An answer whose body brings slices."""

    def pieces(self) -> AsyncGenerator[bytes, None]: ...

    async def close(self) -> None: ...


class Shelf(Protocol):
    """Where slices are kept."""

    def keep(self, index: int, size: int) -> bool:
        """Whether slice `index`, of so many bytes, is kept. `Sliced.forget` is called when it goes."""

    def use(self, index: int) -> None:
        """It is read."""

    def lose(self, index: int) -> None:
        """It did not come whole."""

    def drop(self) -> None:
        """Nothing of this body is good any more."""


class Reader(Protocol):
    """Who reads a body (`sliced_reading`)."""

    @property
    def at(self) -> int:
        """The byte that is its next,"""

    @property
    def stop(self) -> int:
        """and where it ends."""


Ask = Callable[
    [int, int], Awaitable[tuple[Source, int]]
]  # for bytes [start, stop): what brings them, up to where
Spawn = Callable[[Coroutine[Any, Any, None]], object]


class _Fill:
    """One request's way through a run of slices."""

    __slots__ = ("at", "body", "first", "index", "own", "stop")

    def __init__(self, first: int, stop: int, index: int) -> None:
        self.first = self.at = first  # bytes of the whole body
        self.stop = stop
        self.index = index  # the slice it is at,
        self.body = Body()  # and its bytes
        self.own: list[tuple[int, Body]] = []  # slices no shelf keeps, there for who reads just behind


class Sliced:
    """The body of one representation of `total` bytes. `spawn` runs a task, ended with the edge."""

    def __init__(self, total: int, spawn: Spawn, size: int = SLICE) -> None:
        self.total, self.size = total, size
        self.shelf: Shelf | None = None
        self._spawn = spawn
        self._slices: dict[int, Body] = {}
        self._fills: set[_Fill] = set()
        self._readers: set[Reader] = set()
        self._gone: Exception | None = None
        self._changed = asyncio.Event()

    def forget(self, index: int) -> None:
        """That slice is not kept any longer. Who reads it reads it to its end."""
        self._slices.pop(index, None)

    def has(self, index: int) -> bool:
        """Whether that slice is there, or coming."""
        return index in self._slices

    def adopt(self, source: Source, start: int, stop: int) -> None:
        """Takes in an answer that brings bytes [start, stop); both are where slices begin, or the end."""
        fill = self._open(start, stop)
        self._spawn(self._fill(fill, source))

    def whole(self, most: int) -> tuple[bytes, ...] | None:
        """All of it; None when some of it is not there, and when it is longer than that."""
        if self.total > most or self._gone is not None:
            return None
        found: list[bytes] = []
        for index in range(-(-self.total // self.size)):
            piece = self.slice(index)
            if piece is None:
                return None
            found.append(piece)
        return tuple(found)

    def slice(self, index: int) -> bytes | None:
        """That slice, which is used now; None unless all of it is there."""
        body = self._slices.get(index)
        pieces = None if body is None else body.whole(self.size)
        if not pieces or len(pieces) != 1:
            return None
        if self.shelf is not None:
            self.shelf.use(index)
        return pieces[0]

    # For readings

    def enter(self, reading: Reader) -> None:
        """One more reads it."""
        self._readers.add(reading)

    def leave(self, reading: Reader) -> None:
        """One less."""
        self._readers.discard(reading)
        self._tell()

    async def obtain(self, reading: Reader, ask: Ask) -> Body:
        """The slice a reading is at, there or coming. What makes it impossible is raised."""
        while True:
            index = reading.at // self.size
            body = self._slices.get(index)
            if body is not None:
                if self.shelf is not None:
                    self.shelf.use(index)
                return body
            if self._gone is not None:
                raise self._gone
            if not any(
                fill.index < index <= fill.index + JOIN and index * self.size < fill.stop
                for fill in self._fills
            ):
                fill = self._open(index * self.size, self._run(index, reading.stop))
                self._spawn(self._asked(fill, ask))
                return fill.body
            await self._changed.wait()

    def moved(self) -> None:
        """A reading has come further."""
        if self._fills:
            self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _run(self, index: int, stop: int) -> int:
        """Where the run of missing slices that begins with this one ends, for who reads up to `stop`."""
        after = index + 1
        while after * self.size < stop and after not in self._slices:
            after += 1
        return min(after * self.size, self.total)

    def _open(self, start: int, stop: int) -> _Fill:
        fill = _Fill(start, stop, start // self.size)
        self._fills.add(fill)
        self._next(fill)
        return fill

    def _next(self, fill: _Fill) -> None:
        """The slice the fill is at begins to come."""
        index = fill.index = fill.at // self.size
        fill.body = Body()
        kept = self.shelf is not None and self.shelf.keep(
            index, min(self.size, self.total - index * self.size)
        )
        self._slices[index] = fill.body
        if not kept:
            fill.own.append((index, fill.body))
            if len(fill.own) > 2:
                self._release(fill, 1)
        self._tell()

    def _release(self, fill: _Fill, many: int) -> None:
        """Lets go of the first of the slices that are the fill's alone."""
        for index, body in fill.own[:many]:
            if self._slices.get(index) is body:
                del self._slices[index]
        del fill.own[:many]

    async def _asked(self, fill: _Fill, ask: Ask) -> None:
        try:
            source, fill.stop = await ask(fill.at, fill.stop)
        except BaseException as error:
            self._end(fill, error if isinstance(error, Exception) else BrokenOff("the edge ends"))
            if not isinstance(error, Exception):
                raise
            return
        await self._fill(fill, source)

    async def _fill(self, fill: _Fill, source: Source) -> None:
        error: Exception | None = BrokenOff("the edge ends")
        try:
            async with aclosing(source.pieces()) as pieces:
                async for piece in pieces:
                    if not await self._take(fill, piece):
                        error = None
                        break
                else:
                    error = None if fill.at == fill.stop else BrokenOff("it ended too early")
                    if error is None:
                        fill.body.end()
        except Exception as failure:
            error = failure
        finally:
            try:
                self._end(fill, error)
            finally:
                await source.close()

    async def _take(self, fill: _Fill, piece: bytes) -> bool:
        """Adds to the slices. False when no more of it is wanted."""
        while piece:
            if fill.at == fill.stop:
                raise Lied("more bytes than it said")
            left = self.size - fill.at % self.size
            part, piece = (piece, b"") if len(piece) <= left else (piece[:left], piece[left:])
            await fill.body.add(part)
            fill.at += len(part)
            if fill.at % self.size == 0 and fill.at < fill.stop:
                fill.body.end()
                if fill.at // self.size in self._slices or not self._wanting(fill):
                    return False
                self._next(fill)
        await self._pace(fill)
        return True

    def _wanting(self, fill: _Fill) -> list[int]:
        """How far those are who will want what comes next of it."""
        most = fill.at + JOIN * self.size
        return [
            reading.at
            for reading in self._readers
            if fill.first <= reading.at <= most and reading.stop > fill.at
        ]

    def _far_ahead(self, fill: _Fill) -> bool:
        wanting = self._wanting(fill)
        return bool(wanting) and fill.at - max(wanting) > self.size

    async def _pace(self, fill: _Fill) -> None:
        """Waits while it is a slice ahead of all who want more of it."""
        if not self._far_ahead(fill):
            return
        try:
            async with asyncio.timeout(PAUSE_S):
                while self._far_ahead(fill):
                    await self._changed.wait()
        except TimeoutError:
            raise BrokenOff("nobody took it for too long") from None

    def _end(self, fill: _Fill, error: Exception | None) -> None:
        """It brings no more; the slice it was at is given up when it is not whole."""
        self._fills.discard(fill)
        if isinstance(error, Other | Lied):
            self._gone = error
            self._slices.clear()
            if self.shelf is not None:
                self.shelf.drop()
        if not fill.body.done:
            if self._slices.get(fill.index) is fill.body:
                del self._slices[fill.index]
                if self.shelf is not None:
                    self.shelf.lose(fill.index)
            fill.body.fail(error)
        self._release(fill, len(fill.own))
        self._tell()
