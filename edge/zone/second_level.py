"""Redis below the memory of zones: what one worker has fetched all workers of all edges of a region have.

Looked up after a miss in memory, stored after a fill; and of all that miss together one asks the origin, the
others wait for what it stores (`turns`). Everything is sealed (`sealing`); what does not open is a miss,
counted, and removed. Redis being away, full or wrong costs requests to origins, never an answer. Keys:

    z:h:<name of the URI>        its head, or by which fields it varies and under which epoch
    z:h:<name of the variant>    the head of one variant
    z:s:<name of the slices>/i   slice i of a large body
    z:c:…                        whose turn it is to ask for that
"""

import asyncio
import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from edge.http import vary
from edge.http.entry import DAY_S, Entry, Request, Rules
from edge.http.freshness import ttl
from edge.http.partial import SLICE, validator
from edge.http.reuse import Fresh, Stale, decide
from edge.zone.sealing import (
    NONCE,
    BadEntry,
    What,
    entry_name,
    open_sealed,
    parts_name,
    read_head,
    read_pointer,
    seal,
    stored_at,
    variant_name,
    write_head,
    write_pointer,
)
from edge.zone.seen import ZoneCount, ignore
from edge.zone.sliced import Source
from edge.zone.store import slices_name
from edge.zone.turns import PATIENCE_S, ClaimStore, Sharing, Turn, pause, take_turn
from edge.zone.zone import Zone
from keys.region_ring import RegionRing

INLINE_MOST: Final = 4 << 20  # bytes of a body that is not in slices; longer ones are not shared
LOOK_AHEAD: Final = 64  # slices
UNSHARED_S: Final = 60.0  # for which it is known that answers for a URI are nobody else's
Ring = Callable[[], RegionRing | None]
Good = Callable[[], bool]


class SealedStore(ClaimStore, Protocol):
    """What this asks of Redis (`edge.cache.redis.RedisSlices`). A failure is a miss."""

    def put_soon(
        self, key: str, value: bytes | memoryview, *, ttl_s: int | None = None
    ) -> asyncio.Task[None] | None: ...

    async def present(self, keys: Sequence[str]) -> list[bool]: ...

    async def drop(self, key: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Found:
    """An entry somebody stored. `body` None: it is in slices."""

    entry: Entry
    body: bytes | None


class SecondLevel:
    """One worker's way to it. `ring` gives the region's keys; without any yet, nothing is shared."""

    def __init__(
        self,
        store: SealedStore,
        ring: Ring,
        *,
        now: Callable[[], float],
        clock: Callable[[], float],
        count: ZoneCount = ignore,
        newer: Callable[[], None] = lambda: None,
    ) -> None:
        """`now` is wall time, `clock` monotonic. `newer` is told when something needs a newer key."""
        self._store, self._ring, self.now, self._clock, self._count = store, ring, now, clock, count
        self._newer = newer

    async def turn(self, request: Request, zone: Zone, than: Entry | None) -> Found | Turn | None:
        """What is there for this request, newer than that; else whose turn it is: ours, or each for itself.

        Waits for whoever has the turn.
        """
        if self._ring() is None:
            return None
        key, since = f"z:c:{entry_name(zone, request.uri)}", self._clock()
        while True:
            found = await self.look(request, zone, than)
            if found is not None:
                return found
            turn = await take_turn(self._store, key, self._clock)
            if isinstance(turn, Turn):
                try:
                    found = await self.look(request, zone, than)  # stored between our look and our turn
                except BaseException:  # most likely the client left
                    await turn.give_up()
                    raise
                if found is None:
                    return turn
                await turn.give_up()
                return found
            if turn is None:
                return await self.look(request, zone, than)
            if self._clock() - since >= PATIENCE_S:
                return None
            await pause()

    async def look(self, request: Request, zone: Zone, than: Entry | None) -> Found | None:
        """What is there that this request may be answered with now, newer than that."""
        name = entry_name(zone, request.uri)
        try:
            data = await self._get(f"z:h:{name}", What(name))
            pointer = None if data is None else read_pointer(data)
            if pointer is not None:
                epoch, names = pointer
                name = variant_name(zone, request.uri, epoch, vary.variant(names, request.fields, zone.rules))
                data = await self._get(f"z:h:{name}", What(name))
            if data is None:
                return None
            entry, body = read_head(data, zone.rules)
        except BadEntry as bad:
            await self._bad(f"z:h:{name}", bad, zone)
            return None
        if body is None and not zone.rules.slices:
            return None
        if than is not None and entry.received <= than.received:
            return None
        if not isinstance(decide(request, [entry], self.now(), zone.rules), Fresh | Stale):
            return None
        self._count("zone_l2_hits", 1, zone.name)
        return Found(entry, body)

    async def keep(self, entry: Entry, body: bytes | None, zone: Zone) -> bool:
        """Stores an entry, with its body unless that is in slices. False: it is not one to be shared."""
        left_s = self._left_s(entry, zone.rules)
        if left_s <= 0 or entry.span is not None or (body is not None and len(body) > INLINE_MOST):
            return False
        name = entry_name(zone, entry.uri)
        names = tuple(field for field, _ in entry.variant)
        if names:
            epoch = await self._epoch(name, names)
            await self._put(f"z:h:{name}", What(name), write_pointer(epoch, names), DAY_S)
            name = variant_name(zone, entry.uri, epoch, entry.variant)
        await self._put(f"z:h:{name}", What(name), write_head(entry, body), left_s)
        return True

    async def forget(self, uri: str, zone: Zone) -> None:
        """Nothing of this URI is good any more."""
        await self._store.drop(f"z:h:{entry_name(zone, uri)}")

    async def part(self, entry: Entry, index: int, zone: Zone, after: float) -> bytes | Turn | None:
        """Slice `index` of a large body, stored after that time; else whose turn it is to ask for it.

        Waits for whoever has it. None: each for itself, as also until that time.
        """
        if self._ring() is None or self.now() <= after:
            return None
        key, since = self._slice_turn(entry, zone)(index), self._clock()
        while True:
            found = await self._slice(entry, index, zone, after)
            if found is not None:
                return found
            turn = await take_turn(self._store, key, self._clock)
            if isinstance(turn, Turn):
                try:
                    found = await self._slice(entry, index, zone, after)
                except BaseException:
                    await turn.give_up()
                    raise
                if found is None:
                    return turn
                await turn.give_up()
                return found
            if turn is None or self._clock() - since >= PATIENCE_S:
                return None
            await pause()

    async def run(self, entry: Entry, start: int, stop: int, zone: Zone, after: float) -> int:
        """Where, of bytes [start, stop), what nobody stored ends. The slice at `start` is missing."""
        if after > self.now() - DAY_S:
            return stop  # what is there may be older than that
        name = _name(entry, zone)
        further = range(start // SLICE + 1, min(-(-stop // SLICE), start // SLICE + LOOK_AHEAD))
        there = await self._store.present([f"z:s:{name}/{index}" for index in further])
        return min([stop, *(index * SLICE for index, has in zip(further, there, strict=True) if has)])

    async def sharing(self, entry: Entry, source: Source, start: int, zone: Zone, good: Good) -> Source:
        """The same answer, whose slices others get as they come. For what was not asked for by `part`."""
        if self._ring() is None:
            return source
        turn = await take_turn(self._store, self._slice_turn(entry, zone)(start // SLICE), self._clock)
        return self.shared(entry, source, start, turn if isinstance(turn, Turn) else None, zone, good)

    def shared(
        self, entry: Entry, source: Source, start: int, turn: Turn | None, zone: Zone, good: Good
    ) -> Source:
        """The same, in the turn `part` gave. `good`: whether what comes of it may still be stored."""
        left_s = self._left_s(entry, zone.rules)
        name = _name(entry, zone)

        def put(index: int, data: bytes) -> asyncio.Task[None] | None:
            if not good():
                return None
            return self._seal_soon(f"z:s:{name}/{index}", _slice(entry, name, index), data, left_s)

        return Sharing(source, start, entry.length or 0, turn, self._slice_turn(entry, zone), put)

    async def _slice(self, entry: Entry, index: int, zone: Zone, after: float) -> bytes | None:
        name = _name(entry, zone)
        key = f"z:s:{name}/{index}"
        try:
            data = await self._get(key, _slice(entry, name, index), after)
            if data is not None and len(data) != min(SLICE, (entry.length or 0) - index * SLICE):
                raise BadEntry("a slice of another length")
        except BadEntry as bad:
            await self._bad(key, bad, zone)
            return None
        if data is not None:
            self._count("zone_l2_slices", 1, zone.name)
        return data

    async def _epoch(self, name: str, names: tuple[bytes, ...]) -> bytes:
        """That under which the variants of a URI are now; a new one when there are none, or others."""
        try:
            data = await self._get(f"z:h:{name}", What(name))
            pointer = None if data is None else read_pointer(data)
        except BadEntry:
            pointer = None
        return pointer[0] if pointer is not None and pointer[1] == names else secrets.token_bytes(8)

    async def _get(self, key: str, what: What, after: float = float("-inf")) -> bytes | None:
        sealed, ring = await self._store.get(key), self._ring()
        if sealed is None or ring is None or stored_at(sealed) <= after:
            return None
        return open_sealed(ring, what, sealed, now=self.now())

    async def _bad(self, key: str, bad: BadEntry, zone: Zone) -> None:
        self._count("zone_l2_bad", 1, zone.name)
        if bad.newer:
            self._newer()
        else:
            await self._store.drop(key)

    async def _put(self, key: str, what: What, plain: bytes, for_s: float) -> None:
        stored = self._seal_soon(key, what, plain, for_s)
        if stored is not None:
            await asyncio.wait([stored])

    def _seal_soon(self, key: str, what: What, plain: bytes, for_s: float) -> asyncio.Task[None] | None:
        ring = self._ring()
        if ring is None or for_s <= 0:
            return None
        sealed = seal(ring, what, plain, stored_at=self.now(), nonce=secrets.token_bytes(NONCE))
        return self._store.put_soon(key, sealed, ttl_s=max(1, math.ceil(for_s)))

    def _left_s(self, entry: Entry, rules: Rules) -> float:
        """Seconds for which it may be of use: freshness and the stale windows, a day at most."""
        if entry.invalid or entry.directives.no_cache:
            return 0.0
        told = entry.directives
        windows = (
            told.stale_while_revalidate,
            told.stale_if_error,
            rules.stale_while_revalidate_s,
            rules.stale_if_error_s,
        )
        fresh_s = ttl(entry, self.now())
        return min(DAY_S, fresh_s + max(window or 0 for window in windows))

    @staticmethod
    def _slice_turn(entry: Entry, zone: Zone) -> Callable[[int], str]:
        name = _name(entry, zone)
        return lambda index: f"z:c:{name}/{index}"


def _slice(entry: Entry, name: str, index: int) -> What:
    return What(name, index, entry.length or 0, validator(entry) or b"")


def _name(entry: Entry, zone: Zone) -> str:
    return parts_name(zone, slices_name(entry))
