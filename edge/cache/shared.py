"""L1 shared by the workers of a node: one file a slice in a tmpfs directory, mapped and read in place.

A file is written under a temporary name and renamed, then never written again, so whoever maps it keeps whole
bytes; eviction unlinks. Each begins with a 64-byte header:

    8 magic · 4 version · 4 zero · 8 plain length · 32 HMAC-SHA-256 · 8 zero        big-endian

The tag covers the slice's whole identity, its length and its bytes, under a key derived from the storage key,
and is checked when a worker first maps the file. So a file that was altered, cut, swapped, or left by a dead
node with other keys is noticed, counted and removed. Evicting is `janitor.py`'s.
"""

import asyncio
import contextlib
import hmac
import logging
import os
import secrets
import stat
import struct
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.cache.counters import Count, ignore
from edge.cache.janitor import Janitor
from edge.cache.mapping import map_readonly
from edge.cache.memory import Memory, PrivateMemory, is_memory
from edge.cache.slices import SliceId
from keys.derive import enc, hkdf_expand

_LOG: Final = logging.getLogger(__name__)

HEADER: Final = 64
SLICE_PREFIX: Final = "s-"
TEMPORARY_PREFIX: Final = "t-"
SWEEP_EVERY_S: Final = 1.0
TOUCH_EVERY_S: Final = 10.0  # a slice's recency is told to the janitor at most this often by each worker,
FIRST_TOUCH_S: Final = 1.0  # but that it was used again so soon after it came: he may evict any second
_LAYOUT: Final = struct.Struct(">8sIIQ32s8x")
_MAGIC: Final = b"SluiceL1"
_VERSION: Final = 1
_LARGEST: Final = 64 << 20  # bytes: no slice and no document is longer


@dataclass(slots=True)
class _Mapped:
    view: memoryview
    path: Path
    inode: int
    touched: float  # monotonic seconds; for one that just came, as if it had been told earlier


class SharedMemory:
    """Slices in `directory`, at most `limit_bytes` of them on the node. Each worker of the node makes one."""

    def __init__(
        self,
        directory: Path,
        limit_bytes: int,
        *,
        count: Count = ignore,
        now: Callable[[], float] = time.monotonic,
        sweep_every_s: float = SWEEP_EVERY_S,
    ) -> None:
        _make_private(directory)
        self._directory, self._limit_bytes = directory, limit_bytes
        self._count, self._now, self._sweep_every_s = count, now, sweep_every_s
        self._maps: OrderedDict[SliceId, _Mapped] = OrderedDict()
        self._mapped_bytes = 0
        self._janitor = Janitor(directory, limit_bytes, SLICE_PREFIX, TEMPORARY_PREFIX, now=now)
        self._keeper: asyncio.Task[None] | None = None

    @property
    def shared(self) -> bool:
        """Every worker of the node sees it."""
        return True

    @property
    def used_bytes(self) -> int:
        """Bytes of all slices kept on the node, told by the worker that is the janitor; 0 by the others."""
        return self._janitor.kept_bytes

    @property
    def mapped_bytes(self) -> int:
        """Bytes of the files this worker has mapped."""
        return self._mapped_bytes

    def get(self, slice_id: SliceId, storage_key: bytes) -> memoryview | None:
        """See Memory. A file is digest-checked when this worker first maps it."""
        mapped = self._maps.get(slice_id)
        if mapped is None:
            mapped = self._adopt(slice_id, storage_key)
            if mapped is None:
                return None
        else:
            self._maps.move_to_end(slice_id)
        now = self._now()
        if now - mapped.touched >= TOUCH_EVERY_S:
            mapped.touched = now
            self._tell_use(mapped.path)
        return mapped.view

    def has(self, slice_id: SliceId) -> bool:
        """See Memory."""
        return slice_id in self._maps or self._path(slice_id).exists()

    def put(self, slice_id: SliceId, storage_key: bytes, plain: bytes) -> memoryview:
        """See Memory. Not kept when the filesystem has no room (SECURITY F11's rule, for L1)."""
        found = self.get(slice_id, storage_key)
        if found is not None:
            return found
        if len(plain) <= min(self._limit_bytes, _LARGEST):
            with contextlib.suppress(OSError):
                return self._keep(slice_id, self._write(slice_id, storage_key, plain)).view
        self._count("l1_unstored", 1)
        return memoryview(plain).toreadonly()

    def drop(self, slice_id: SliceId) -> None:
        """See Memory. For the whole node: the file goes."""
        self._forget(slice_id)
        self._path(slice_id).unlink(missing_ok=True)

    async def start(self) -> None:
        """Begin sweeping this worker's maps, and the node's files while this worker is the janitor."""
        self._keeper = asyncio.create_task(self._keep_house(), name="l1 keeper")

    async def close(self) -> None:
        """Stop sweeping, hand the janitor's role on, drop the maps nobody reads."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        self._janitor.resign()
        self._maps.clear()
        self._mapped_bytes = 0

    async def sweep(self) -> None:
        """Drop maps whose file is gone, and evict when this worker is the node's janitor."""
        held = [(key, mapped.path, mapped.inode) for key, mapped in self._maps.items()]
        gone = await asyncio.to_thread(_gone, held)
        for slice_id, inode in gone:
            mapped = self._maps.get(slice_id)
            if mapped is not None and mapped.inode == inode:
                self._forget(slice_id)
        evicted = await asyncio.to_thread(self._janitor.sweep)
        if evicted:
            self._count("evictions", len(evicted))
            self._count("evicted_bytes", sum(file.size for file in evicted))

    async def _keep_house(self) -> None:
        while True:
            started = self._now()
            try:
                await self.sweep()
            except OSError as exc:  # the directory was taken away: nothing is kept until it is back
                _LOG.warning("the cache directory cannot be swept: %s", exc)
            # A directory of very many files takes long to read: housekeeping gets 5 % of a core at most.
            await asyncio.sleep(max(self._sweep_every_s, 20 * (self._now() - started)))

    def _tell_use(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):  # evicted: the next sweep drops the map
            os.utime(path)

    def _path(self, slice_id: SliceId) -> Path:
        return self._directory / (SLICE_PREFIX + slice_id.file_name())

    def _adopt(self, slice_id: SliceId, storage_key: bytes) -> _Mapped | None:
        """Map the file another worker wrote, if it is exactly what was put."""
        path = self._path(slice_id)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            status = os.fstat(fd)
            good = stat.S_ISREG(status.st_mode) and HEADER <= status.st_size <= HEADER + _LARGEST
            whole = map_readonly(fd, status.st_size) if good else None
        except OSError:
            return None
        finally:
            os.close(fd)
        if whole is None or not _genuine(whole, slice_id, storage_key):
            self._count("bad_l1", 1)
            path.unlink(missing_ok=True)
            return None
        self._tell_use(path)
        return self._keep(slice_id, _Mapped(whole[HEADER:], path, status.st_ino, self._now()))

    def _write(self, slice_id: SliceId, storage_key: bytes, plain: bytes) -> _Mapped:
        """Write, map and name the file. OSError when there is no room."""
        path = self._path(slice_id)
        temporary = self._directory / (TEMPORARY_PREFIX + secrets.token_hex(12))
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            tag = _tag(slice_id, storage_key, plain)
            _write_all(fd, _LAYOUT.pack(_MAGIC, _VERSION, 0, len(plain), tag), plain)
            whole = map_readonly(fd, HEADER + len(plain))
            inode = os.fstat(fd).st_ino
            temporary.rename(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)
        return _Mapped(whole[HEADER:], path, inode, self._now() - TOUCH_EVERY_S + FIRST_TOUCH_S)

    def _keep(self, slice_id: SliceId, mapped: _Mapped) -> _Mapped:
        self._forget(slice_id)
        self._maps[slice_id] = mapped
        self._mapped_bytes += len(mapped.view)
        while self._mapped_bytes > self._limit_bytes and len(self._maps) > 1:
            _, oldest = self._maps.popitem(last=False)
            self._mapped_bytes -= len(oldest.view)
        return mapped

    def _forget(self, slice_id: SliceId) -> None:
        mapped = self._maps.pop(slice_id, None)
        if mapped is not None:
            self._mapped_bytes -= len(mapped.view)


def open_memory(directory: Path, limit_bytes: int, *, workers: int = 1, count: Count = ignore) -> Memory:
    """Shared memory if the directory is on a tmpfs, else private memory of a worker's share of the limit."""
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    if is_memory(directory.resolve(), mounts):
        return SharedMemory(directory, limit_bytes, count=count)
    return PrivateMemory(limit_bytes // workers, count=count)


def _make_private(directory: Path) -> None:
    """The directory, ours alone. PermissionError if somebody else made it (/dev/shm is everybody's)."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(f"{directory} belongs to somebody else: set another cache directory")
    directory.chmod(0o700)


def _tag(slice_id: SliceId, storage_key: bytes, plain: bytes | memoryview) -> bytes:
    key = hkdf_expand(storage_key, enc("sluice1 l1"), 32)
    mac = hmac.new(key, enc("sluice1 l1 slice", slice_id.identity(), len(plain)), "sha256")
    mac.update(plain)
    return mac.digest()


def _genuine(whole: memoryview, slice_id: SliceId, storage_key: bytes) -> bool:
    magic, version, zero, length, tag = _LAYOUT.unpack(whole[:HEADER])
    plain = whole[HEADER:]
    if (magic, version, zero, length) != (_MAGIC, _VERSION, 0, len(plain)):
        return False
    return hmac.compare_digest(tag, _tag(slice_id, storage_key, plain))


def _write_all(fd: int, header: bytes, plain: bytes) -> None:
    written = os.writev(fd, [header, plain])
    rest = memoryview(plain)[max(0, written - HEADER) :]
    while rest:  # a short write: the next one says why
        rest = rest[os.write(fd, rest) :]


def _gone(held: list[tuple[SliceId, Path, int]]) -> list[tuple[SliceId, int]]:
    """Those whose file was evicted, or replaced by another."""
    found = []
    for slice_id, path, inode in held:
        try:
            if path.stat().st_ino == inode:
                continue
        except OSError:
            pass  # no such file any more: gone like one that was replaced
        found.append((slice_id, inode))
    return found
