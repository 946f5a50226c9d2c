"""Which slices of a node's shared memory go when room is needed, and who takes them away.

One worker of the node is the janitor: whoever holds the flock on `janitor.lock`. The kernel frees it when
that process dies, and another takes over at its next sweep. What was used once and least recently goes first
(a file's mtime is its last use, told coarsely by the workers). The limit is the setting, or less when the
filesystem has less to give. Files are only ever unlinked: whoever maps one keeps it.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOCK: Final = "janitor.lock"
TEMPORARY_LIFE_S: Final = 60.0  # a temporary file older than this was left by a process that died
LOW_WATER: Final = 0.95  # evict down to this share of the limit, so that not every sweep evicts
PROTECTED: Final = 0.8  # share of the limit that slices used again may hold against newcomers
HEADROOM: Final = 1 / 16  # share of the filesystem that stays free for others


@dataclass(frozen=True, slots=True)
class Kept:
    """One slice's file."""

    name: str
    size: int  # bytes
    used: float  # seconds since the epoch, coarse
    again: bool = False  # used again after it was stored


def to_evict(files: Iterable[Kept], limit_bytes: int) -> list[Kept]:
    """Those that must go so that the rest is within the limit. Pure.

    What was used only once goes first, least recently used first, so that a viewer of the long tail does not
    push out what everybody watches; the rest is protected, most recently used first, up to PROTECTED of the
    limit.
    """
    newest_first = sorted(files, key=lambda kept: kept.used, reverse=True)
    protected: set[str] = set()
    room = limit_bytes * PROTECTED
    for kept in newest_first:
        if kept.again and room >= kept.size:
            protected.add(kept.name)
            room -= kept.size
    ordered = sorted(newest_first, key=lambda kept: (kept.name in protected, kept.used))
    excess = sum(kept.size for kept in ordered) - limit_bytes
    if excess <= 0:
        return []
    excess += int(limit_bytes * (1 - LOW_WATER))
    going = []
    for kept in ordered:
        if excess <= 0:
            break
        going.append(kept)
        excess -= kept.size
    return going


def allowed_bytes(limit_bytes: int, used_bytes: int, free_bytes: int, total_bytes: int) -> int:
    """How much may be kept: the setting, or what the filesystem can hold and still have headroom. Pure."""
    return max(0, min(limit_bytes, used_bytes + free_bytes - int(total_bytes * HEADROOM)))


class Janitor:
    """Evicts in one directory, if this process is the node's janitor. Synchronous: run it in a thread."""

    def __init__(
        self,
        directory: Path,
        limit_bytes: int,
        slice_prefix: str,
        temporary_prefix: str,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory, self._limit_bytes = directory, limit_bytes
        self._slice_prefix, self._temporary_prefix = slice_prefix, temporary_prefix
        self._now = now
        self._lock: int | None = None
        self.kept_bytes = 0  # on the node, as this janitor left it; 0 in other processes
        self._first_used: dict[str, float] = {}  # slices: their mtime when we first saw them
        self._first_seen: dict[str, float] = {}  # temporary files, by our clock: theirs may jump

    @property
    def in_office(self) -> bool:
        """Whether this process is the node's janitor."""
        return self._lock is not None

    def sweep(self) -> list[Kept]:
        """Take the role if it is free; in the role, remove what is left over and evict. What was evicted."""
        if not self._take_office():
            return []
        kept = self._read()
        room = os.statvfs(self._directory)
        allowed = allowed_bytes(
            self._limit_bytes,
            sum(file.size for file in kept),
            room.f_bavail * room.f_frsize,
            room.f_blocks * room.f_frsize,
        )
        going = to_evict(kept, allowed)
        for file in going:
            (self._directory / file.name).unlink(missing_ok=True)
        self.kept_bytes = sum(file.size for file in kept) - sum(file.size for file in going)
        return going

    def resign(self) -> None:
        """Let another process be the janitor."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
            self.kept_bytes = 0

    def _take_office(self) -> bool:
        if self._lock is not None:
            return True
        fd = os.open(self._directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return False
        self._lock = fd
        return True

    def _read(self) -> list[Kept]:
        """The slices there are. Removes temporary files that were left over."""
        kept, seen, used = [], {}, {}
        with os.scandir(self._directory) as entries:
            for entry in entries:
                if entry.name.startswith(self._temporary_prefix):
                    seen[entry.name] = self._first_seen.get(entry.name, self._now())
                elif entry.name.startswith(self._slice_prefix):
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue  # found to be bad by a worker, and removed
                    first = used[entry.name] = self._first_used.get(entry.name, status.st_mtime)
                    kept.append(Kept(entry.name, status.st_size, status.st_mtime, status.st_mtime > first))
        for name in [name for name, first in seen.items() if self._now() - first >= TEMPORARY_LIFE_S]:
            (self._directory / name).unlink(missing_ok=True)
            del seen[name]
        self._first_seen, self._first_used = seen, used
        return kept
