"""L1 and L2 together: where a slice is, and which bytes may come from there.

Nothing passes here unchecked: what L2 or an origin gives is compared with the packager's signed digest before
it is opened, and opened under the identity it is asked for (SECURITY F5, F15, T20). What is bad is counted,
removed, and treated as missing.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from edge.cache.counters import Count, ignore
from edge.cache.flight import Flights
from edge.cache.memory import Memory
from edge.cache.slices import ObjectId, SliceId
from origin.media.digests import ObjectDigest, digest_of
from origin.media.seal import BadSlice, Sealer


class SealedStore(Protocol):
    """What the cache asks of L2. A failure is a miss."""

    async def get(self, key: str) -> bytes | None:
        """The value, if it comes in time."""

    async def present(self, keys: Sequence[str]) -> list[bool]:
        """Which of the keys there are."""

    def put_soon(self, key: str, value: bytes | memoryview) -> asyncio.Task[None] | None:
        """Store in the background, if there is room."""

    async def drop(self, key: str) -> None:
        """Remove a value."""

    async def close(self) -> None:
        """Let go of the server."""


@dataclass(frozen=True, slots=True)
class Target:
    """One object of a signed list, and the key that opens it."""

    id: ObjectId
    digest: ObjectDigest
    storage_key: bytes = field(repr=False)  # 32 bytes

    def sealer(self) -> Sealer:
        """What opens its slices."""
        return Sealer(self.storage_key, *self.id)


class Levels:
    """The caches of one worker. `store` None: there is no second level."""

    def __init__(self, memory: Memory, store: SealedStore | None, *, count: Count = ignore) -> None:
        self.memory, self.store, self._count = memory, store, count
        self._lookups: Flights[SliceId, memoryview | None] = Flights()

    def in_memory(self, target: Target, index: int) -> memoryview | None:
        """The plain slice from L1."""
        return self.memory.get(SliceId(target.id, index), target.storage_key)

    async def find(self, target: Target, index: int, *, anew: bool = False) -> memoryview | None:
        """The plain slice from L1 or L2; from L2 it also goes into L1. Asked once, however many want it.

        `anew`: a look-up under way may have begun too early to see what is there now.
        """
        found = self.in_memory(target, index)
        if found is not None or self.store is None:
            return found
        store = self.store
        if anew:
            return await self._from_store(store, target, index)
        return await self._lookups.join(
            SliceId(target.id, index), lambda: self._from_store(store, target, index)
        )

    async def missing_run(self, target: Target, first: int, stop: int) -> range:
        """The unbroken run of slices from `first` (which is missing) up to the next that some level has."""
        places = [SliceId(target.id, index) for index in range(first + 1, stop)]
        there = [self.memory.has(place) for place in places]
        if self.store is not None and not all(there):
            stored = await self.store.present([place.key() for place in places])
            there = [a or b for a, b in zip(there, stored, strict=True)]
        return range(first, first + 1 + (there.index(True) if True in there else len(there)))

    def keep(
        self, target: Target, index: int, sealed: bytes | bytearray
    ) -> tuple[memoryview, asyncio.Task[None] | None]:
        """The plain slice of what an origin sent, now in L1, soon in L2. BadSlice: not the listed one."""
        plain = self._open(target, index, sealed)
        place = SliceId(target.id, index)
        storing = None if self.store is None else self.store.put_soon(place.key(), memoryview(sealed))
        return self.memory.put(place, target.storage_key, plain), storing

    async def close(self) -> None:
        """Stop looking."""
        await self._lookups.close()

    async def _from_store(self, store: SealedStore, target: Target, index: int) -> memoryview | None:
        place = SliceId(target.id, index)
        sealed = await store.get(place.key())
        if sealed is None:
            return None
        try:
            plain = self._open(target, index, sealed)
        except BadSlice:
            self._count("bad_l2", 1)
            await store.drop(place.key())
            return None
        return self.memory.put(place, target.storage_key, plain)

    def _open(self, target: Target, index: int, sealed: bytes | bytearray) -> bytes:
        if digest_of(memoryview(sealed)) != target.digest.slices[index]:
            raise BadSlice(f"slice {index} of {target.id.text()} is not the listed one")
        return target.sealer().open(index, memoryview(sealed))


class SealedLevels(Levels):
    """Of a shield: it has no storage key, and keeps slices as they are sealed, checked all the same.

    The key of a target is then one of the node's own, which tells its shared memory from anybody else's.
    """

    def _open(self, target: Target, index: int, sealed: bytes | bytearray) -> bytes:
        if digest_of(memoryview(sealed)) != target.digest.slices[index]:
            raise BadSlice(f"slice {index} of {target.id.text()} is not the listed one")
        return bytes(sealed)


async def settled(storing: Iterable[asyncio.Task[None]], timeout_s: float) -> None:
    """Wait until what is being stored is stored or dropped, for so long at most."""
    waiting = list(storing)
    if waiting:
        await asyncio.wait(waiting, timeout=timeout_s)
