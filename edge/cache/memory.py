"""L1: plain slices in memory, ready to be read in place.

`Memory` is what the cache asks of it; `PrivateMemory` is the readable definition of it, for one process, and
what a node without a tmpfs uses. `SharedMemory` (shared.py) is shared by the workers of a node. Memory is
never a disk.
"""

from pathlib import Path
from typing import Protocol

from edge.cache.counters import Count, ignore
from edge.cache.eviction import Eviction
from edge.cache.slices import SliceId


class Memory(Protocol):
    """Where plain slices are kept. Views stay readable for as long as anybody holds them, evicted or not."""

    @property
    def shared(self) -> bool:
        """Whether other workers of the node see what is put here."""

    @property
    def used_bytes(self) -> int:
        """Bytes kept, so that the sum over the node's workers is what the node keeps."""

    def get(self, slice_id: SliceId, storage_key: bytes) -> memoryview | None:
        """The slice, read-only, or None. Only bytes that were put under this identity and storage key."""

    def has(self, slice_id: SliceId) -> bool:
        """Whether `get` is likely to find it. Checks no digest."""

    def put(self, slice_id: SliceId, storage_key: bytes, plain: bytes) -> memoryview:
        """Keep a slice if there is room; in any case a read-only view of these bytes. Never an error."""

    def drop(self, slice_id: SliceId) -> None:
        """Forget a slice. Views of it stay readable."""

    async def start(self) -> None:
        """Begin the housekeeping."""

    async def close(self) -> None:
        """End the housekeeping. Views stay readable."""


class PrivateMemory:
    """Slices of one process, at most `limit_bytes` of them; what goes is `eviction`'s to say."""

    def __init__(self, limit_bytes: int, *, count: Count = ignore) -> None:
        self._limit_bytes, self._count = limit_bytes, count
        self._kept: dict[SliceId, memoryview] = {}
        self._order = Eviction[SliceId](limit_bytes)

    @property
    def shared(self) -> bool:
        """No other process sees it."""
        return False

    @property
    def used_bytes(self) -> int:
        """Bytes of all slices kept."""
        return self._order.used_bytes

    def get(self, slice_id: SliceId, storage_key: bytes) -> memoryview | None:
        """See Memory."""
        self._order.touch(slice_id)
        return self._kept.get(slice_id)

    def has(self, slice_id: SliceId) -> bool:
        """See Memory."""
        return slice_id in self._kept

    def put(self, slice_id: SliceId, storage_key: bytes, plain: bytes) -> memoryview:
        """See Memory."""
        view = memoryview(plain).toreadonly()
        if len(plain) > self._limit_bytes:
            self._count("l1_unstored", 1)
            return view
        self._kept[slice_id] = view
        self._order.add(slice_id, len(plain))
        for victim in self._order.victims(slice_id):
            self._count("evictions", 1)
            self._count("evicted_bytes", len(self._kept.pop(victim)))
        return view

    def drop(self, slice_id: SliceId) -> None:
        """See Memory."""
        if self._kept.pop(slice_id, None) is not None:
            self._order.remove(slice_id)

    async def start(self) -> None:
        """Nothing to begin."""

    async def close(self) -> None:
        """Nothing to end."""


def is_memory(directory: Path, mounts: str) -> bool:
    """Whether the directory lies on a tmpfs, by `mounts`, the text of /proc/self/mounts. A disk is no L1."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        _, point, fs_type = line.split(" ")[:3]
        place = Path(point.replace("\\040", " "))
        depth = len(place.parts)
        if directory.is_relative_to(place) and depth >= best:  # later mounts hide earlier ones
            best, kind = depth, fs_type
    return kind in ("tmpfs", "ramfs")
