"""What delivery asks for: descriptors of assets, and the plain bytes of stored objects, slice by slice.

Joins the parts of one worker's cache: documents.py knows what there is, levels.py where it is, fill.py brings
it from the origin. Protection on the way out, and who may have what, are delivery's.
"""

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from edge.cache.claims import Claims
from edge.cache.counters import Count, ignore
from edge.cache.documents import Documents, Packagers, RefreshTrust
from edge.cache.fill import Fills
from edge.cache.levels import Levels, SealedStore, Target
from edge.cache.memory import Memory
from edge.cache.slices import BLOCK, ObjectId, all_slices
from edge.cache.upstream import Source
from keys.problems import Problem
from origin.media.asset import Descriptor
from origin.media.digests import ObjectDigest


class Opened:
    """One object opened for one reader, by `Library.open`. A fill runs on while an unread `Opened` lives."""

    def __init__(self, target: Target, levels: Levels, fills: Fills, wanted: range, source: str) -> None:
        self._target, self._levels, self._fills = target, levels, fills
        self._wanted = wanted
        self.length = target.digest.length
        """Plain bytes of the whole object."""
        self.slices = len(target.digest.slices)
        """How many slices it has."""
        self.source = source
        """Where the bytes come from: "l1", "l2" or "origin"."""
        self.stored = source == "origin"
        """Whether they are being stored on the way (RFC 9211 `stored`)."""

    def wants(self) -> range:
        """Indexes of the slices still to be read, as far as is known."""
        return self._wanted

    async def slice(self, index: int) -> memoryview:
        """Plain slice `index`, once it is there. Problem unavailable, bad_upstream, not_found; IndexError."""
        if not 0 <= index < self.slices:
            raise IndexError(f"slice {index} of {self.slices}")
        while True:
            found = self._levels.in_memory(self._target, index)
            if found is None:
                found = await self._fills.wait(self._target, self, index)
            else:
                self._fills.join(self._target, self, index)
            if found is not None:
                self._wanted = range(index + 1, max(index + 1, self._wanted.stop))
                return found

    def close(self) -> None:
        """No more slices are wanted: a fill nobody else waits for may stop. So does dropping the object."""
        self._wanted = range(0)


class Library:
    """One worker's cache. `async with` it, or `start()` and `close()`: it starts and closes its parts."""

    def __init__(
        self,
        memory: Memory,
        store: SealedStore | None,
        claims: Claims,
        origin: Source,
        packagers: Packagers,
        refresh_trust: RefreshTrust | None = None,
        *,
        levels: type[Levels] = Levels,
        count: Count = ignore,
    ) -> None:
        """`levels`: SealedLevels for a shield, whose slices stay sealed."""
        self._memory, self._store, self._origin, self._count = memory, store, origin, count
        self._claims = claims
        self._levels = levels(memory, store, count=count)
        self._fills = Fills(self._levels, claims, origin, count=count)
        self._documents = Documents(self._levels, claims, origin, packagers, refresh_trust, count=count)

    async def descriptor(self, asset: str, generation: int) -> Descriptor:
        """The signed descriptor of a generation. Problem not_found, unavailable or bad_upstream."""
        return await self._documents.descriptor(asset, generation)

    async def text(self, asset: str, generation: int, rendition: str, name: str) -> memoryview:
        """A signed document as it is published: the descriptor, or a digest list. Problems likewise."""
        return await self._documents.text(asset, generation, rendition, name)

    async def listed(self, asset: str, generation: int, rendition: str, name: str) -> ObjectDigest:
        """What the signed list says of an object. Problem not_found when it does not have it."""
        found = (await self._documents.digests(asset, generation, rendition)).get(name)
        if found is None:
            raise Problem("not_found", detail=f"{asset}/{generation}/{rendition}/{name} is not listed")
        return found

    async def open(
        self,
        tenant: str,
        asset: str,
        generation: int,
        rendition: str,
        name: str,
        storage_key: bytes,
        *,
        wanted: range | None = None,
    ) -> Opened:
        """A stored object. `wanted`: the slices a range needs, else all. No origin is asked for them yet.

        Problem not_found when the signed list does not have it; unavailable or bad_upstream without the list.
        """
        listed = await self.listed(asset, generation, rendition, name)
        target = Target(ObjectId(tenant, asset, generation, rendition, name), listed, storage_key)
        wanted = all_slices(listed.length) if wanted is None else wanted
        source = await self._source(target, wanted)
        self._count({"l1": "l1_hits", "l2": "l2_hits", "origin": "misses"}[source], 1)
        opened = Opened(target, self._levels, self._fills, wanted, source)
        self._fills.join(target, opened, wanted.start)
        return opened

    async def settled(self) -> None:
        """Wait until the fills that run now have ended: for a worker that drains."""
        await self._fills.settled()

    async def start(self) -> None:
        """Begin the housekeeping."""
        self._claims.tidy()
        await self._memory.start()

    async def close(self) -> None:
        """End fills, housekeeping and connections."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._memory.close)
            if self._store is not None:
                stack.push_async_callback(self._store.close)
            stack.push_async_callback(self._origin.close)
            stack.push_async_callback(self._levels.close)
            stack.push_async_callback(self._documents.close)
            stack.push_async_callback(self._fills.close)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _source(self, target: Target, wanted: range) -> str:
        """Where the first wanted slice that is not in L1 will come from; "l1" when all are there."""
        for index in wanted[:BLOCK]:
            if self._levels.in_memory(target, index) is None:
                found = await self._levels.find(target, index)
                return "origin" if found is None else "l2"
        return "l1"
