"""What zones of one worker have in common with others': what they take from the second level, and give."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from edge.http.entry import Entry, Request
from edge.http.partial import SLICE
from edge.zone.body import Body
from edge.zone.second_level import INLINE_MOST, UNSHARED_S, Found, Good, SecondLevel
from edge.zone.sliced import Lied, Other, Sliced, Source, Spawn
from edge.zone.store import Held, Store
from edge.zone.turns import MOMENT_S, Turn
from edge.zone.upstream import Reply
from edge.zone.zone import Zone

CLOCKS_S: Final = 5.0  # clocks of edges are no further apart, or an alarm is raised (SECURITY F24)
SLOW_S: Final = 3.0  # for so long after its head others wait for a body that is not in slices
More = Callable[[int, int], Awaitable[tuple[Reply, int]]]  # asks the origin for bytes [start, stop)


class There:
    """Slices that are there."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """See Source."""
        yield self._data

    async def close(self) -> None:
        """See Source."""


class Common:
    """One worker's. `spawn` runs a task, ended with the edge."""

    def __init__(self, second: SecondLevel, store: Store, spawn: Spawn) -> None:
        self._second, self._store, self._spawn = second, store, spawn

    async def turn(self, request: Request, zone: Zone, held: Held | None) -> Held | Turn | None:
        """What another stored, newer than what is held; else whose turn it is to ask."""
        found = await self._second.turn(request, zone, held.entry if held else None)
        return self._taken(found) if isinstance(found, Found) else found

    async def settle(self, turn: Turn | None, zone: Zone, held: Held | None, *, refused: bool) -> None:
        """Stores what came of it, when it is whole, and ends the turn. `refused`: it may not be kept.

        For what comes slowly nobody waits until it is whole.
        """
        for_s = UNSHARED_S if refused else MOMENT_S
        keeping = None if held is None else asyncio.ensure_future(self._kept(held, zone))
        try:
            if keeping is not None:
                done, _ = await asyncio.wait([keeping], timeout=SLOW_S)
                if not done or not keeping.result():
                    for_s = UNSHARED_S
        except BaseException:
            if keeping is not None:
                keeping.cancel()
            raise
        finally:
            if turn is not None:
                await turn.end(for_s)
        if keeping is not None:
            await keeping

    async def more(self, entry: Entry, zone: Zone, more: More, first: int, stop: int) -> tuple[Source, int]:
        """Bytes [first, stop) of a large body, or fewer: from another, or from the origin in our turn."""
        after = self._store.purged(entry) + CLOCKS_S  # others may have heard of a purge later
        found = await self._second.part(entry, first // SLICE, zone, after)
        if isinstance(found, bytes):
            return There(found), first + len(found)
        try:
            if found is not None:
                stop = await self._second.run(entry, first, stop, zone, after)
            good = self._good(entry, self._second.now())
            reply, stop = await more(first, stop)
        except BaseException as error:
            if found is not None:
                await found.give_up()
            if isinstance(error, Other | Lied):  # what is stored is no more what the origin has
                await self._second.forget(entry.uri, zone)
            raise
        if found is None:
            return reply, stop
        return self._second.shared(entry, reply, first, found, zone, good), stop

    async def sharing(self, entry: Entry, reply: Reply, start: int, zone: Zone) -> Source:
        """A large answer, whose slices others get as they come."""
        return await self._second.sharing(entry, reply, start, zone, self._good(entry, entry.requested))

    def _good(self, entry: Entry, asked: float) -> Good:
        """Whether nothing of it was purged since the origin was asked for it."""
        return lambda: self._store.purged(entry) < asked

    def forget(self, uri: str, zone: Zone) -> None:
        """Nothing that is stored of it is good any more."""
        self._spawn(self._second.forget(uri, zone))

    async def _kept(self, held: Held, zone: Zone) -> bool:
        """False: it is not one to be shared."""
        if held not in self._store.get(held.entry.uri):  # a 304 said that it may not be kept any more
            await self._second.forget(held.entry.uri, zone)
            return False
        if isinstance(held.body, Sliced):
            return await self._second.keep(held.entry, None, zone)
        if not await held.body.finished(INLINE_MOST):
            return held.body.size <= INLINE_MOST
        pieces = held.body.whole(INLINE_MOST)
        return pieces is not None and await self._second.keep(held.entry, b"".join(pieces), zone)

    def _taken(self, found: Found) -> Held:
        if found.body is None:
            large = Sliced(found.entry.length or 0, self._spawn)
            return self._store.add(found.entry, large, doubt_s=CLOCKS_S)
        body = Body.of(found.body)
        held = self._store.add(found.entry, body, doubt_s=CLOCKS_S)
        self._store.grow(held, body, len(found.body))
        return held
