"""The signed documents about a generation: its descriptor, and the digest list of each rendition.

They are plain and signed by the packager, so they may come from anywhere: this worker's memory (parsed), the
node's L1, L2, or the origin, which is asked once for all workers. The signature is checked wherever they come
from. When it does not hold, the packagers' keys may have changed since we learned them: we ask for those
again, once.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.cache.claims import Claims
from edge.cache.counters import Count, ignore
from edge.cache.flight import Flights
from edge.cache.levels import Levels, settled
from edge.cache.slices import PUBLIC_TENANT, ObjectId, SliceId
from edge.cache.upstream import Source
from keys.problems import Problem
from origin.media.asset import (
    DESCRIPTOR_OBJECT,
    DESCRIPTOR_RENDITION,
    LIST_OBJECT,
    BadDescriptor,
    Descriptor,
    read_descriptor,
)
from origin.media.digests import BadList, ObjectDigest, read_list

_LOG: Final = logging.getLogger(__name__)
T = TypeVar("T")
Packagers = Callable[[], Sequence[Ed25519PublicKey]]
RefreshTrust = Callable[[], Awaitable[None]]

# Bytes of one document: a list of 100,000 segments is about 10 MB, that of a file of 600 GiB 28 MB.
_LARGEST: Final = 32 << 20
_LONG: Final = 64 << 10  # text bytes; reading more would hold up others, so it is done in a thread
_PARSED_BYTES: Final = 48 << 20  # text bytes of the documents kept parsed
_PUBLIC_KEY: Final = bytes(
    32
)  # documents are no secret; their L1 tag only shows accidents, the signature the rest
_SETTLE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Kind(Generic[T]):
    """One document: where it lies, and how it is checked and read."""

    id: ObjectId
    read: Callable[[bytes, Sequence[Ed25519PublicKey]], T]  # BadDescriptor, BadList


class Documents:
    """This worker's parsed documents, and the way to those it does not have."""

    def __init__(
        self,
        levels: Levels,
        claims: Claims,
        origin: Source,
        packagers: Packagers,
        refresh_trust: RefreshTrust | None = None,
        *,
        count: Count = ignore,
    ) -> None:
        self._levels, self._claims, self._origin = levels, claims, origin
        self._packagers, self._refresh_trust, self._count = packagers, refresh_trust, count
        self._flights: Flights[ObjectId, Any] = Flights()
        self._parsed: OrderedDict[ObjectId, tuple[int, Any]] = OrderedDict()
        self._parsed_bytes = 0

    async def descriptor(self, asset: str, generation: int) -> Descriptor:
        """What the packager said of this generation. Problem not_found, unavailable or bad_upstream."""
        place = ObjectId(PUBLIC_TENANT, asset, generation, DESCRIPTOR_RENDITION, DESCRIPTOR_OBJECT)
        return await self._document(
            _Kind(place, lambda text, keys: read_descriptor(text, keys, asset, generation))
        )

    async def digests(self, asset: str, generation: int, rendition: str) -> dict[str, ObjectDigest]:
        """The objects of a rendition, by name. Problem not_found, unavailable or bad_upstream."""
        place = ObjectId(PUBLIC_TENANT, asset, generation, rendition, LIST_OBJECT)
        return await self._document(
            _Kind(place, lambda text, keys: read_list(text, keys, asset, generation, rendition))
        )

    async def text(self, asset: str, generation: int, rendition: str, name: str) -> memoryview:
        """A document as it was signed: for whoever hands it on. Problems as for the others."""
        place = SliceId(ObjectId(PUBLIC_TENANT, asset, generation, rendition, name), 0)
        for _ in range(2):
            if name == LIST_OBJECT:
                await self.digests(asset, generation, rendition)
            else:
                await self.descriptor(asset, generation)
            held = self._levels.memory.get(place, _PUBLIC_KEY)
            if held is not None:
                return held
            self._forget(place.object)  # it was evicted, and only what it says is left
        raise Problem("unavailable", detail=f"{place.object.text()}: no room to keep it")

    async def close(self) -> None:
        """Stop fetching."""
        await self._flights.close()

    def _forget(self, place: ObjectId) -> None:
        size, _ = self._parsed.pop(place, (0, None))
        self._parsed_bytes -= size

    async def _document(self, kind: _Kind[T]) -> T:
        kept = self._parsed.get(kind.id)
        if kept is not None:
            self._parsed.move_to_end(kind.id)
            found: T = kept[1]
            return found
        fetched: T = await self._flights.join(kind.id, lambda: self._obtain(kind))
        return fetched

    async def _obtain(self, kind: _Kind[T]) -> T:
        """From the caches, or from the origin by whoever of all workers has the claims."""
        since = self._claims.now()
        while True:
            found = await self._look(kind)
            if found is not None:
                return found
            with self._claims.node_turn(kind.id, since) as ours:
                if ours:
                    return await self._lead(kind, since)
            await self._claims.pause()

    async def _lead(self, kind: _Kind[T], since: float) -> T:
        while True:
            async with self._claims.fleet_turn(kind.id, since) as ours:
                found = await self._look(kind)
                if found is not None:
                    return found
                if ours:
                    return await self._fetch(kind)
            await self._claims.pause()

    async def _look(self, kind: _Kind[T]) -> T | None:
        """From L1 or L2, if it is there and its signature holds by the keys we know."""
        place = SliceId(kind.id, 0)
        held = self._levels.memory.get(place, _PUBLIC_KEY)
        if held is not None:
            found = await self._read(kind, bytes(held))
            if found is None:
                self._levels.memory.drop(place)
            else:
                return found
        store = self._levels.store
        text = await store.get(place.key()) if store is not None else None
        if store is None or text is None:
            return None
        found = await self._believed(kind, text)
        if found is None:
            await store.drop(place.key())
        else:
            self._levels.memory.put(place, _PUBLIC_KEY, text)
        return found

    async def _fetch(self, kind: _Kind[T]) -> T:
        for again in range(self._origin.addresses):  # one of them may have been altered
            text = await self._origin.fetch(kind.id.path(), _LARGEST, again=again)
            found = await self._believed(kind, text)
            if found is not None:
                break
        else:
            raise Problem("bad_upstream", detail=f"{kind.id.text()}: no known packager signed it")
        place = SliceId(kind.id, 0)
        self._levels.memory.put(place, _PUBLIC_KEY, text)
        if self._levels.store is not None:
            storing = self._levels.store.put_soon(place.key(), text)
            await settled([storing] if storing is not None else [], _SETTLE_S)
        return found

    async def _believed(self, kind: _Kind[T], text: bytes) -> T | None:
        """As `_read`; its packager may be newer than what we know, then keys is asked once more."""
        found = await self._read(kind, text)
        if found is None and self._refresh_trust is not None:
            self._count("trust_refreshes", 1)
            await self._refresh_trust()
            found = await self._read(kind, text)
        return found

    async def _read(self, kind: _Kind[T], text: bytes) -> T | None:
        """The document, kept from now on; None when its signature does not hold."""
        try:
            packagers = self._packagers()
            if len(text) > _LONG:
                found = await asyncio.to_thread(kind.read, text, packagers)
            else:
                found = kind.read(text, packagers)
        except (BadDescriptor, BadList) as exc:
            self._count("bad_documents", 1)
            _LOG.warning("a document is not what it should be: %s", exc)
            return None
        self._parsed[kind.id] = (len(text), found)
        self._parsed_bytes += len(text)
        while self._parsed_bytes > _PARSED_BYTES and len(self._parsed) > 1:
            _, (size, _) = self._parsed.popitem(last=False)
            self._parsed_bytes -= size
        return found
