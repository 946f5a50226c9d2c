"""How many sessions of a viewer, or of an asset, are in use at once, over all edges (SECURITY T2).

Every request of a session is its heartbeat. The first takes a place of its viewer, or of its link where that
names no viewer (`BY_VIEWER`), and where its asset has a limit one of those (`BY_ASSET`); those that follow
keep it, and the control store is told of them every RENEW_S at most, so a request of a playing session costs
nothing here. Where all places are taken the newcomer is refused, and who plays, plays on. A place is free
again `idle_s` after the last request of its session, or when the player says that it stops. While the store
is lost nobody who plays is refused and nobody new begins; afterwards each worker claims the places it knows
to be taken.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from edge.deliver.counters import Count, ignore
from edge.deliver.pace_ledger import RETRY_S, StoreLost
from keys.leases import Lease
from keys.problems import Problem

RENEW_S: Final = 3.0
IDLE_S: Final = 30.0  # players with a full buffer ask for nothing for a while
LEAVES_EVERY_S: Final = 10.0  # of one viewer: two players must not share a place by turns
MOST: Final = 20_000  # sessions one worker knows of

COUNTERS: Final[dict[str, str]] = {
    "streams_refused": "requests refused because their viewer has as many streams as he may",
    "asset_streams_refused": "requests refused because their asset has as many streams as it may",
    "streams_store_lost": "times the control store did not answer about a stream",
}


@dataclass(frozen=True, slots=True)
class Counted:
    """What sessions are counted by."""

    limit: str  # as a Problem names it
    refused: str  # the counter of refusals
    most: Callable[[Lease], int | None]  # places there are; None: no limit
    bucket: Callable[[Lease], str]  # whose they are


BY_VIEWER: Final = Counted(
    "streams", "streams_refused", lambda lease: lease.limits.streams, lambda lease: lease.bucket
)
BY_ASSET: Final = Counted(
    "asset",
    "asset_streams_refused",
    lambda lease: lease.asset_streams,
    lambda lease: f"asset/{lease.tenant}/{lease.asset}",  # no viewer's: their names have no slash
)


class PlaceStore(Protocol):
    """Where places are. A method may raise StoreLost, and nothing else."""

    async def take(self, bucket: str, sid: str, most: int, idle_s: float, *, sure: bool) -> bool:
        """Takes a place of `bucket`, or keeps the one the session has; whether it has one now.

        Of `most` places those count that were taken or kept within `idle_s`. `sure`: take it all the same.
        """
        ...

    async def leave(self, bucket: str, sid: str, every_s: float, by: str) -> None:
        """Gives a place of `bucket` back, unless the same viewer (`by`) did so there within `every_s`."""
        ...


@dataclass(slots=True)
class _Place:
    bucket: str
    most: int
    kept: float = -math.inf  # when the store last said it is taken, or would have
    under_way: int = 0  # requests


class Streams:
    """The places this worker knows of. `clock` is monotonic."""

    def __init__(
        self,
        store: PlaceStore,
        *,
        clock: Callable[[], float],
        counted: Counted = BY_VIEWER,
        count: Count = ignore,
        idle_s: float = IDLE_S,
        renew_s: float = RENEW_S,
        retry_s: float = RETRY_S,
    ) -> None:
        self._store = store
        self._clock = clock
        self._counted = counted
        self._count = count
        self._idle_s = idle_s
        self._renew_s = renew_s
        self._retry_s = retry_s
        self._ask_again_at = -math.inf
        self._places: dict[str, _Place] = {}

    async def heartbeat(self, lease: Lease, *, begins: bool = False) -> None:
        """One request of a session. Problem limit when it has no place and there is none for it.

        `begins`: it is what a player asks for first; without the store that is refused as unavailable.
        """
        most = self._counted.most(lease)
        if most is None:
            return
        place = self._places.get(lease.sid) or _Place(self._counted.bucket(lease), most)
        if self._clock() - place.kept < self._renew_s:
            return
        place.most = most
        if not await self._keep(lease.sid, place, begins=begins and math.isinf(place.kept)):
            self._count(self._counted.refused, 1)
            detail = f"{place.most} streams are in use"
            raise Problem("limit", limit=self._counted.limit, detail=detail)

    @contextmanager
    def under_way(self, lease: Lease) -> Iterator[None]:
        """While an answer is on its way, or held for the pace, its session keeps its place."""
        place = self._places.get(lease.sid)
        if place is None:
            yield
            return
        place.under_way += 1
        try:
            yield
        finally:
            place.under_way -= 1

    async def leave(self, lease: Lease) -> None:
        """The player says that it stops."""
        self._places.pop(lease.sid, None)
        if self._counted.most(lease) is not None and self._clock() >= self._ask_again_at:
            try:
                bucket = self._counted.bucket(lease)
                await self._store.leave(bucket, lease.sid, LEAVES_EVERY_S, lease.bucket)
            except StoreLost:
                self._lost()

    async def run(self) -> None:
        """Keeps the places of answers that take long, until cancelled."""
        while True:
            await asyncio.sleep(self._renew_s)
            await self.renew()

    async def renew(self) -> None:
        """One look at all places: those with an answer under way are kept, those long idle are let go."""
        for sid, place in list(self._places.items()):
            if place.under_way and self._clock() - place.kept >= self._renew_s:
                await self._keep(sid, place, begins=False)
            elif not place.under_way and self._clock() - place.kept > self._idle_s:
                self._places.pop(sid, None)

    async def _keep(self, sid: str, place: _Place, *, begins: bool) -> bool:
        asked = self._clock()
        # Within this time nobody else could get it, unless the store forgot or did not hear of it.
        sure = asked - place.kept < 0.9 * self._idle_s
        if asked >= self._ask_again_at:
            try:
                if not await self._store.take(place.bucket, sid, place.most, self._idle_s, sure=sure):
                    self._places.pop(sid, None)
                    return False
            except StoreLost:
                self._lost()
        if self._clock() < self._ask_again_at and begins:
            raise Problem("unavailable", "Try again in a moment.", detail="streams cannot be counted")
        if sid in self._places or len(self._places) < MOST:
            self._places[sid] = place
        place.kept = asked
        return True

    def _lost(self) -> None:
        self._count("streams_store_lost", 1)
        self._ask_again_at = self._clock() + self._retry_s
