"""Files that are written once: absent or whole, never half, never changed. The blocking half of `LocalBlobs`.

A file grows under a temporary name, locked by its writer, is flushed to the disk, and is then linked to its
own name, which fails when the name is taken: no two writers ever mix. A lock ends with its process, so what a
dead writer left is known by being unlocked.
"""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from keys.problems import Problem

GRACE_S: Final = 60  # seconds: a temporary file this young may not have its lock yet
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NO_ROOM: Final = "The disk of the origin is full. Free some space and try again."


class OnceFile:
    """One file being written. `open` first; then `write`, and `commit` or `discard`."""

    def __init__(self, target: Path, partial: Path, keep_free_bytes: int) -> None:
        self._target = target
        self._partial = partial
        self._keep_free = keep_free_bytes
        self._fd = -1
        self._digest = hashlib.sha256()

    def open(self) -> None:
        """Make the temporary file and lock it."""
        with _room():
            self._fd = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def write(self, data: bytes | memoryview) -> None:
        """Append all of `data`. Problem disk_full."""
        left = memoryview(data)
        self._digest.update(left)
        with _room():
            disk = os.fstatvfs(self._fd)
            if disk.f_bavail * disk.f_frsize < self._keep_free + len(left):
                raise Problem("disk_full", NO_ROOM, detail=f"less than {self._keep_free} bytes would be free")
            while left:
                left = left[os.write(self._fd, left) :]

    def commit(self) -> bytes:
        """Give the file its name; its SHA-256. Problem conflict when that name has other bytes, disk_full."""
        digest = self._digest.digest()
        with _room():
            os.fsync(self._fd)
            self._target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                os.link(self._partial, self._target)
            except FileExistsError:
                if digest_of_file(self._target) != digest:
                    name = "/".join(self._target.parts[-4:])
                    raise Problem(
                        "conflict", "This was stored with other bytes before.", detail=name
                    ) from None
            _flush_folder(self._target.parent)
        self.discard()
        return digest

    def discard(self) -> None:
        """Remove the temporary name. Harmless when it is gone."""
        if self._fd >= 0:
            self._partial.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1


def digest_of_file(path: Path) -> bytes:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def read_piece(path: Path, start: int, size: int) -> bytes:
    """`size` bytes of a file from `start`. Problem not_found, or bad_upstream when they are not all there."""
    try:
        with path.open("rb", buffering=0) as file:
            piece = os.pread(file.fileno(), size, start)
    except (FileNotFoundError, NotADirectoryError):
        raise absent(path) from None
    if len(piece) != size:
        raise Problem("bad_upstream", "A stored object is shorter than it was.", detail=str(path))
    return piece


def remove_folder(folder: Path, doomed: Path) -> None:
    """Remove a folder and all in it, at once for readers: it becomes `doomed` first. Harmless when gone."""
    try:
        folder.rename(doomed)
    except FileNotFoundError:
        return
    shutil.rmtree(doomed)


def sweep(partial: Path, now: float) -> None:
    """Remove what dead writers and removers left in `partial`. `now` is seconds since the epoch."""
    for path in partial.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)  # another may be removing it as well
        elif now - path.stat().st_mtime > GRACE_S and not _is_locked(path):
            path.unlink(missing_ok=True)


def absent(path: Path) -> Problem:
    """The refusal for an object that is not there."""
    return Problem("not_found", "There is no such object.", detail="/".join(path.parts[-4:]))


def _is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _flush_folder(folder: Path) -> None:
    """A name is on the disk when its folder is, and that folder's name when its own folder is."""
    for each in (folder, folder.parent, folder.parent.parent):
        fd = os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno not in FULL:
            raise
        raise Problem("disk_full", NO_ROOM, detail=str(exc)) from exc
