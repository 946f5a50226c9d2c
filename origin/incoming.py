"""Where uploads rest until they are packaged: one directory, server-made names, room checked first.

A file is `<id>.part` while it arrives and `<id>` once it is whole and on disk. Whatever ends an upload early
(a cut connection, a limit, a full disk, a stop of the server) removes the part; after a kill, `sweep` does at
the next start. Room is reserved for the announced length, so uploads that run side by side cannot promise
themselves the same space.
"""

import asyncio
import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from keys.problems import Problem

KEEP_FREE: Final = 0.05  # share of the disk that uploads leave alone (SECURITY T15)
PIECE: Final = 1 << 20  # bytes gathered before a write
STEP: Final = 64 << 20  # bytes reserved at a time when the length was not announced
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Usage(NamedTuple):
    """Bytes of a disk."""

    total: int
    free: int


def disk_usage(directory: Path) -> Usage:
    """Total and free bytes of the disk that holds `directory`."""
    found = shutil.disk_usage(directory)
    return Usage(found.total, found.free)


class Incoming:
    """The directory of arriving uploads."""

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int,
        keep_free: float = KEEP_FREE,
        usage: Callable[[Path], Usage] = disk_usage,
    ) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self.max_bytes = max_bytes
        self._keep_free = keep_free
        self._usage = usage
        self._reserved = 0  # bytes promised to running uploads and not yet written

    def check(self, length: int) -> None:
        """Returns when an upload of `length` bytes would be taken now.

        Problem too_large or disk_full otherwise.
        """
        if length > self.max_bytes:
            raise Problem("too_large", f"An upload may have at most {_size(self.max_bytes)}.")
        total, free = self._usage(self.directory)
        if free - self._reserved - length < total * self._keep_free:
            raise Problem(
                "disk_full", "The server's disk is too full for this upload.", detail=f"{free} bytes free"
            )

    @contextlib.asynccontextmanager
    async def draft(self, length: int | None) -> AsyncIterator["Draft"]:
        """A new file for an upload of `length` bytes (None: not announced).

        Gone on exit unless it was kept.
        """
        draft = Draft(self, length)
        try:
            yield draft
        finally:
            draft.close()

    def sweep(self, keep: set[Path]) -> int:
        """Removes what a killed server left: every file not in `keep`.

        Answers how many. Only before uploads run.
        """
        left = [path for path in self.directory.iterdir() if path.is_file() and path not in keep]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def reserve(self, size: int) -> None:
        """Sets `size` more bytes aside. Problem as `check`."""
        self.check(size)
        self._reserved += size

    def hold(self, size: int) -> None:
        """Sets `size` more bytes aside unasked: they were promised before a restart."""
        self._reserved += size

    def release(self, size: int) -> None:
        """Gives `size` reserved bytes back: they were written, or will not come."""
        self._reserved -= size


class Draft:
    """One upload as it arrives."""

    def __init__(self, incoming: Incoming, length: int | None) -> None:
        self._incoming = incoming
        self._promised = 0
        self._reserve(STEP if length is None else length)
        self.id = secrets.token_hex(16)
        self.path = incoming.directory / self.id
        self._part = self.path.with_suffix(".part")
        self._file: BinaryIO = os.fdopen(
            os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
        )
        self._pieces: list[bytes] = []
        self._gathered = 0
        self.size = 0  # bytes so far
        self._kept = False

    async def write(self, data: bytes) -> None:
        """Appends. Problem too_large or disk_full."""
        self.size += len(data)
        if self.size > self._incoming.max_bytes:
            self._incoming.check(self.size)
        self._pieces.append(data)
        self._gathered += len(data)
        if self._gathered >= PIECE:
            await self._flush()

    async def finish(self) -> Path:
        """Puts the whole file on disk, durably, under its final name.

        It still goes with the draft unless kept.
        """
        await self._flush()
        await asyncio.to_thread(self._settle)
        self._give_back()
        return self.path

    def keep(self) -> None:
        """The file belongs to somebody else now."""
        self._kept = True

    def close(self) -> None:
        """Ends the draft: gives reserved room back and removes the file unless it was kept."""
        self._give_back()
        with contextlib.suppress(
            OSError
        ):  # a full disk: closing writes what was buffered, and nobody wants it
            self._file.close()
        self._part.unlink(missing_ok=True)
        if not self._kept:
            self.path.unlink(missing_ok=True)

    async def _flush(self) -> None:
        data, size = b"".join(self._pieces), self._gathered
        self._pieces, self._gathered = [], 0
        if size > self._promised:
            self._reserve(max(STEP, size))
        try:
            await asyncio.to_thread(self._file.write, data)
        except OSError as exc:
            raise full(exc) from exc
        self._incoming.release(size)
        self._promised -= size

    def _settle(self) -> None:
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.rename(self.path)
            sync_directory(self.path.parent)
        except OSError as exc:
            raise full(exc) from exc

    def _reserve(self, size: int) -> None:
        self._incoming.reserve(size)
        self._promised += size

    def _give_back(self) -> None:
        self._incoming.release(self._promised)
        self._promised = 0


def sync_directory(directory: Path) -> None:
    """Puts the names in it on disk."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def full(exc: OSError) -> Exception:
    """The error, or Problem disk_full where it says that no room is left."""
    if exc.errno in _NO_ROOM:
        return Problem("disk_full", "The server's disk is full; nothing was kept.", detail=str(exc))
    return exc


def _size(count: int) -> str:
    return f"{count / 1e9:.0f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
