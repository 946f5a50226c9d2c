"""A body while it comes: bytes are kept in memory and stream to all who read it, as they arrive.

One that is kept is read from its beginning by whoever comes, now or later. One that turned out too long to
keep holds only what its readers have not taken yet, and comes no faster than the slowest of them takes it.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final

from edge.zone.upstream import BrokenOff

BEGIN_S: Final = 1.0  # from a head to who reads the body behind it
AHEAD_BYTES: Final = 1 << 20  # of a body that is not kept, what waits for its slowest reader


class Body:
    """The bytes of one answer."""

    def __init__(self) -> None:
        self.size = 0  # bytes that came so far
        self.done = False
        self.kept = True
        self._failed: Exception | None = None
        self._pieces: list[bytes] = []
        self._first = 0  # where the first piece held begins
        self._readers: dict[object, int] = {}  # how far each has come
        self._begun = False  # somebody reads it, or did
        self._changed = asyncio.Event()

    @classmethod
    def of(cls, data: bytes) -> "Body":
        """One that is there."""
        body = cls()
        body._pieces, body.size, body.done = [data] if data else [], len(data), True
        return body

    @property
    def readers(self) -> int:
        """How many read it now."""
        return len(self._readers)

    def whole(self, most: int) -> tuple[bytes, ...] | None:
        """All of it; None while it comes, when it is not kept, and when it is longer than that."""
        if not self.done or not self.kept or self._failed or self.size > most:
            return None
        return tuple(self._pieces)

    async def left(self) -> bool:
        """Whether nobody reads it any more. Who it was asked for has a moment to begin."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BEGIN_S):
                while not self._begun:
                    await self._changed.wait()
        return not self._readers

    async def add(self, piece: bytes) -> None:
        """More of it. Waits for readers when it is not kept."""
        if self.done or self._failed:
            raise RuntimeError("a body that has ended")
        self._pieces.append(piece)
        self.size += len(piece)
        self._tell()
        while not self.kept and self._readers:
            slowest = min(self._readers.values())
            while self._pieces and self._first + len(self._pieces[0]) <= slowest:
                self._first += len(self._pieces.pop(0))
            if self.size - slowest <= AHEAD_BYTES:
                break
            await self._changed.wait()

    def end(self) -> None:
        """It is whole."""
        if len(self._pieces) > 1 and self.kept:
            self._pieces = [b"".join(self._pieces)]
        self.done = True
        self._tell()

    def fail(self, error: Exception | None = None) -> None:
        """The rest will not come; why is raised for who reads on, BrokenOff by itself."""
        self._failed = error or BrokenOff("the origin broke off")
        self._tell()

    async def reach(self, at: int) -> None:
        """Waits until byte `at` came. What `fail` was told."""
        while self.size <= at and not self.done:
            if self._failed is not None:
                raise self._failed
            await self._changed.wait()

    async def finished(self, most: int) -> bool:
        """Waits until no more comes, or it is longer than that; whether it is whole."""
        while not self.done and self._failed is None and self.size <= most:
            await self._changed.wait()
        return self.done

    def drop(self) -> None:
        """It is too long to be kept; nobody begins to read it from now on."""
        self.kept = False

    def read(self, start: int = 0, stop: int | None = None) -> "Reading":
        """Bytes [start, stop) as they come; to the end when there is no `stop`. Close what is returned."""
        return Reading(self, start, stop)

    # For readings

    def enter(self, reading: object, at: int) -> None:
        """One more reads it."""
        self._readers[reading] = at
        if not self._begun:
            self._begun = True
            self._tell()

    def leave(self, reading: object) -> None:
        """One less."""
        self._readers.pop(reading, None)
        self._tell()

    async def after(self, reading: object, at: int) -> AsyncGenerator[bytes, None]:
        """Pieces from byte `at` on. BrokenOff."""
        while True:
            piece = self._from(at)
            if piece is not None:
                yield piece
                at += len(piece)
                self._readers[reading] = at
                if not self.kept:
                    self._tell()
            elif self._failed is not None:
                raise self._failed
            elif self.done:
                return
            else:
                await self._changed.wait()

    def _from(self, at: int) -> bytes | None:
        """What there is from byte `at` to the end of the piece it is in; None when nothing came of it yet."""
        if at >= self.size:
            return None
        begins = self.size
        for piece in reversed(self._pieces):  # a reader is near the end, or there is one piece
            begins -= len(piece)
            if begins <= at:
                return piece if begins == at else piece[at - begins :]
        raise BrokenOff("what is not kept has gone by")

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class Reading:
    """One reader's way through a body. It counts as a reader from when it is made until it is closed."""

    def __init__(self, body: Body, start: int, stop: int | None) -> None:
        self._body, self._start, self._stop = body, start, stop
        body.enter(self, start)

    begun = complete = True  # as of bodies in slices (`sliced_reading`)

    def close(self) -> None:
        """Reads no more."""
        self._body.leave(self)

    async def ready(self) -> None:
        """It may begin: what is missing of it will come by itself."""

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The bytes, as they come. BrokenOff."""
        left = None if self._stop is None else self._stop - self._start
        if left == 0:
            return
        async for piece in self._body.after(self, self._start):
            if left is None:
                yield piece
                continue
            yield piece if len(piece) <= left else piece[:left]
            left -= len(piece)
            if left <= 0:
                return
