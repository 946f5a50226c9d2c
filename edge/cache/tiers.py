"""Several places that have the same stored bytes, in the order in which they are asked (SECURITY F32).

Shields come first: of them the owner of what is asked for (`rendezvous`: a block of an object, or a
document), so that edges who know the same shields ask the same one, then the next in rank, SHIELDS_ASKED in
all; then the addresses of the origin, in the order in which they are set. One that gives no bytes is passed
by for the next: slices are written once and checked against their digests, so it does not matter whose they
are. Bytes that broke off or were wrong are asked for from the next one on (`again`).

All but the last have FAILOVER_S together for the heads of their answers, and may be silent for that long in
them. A request that was answered, or is perhaps being worked on, goes on to the next within a budget (F6):
whoever it waits for may be the same. One that never went out, or went to who is known to be away by then,
goes on freely.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final

from edge.cache.counters import Count, ignore
from edge.cache.rendezvous import SHIELDS_ASKED, ranked
from edge.cache.slices import BLOCK
from edge.cache.upstream import Cut, OriginClient, Trouble
from edge.zone.budget import Budget
from keys.problems import Problem
from origin.media.seal import sealed_offset

_LOG: Final = logging.getLogger(__name__)
FAILOVER_S: Final = 2.5  # which with a connection to the next one is 3 s at most
FAILURES: Final = 3  # in a row, after which one is away: as many as the budget lets go on in any case
PASSED_BY: Final = ("unavailable", "bad_upstream", "loop")


class Tiers:
    """Shields and origins as one Source. There is at least one origin."""

    def __init__(
        self,
        shields: Sequence[OriginClient],
        origins: Sequence[OriginClient],
        *,
        count: Count = ignore,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shields = {shield.url: shield for shield in shields}
        self._origins, self._count, self._now = tuple(origins), count, now
        self._budget = Budget()

    @property
    def up(self) -> bool:
        """Whether an address of the origin was found to answer lately."""
        return any(origin.up for origin in self._origins)

    @property
    def addresses(self) -> int:
        """See Source."""
        return min(SHIELDS_ASKED, len(self._shields)) + len(self._origins)

    @property
    def shields_up(self) -> int:
        """See Source."""
        return sum(shield.up for shield in self._shields.values())

    def missing(self) -> str | None:
        """For health: which addresses do not answer, or None."""
        away = [each.url for each in (*self._shields.values(), *self._origins) if not each.up]
        if not away:
            return None
        rest = "what is cached is served" if len(away) == len(self._shields) + len(self._origins) else ""
        return "; ".join([f"{', '.join(away)} gives no answer", rest or "the others are asked"])

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(each.close() for each in (*self._shields.values(), *self._origins)))

    async def stream(
        self, path: str, start: int, stop: int, *, whole: bool, again: int = 0
    ) -> AsyncGenerator[bytes, None]:
        """See Source. Problems and Cut as of an OriginClient; another is asked until the first byte came."""
        asking = _Asking(self._order(path, start, again), self._budget, self._count, self._now)
        while True:
            client, begun = asking.next(), False
            try:
                async with aclosing(client.stream(path, start, stop, whole=whole)) as body:
                    async for chunk in body:
                        begun = True
                        yield chunk
                return
            except (Problem, Cut) as error:
                if begun:
                    raise
                asking.failed(client, error)

    async def fetch(self, path: str, limit: int, *, again: int = 0) -> bytes:
        """See Source."""
        asking = _Asking(self._order(path, 0, again), self._budget, self._count, self._now)
        while True:
            try:
                client = asking.next()
                return await client.fetch(path, limit)
            except Problem as error:
                asking.failed(client, error)

    def _order(self, path: str, start: int, again: int) -> list[OriginClient]:
        """Whom to ask, one after the other; with `again`, from as many further on, and round."""
        key = f"{path}#{start // sealed_offset(BLOCK)}"
        shields = ranked(self._shields, key)[:SHIELDS_ASKED]
        order = [*(self._shields[url] for url in shields), *self._origins]
        first = again % len(order)
        return order[first:] + order[:first]


class _Asking:
    """One question on its way from one address to the next."""

    def __init__(
        self, order: Sequence[OriginClient], budget: Budget, count: Count, now: Callable[[], float]
    ) -> None:
        self._order, self._budget, self._count, self._now = list(order), budget, count, now
        budget.request(now())

    def next(self) -> OriginClient:
        """Whom to ask now."""
        return self._order.pop(0)

    def failed(self, client: OriginClient, error: Problem | Cut) -> None:
        """This one gave nothing. Raises the error when nobody else is to be asked."""
        asked = client.up and (not isinstance(error, Trouble) or error.asked)
        if isinstance(error, Problem) and error.code not in PASSED_BY:
            raise error
        if not self._order:
            raise error
        if asked and not self._budget.repeat(self._now()):
            self._count("failovers_refused", 1)
            raise error
        self._count("failovers", 1)
        _LOG.info("%s gave nothing, %s is asked: %s", client.url, self._order[0].url, error)


def source(
    shields: Sequence[str],
    origins: Sequence[str],
    make: Callable[..., OriginClient],
    *,
    count: Count = ignore,
) -> "Tiers | OriginClient":
    """What asks these addresses; `make(url, **how)` gives the client of one."""
    if not shields and len(origins) == 1:
        return make(origins[0])
    before = min(SHIELDS_ASKED, len(shields)) + len(origins) - 1
    hasty: dict[str, Any] = {
        "connect_timeout_s": 0.9 * FAILOVER_S / before,
        "head_timeout_s": FAILOVER_S / before,
        "read_timeout_s": FAILOVER_S,
        "failures": FAILURES,
    }
    return Tiers(
        [make(url, tier="shield", **hasty) for url in shields],
        [*(make(url, **hasty) for url in origins[:-1]), make(origins[-1])],
        count=count,
    )
