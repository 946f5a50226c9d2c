"""One resumable upload while the service runs: who is at work on it, its room, and bytes being received.

One request at a time adds bytes. A second PATCH is told so; who asks how far the upload is, or ends it, takes
it over: a connection that died unnoticed would otherwise hold it until it stalls.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, Final

from keys.problems import Problem
from origin.incoming import PIECE, STEP, Incoming
from origin.tus.folder import Appending, Folder, Record
from origin.tus.protocol import Chunk

LOCKED: Final = "Another request is at work on this upload."
QUIET_S: Final = 0.25  # silence after which a request that is to let go does
LETS_GO_S: Final = 1.0  # after which it does also while bytes come
OVERRUN: Final = "These are more bytes than the upload was to have; none of them were kept."


class Live:
    """An upload and what only the running service knows of it."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.finishing: asyncio.Task[None] | None = None
        self.promised = 0  # bytes of the disk set aside for it
        self.removed = False
        self.unwanted = False  # it is being removed: no asset is made of it any more
        self.submitting = False  # it is becoming an asset
        self._lock = asyncio.Lock()
        self._timer: asyncio.Timeout | None = None  # of the wait for the next bytes
        self._until: float | None = None  # by the loop's clock: it was asked to let go by then

    @property
    def busy(self) -> bool:
        """Whether a request is at work on it, or its film is being looked at."""
        return self._lock.locked() or (self.finishing is not None and not self.finishing.done())

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Entered by one request at a time. Problem locked when another is in, not_found when it is gone."""
        if self.busy:
            raise Problem("locked", LOCKED)
        async with self._entered():
            yield

    @contextlib.asynccontextmanager
    async def taken_over(self) -> AsyncIterator[None]:
        """Entered as soon as whoever receives bytes has put on disk what came. Problem not_found."""
        now = asyncio.get_running_loop().time()
        if self._until is None:
            self._until = now + LETS_GO_S
        if self._timer is not None and not self._timer.expired():
            self._timer.reschedule(now + QUIET_S)
        async with self._entered():
            yield

    @contextlib.asynccontextmanager
    async def _entered(self) -> AsyncIterator[None]:
        async with self._lock:
            if self.removed:
                raise Problem("not_found", "There is no such upload.")
            self._until = None
            yield

    async def pieces(self, body: AsyncIterator[bytes], stall_s: float) -> AsyncIterator[bytes]:
        """The body as it arrives, until it is taken over, cut or stalls (Problem, ClientDisconnect).

        What the connection holds already is read before it is let go.
        """
        loop = asyncio.get_running_loop()
        while True:
            wait_s = stall_s if self._until is None else min(QUIET_S, self._until - loop.time())
            try:
                async with asyncio.timeout(wait_s) as self._timer:
                    piece = await anext(body, None)
            except TimeoutError as exc:
                if self._until is not None:
                    raise Problem("locked", "Another request took this upload over.") from exc
                raise Problem("too_slow", "The upload stalled; what came was kept.") from exc
            finally:
                self._timer = None
            if piece is None:
                return
            if piece:
                yield piece


class Receiver:
    """Adds the bytes of one request to an upload that is entered alone."""

    def __init__(self, live: Live, folder: Folder, incoming: Incoming, chunk: Chunk) -> None:
        self._live = live
        self._record = live.record
        self._folder = folder
        self._incoming = incoming
        self._checksum = chunk.checksum
        self._digest = chunk.checksum and hashlib.new(chunk.checksum.algorithm, usedforsecurity=False)
        self._gathered: list[bytes] = []
        self._size = 0  # bytes gathered

    async def receive(self, pieces: AsyncIterator[bytes], room: int, now: Callable[[], float]) -> None:
        """Durable once it returns, `record.offset` says how far; also when it raises, as far as came.

        Nothing of a request with a checksum is kept unless it was proven. Problem bad_checksum, too_large
        (more than `room` bytes: nothing is kept either), disk_full, or what ended `pieces`.
        """
        start = self._record.offset
        file = await in_thread(Appending, self._folder.data(self._record.id), start)
        keep = self._checksum is None
        try:
            if self._checksum:
                self._record.unproven = start
                await in_thread(self._folder.save, self._record)
            elif self._record.unproven is not None:  # of a request whose end could not be written down
                await in_thread(self._folder.save, replace(self._record, unproven=None))
                self._record.unproven = None
            try:
                async for piece in pieces:
                    room -= len(piece)
                    if room < 0:
                        keep = False
                        raise Problem("too_large", OVERRUN)
                    await self._gather(file, piece)
            finally:
                if keep:
                    await self._flush(file)
            await self._flush(file)
            if self._checksum and self._digest and not self._checksum.matches(self._digest.digest()):
                raise Problem(
                    "bad_checksum", "These bytes are not what their checksum says; send them again."
                )
            keep = True
        finally:
            if not keep:
                self._give_back(file.offset - start)
                file.offset = start
            try:
                await in_thread(file.settle, now())
                if self._checksum:
                    await in_thread(self._folder.save, replace(self._record, unproven=None))
                    self._record.unproven = None
                self._record.offset, self._record.touched = file.offset, now()
            finally:
                file.close()

    async def _gather(self, file: Appending, piece: bytes) -> None:
        self._gathered.append(piece)
        self._size += len(piece)
        if self._size >= PIECE:
            await self._flush(file)

    async def _flush(self, file: Appending) -> None:
        data, size = b"".join(self._gathered), self._size
        self._gathered, self._size = [], 0
        if not size:
            return
        if size > self._live.promised:  # only where the length is not known yet
            step = max(size, min(STEP, self._incoming.max_bytes))
            self._incoming.reserve(step)
            self._live.promised += step
        await in_thread(self._write, file, data)
        self._incoming.release(size)
        self._live.promised -= size

    def _write(self, file: Appending, data: bytes) -> None:
        if self._digest:
            self._digest.update(data)
        file.write(data)

    def _give_back(self, size: int) -> None:
        """What was written goes again, and its room is promised as before."""
        self._incoming.hold(size)
        self._live.promised += size


async def in_thread(work: Callable[..., Any], *values: Any) -> Any:
    """What `work(*values)` answers. Cancelled, it ends only after the work has: its file stays its own."""
    task = asyncio.create_task(asyncio.to_thread(work, *values))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
