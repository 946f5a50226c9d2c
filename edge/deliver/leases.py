"""The leases this worker holds: one for each session it serves, in memory only, renewed before they end.

The first request of a session asks keys; those that come meanwhile wait for the same answer. From
RENEW_AFTER_S on a lease is renewed in the background, so that when keys goes away every lease has ten
minutes left; and while keys is away a lease is stretched to STRETCH_S after it was last heard (SECURITY
3.4, F27). A session without a lease then gets 503. A refusal is remembered for a few seconds, so a
revoked player that keeps asking costs keys little. Times are of the monotonic clock; the length of a
lease is measured on keys' own.

However many sessions come at once (an edge beside this one died), keys is asked for ASKED_AT_ONCE at a time:
it then answers one after the other, and not all of them too late. What one worker of a node took, the others
take over from the shelf they share (`lease_shelf`), so a session is good on all of them while keys is away,
and keys is asked once a node.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from edge.deliver.counters import Count, ignore
from edge.deliver.patience import Patience
from keys.leases import Lease
from keys.problems import Problem

RENEW_AFTER_S: Final = 5 * 60.0
STRETCH_S: Final = 10 * 60.0
IDLE_S: Final = 15 * 60.0  # a lease nobody asks for is let go
LOOK_EVERY_S: Final = 5.0
REFUSED_FOR_S: Final = 5.0
MOST_REFUSALS: Final = 10_000
RENEWALS_AT_ONCE: Final = 16  # when very many are due;
RENEWALS_IN_A_ROW: Final = 20  # few are renewed one after another: each at once more is a connection more
UNANSWERED: Final = 4
ASKED_AT_ONCE: Final = 8
SWEEP_EVERY_S: Final = 60.0  # of the shelf

log = logging.getLogger("sluice.edge.leases")


class LendsKeys(Protocol):
    """Who is asked (`keys.client`)."""

    async def lease(self, session_token: str, uri: str) -> Lease:
        """The session's lease. Problem expired, revoked, …; unavailable when keys cannot be asked."""
        ...


class Shelf(Protocol):
    """Where the workers of a node put leases for each other (`deliver.lease_shelf`)."""

    def put(self, lease: Lease, taken: float) -> None: ...

    def get(self, sid: str) -> tuple[Lease, float] | None: ...

    def forget(self, sid: str) -> None: ...

    def sweep(self, now: float) -> None: ...


@dataclass(slots=True)
class _Held:
    lease: Lease
    token: str = field(repr=False)
    uri: str
    taken: float
    used: float
    until: float


class Leases:
    """All leases of one worker, by session ID."""

    def __init__(
        self,
        keys: LendsKeys,
        *,
        clock: Callable[[], float],
        patience: Patience | None = None,
        count: Count = ignore,
        shelf: Shelf | None = None,
    ) -> None:
        """`clock` is monotonic, and the same for all workers that share the shelf."""
        self._keys = keys
        self._shelf = shelf
        self._swept = 0.0
        self._patience = patience or Patience()
        self._clock = clock
        self._count = count
        self._held: dict[str, _Held] = {}
        self._asking: dict[str, asyncio.Task[Lease]] = {}
        self._turns = asyncio.Semaphore(ASKED_AT_ONCE)
        self._refused: dict[str, tuple[Problem, float]] = {}
        self._lost: float | None = None  # since when keys cannot be asked

    def __len__(self) -> int:
        return len(self._held)

    async def get(self, sid: str, token: str, uri: str) -> Lease:
        """The lease of a session whose token was verified for `uri`. A Problem when keys gives none."""
        held = self._held.get(sid)
        if held is not None and self._clock() < self._end(held):
            held.used, held.token, held.uri = (
                self._clock(),
                token,
                uri,
            )  # the newest token: one may be renewed
            return held.lease
        refused = self._refused.get(sid)
        if refused is not None and self._clock() < refused[1]:
            raise Problem(refused[0].code, detail="remembered refusal")
        if self._adopt(sid, token, uri):
            return self._held[sid].lease
        return await self._patience.wait(self._ask_once(sid, token, uri), running=True)

    def forget(self, sid: str) -> None:
        """This worker lets go of a session's keys: nobody asks for it here, it is over, or revoked."""
        self._held.pop(sid, None)

    def drop(self, sid: str) -> None:
        """No worker of this node keeps a session's keys: it was taken back."""
        self.forget(sid)
        if self._shelf is not None:
            self._shelf.forget(sid)

    def drop_where(self, concerned: Callable[[Lease], bool]) -> None:
        """Lets go of the keys of all sessions that are concerned, whether anybody asks for them or not."""
        for sid in [sid for sid, held in self._held.items() if concerned(held.lease)]:
            self.drop(sid)

    async def run(self) -> None:
        """Renews what is due and drops what is idle, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.renew()

    async def renew(self) -> None:
        """One look at all leases: those due are renewed, those idle are let go."""
        now = self._clock()
        for sid, held in list(self._held.items()):
            if now - held.used > IDLE_S:
                self.forget(sid)
        self._refused = {sid: entry for sid, entry in self._refused.items() if entry[1] > now}
        if self._shelf is not None and now - self._swept >= SWEEP_EVERY_S:
            self._swept = now
            self._shelf.sweep(now)
        due = [sid for sid in list(self._held) if self._is_due(sid, now)]
        at_once = min(RENEWALS_AT_ONCE, 1 + len(due) // RENEWALS_IN_A_ROW)
        unanswered = 0
        for start in range(0, len(due), at_once):
            some = [self._renew(sid) for sid in due[start : start + at_once]]
            unanswered = 0 if any(await asyncio.gather(*some)) else unanswered + len(some)
            if unanswered >= UNANSWERED:
                return  # keys is away: one try for each of many sessions would only pile up

    def _is_due(self, sid: str, now: float) -> bool:
        """Whether keys must be asked: another worker may have done so."""
        held = self._held[sid]
        if now - held.taken < RENEW_AFTER_S:
            return False
        return not self._adopt(sid, held.token, held.uri) or now - self._held[sid].taken >= RENEW_AFTER_S

    def _adopt(self, sid: str, token: str, uri: str) -> bool:
        """Takes over a lease that another worker took later than ours; whether there was a good one."""
        found = self._shelf.get(sid) if self._shelf is not None else None
        if found is None:
            return False
        lease, taken = found
        known = self._held.get(sid)
        used = known.used if known is not None else self._clock()
        offered = _Held(lease, token, uri, taken, used, taken + _length(lease))
        if (known is not None and known.taken >= taken) or self._clock() >= self._end(offered):
            return False
        self._held[sid] = offered
        return True

    async def _renew(self, sid: str) -> bool:
        """Whether keys answered, whatever it said."""
        held = self._held.get(sid)
        if held is None:
            return True
        try:
            await asyncio.shield(self._ask_once(sid, held.token, held.uri))
        except Problem as problem:
            return problem.status == 403
        return True

    def _ask_once(self, sid: str, token: str, uri: str) -> asyncio.Task[Lease]:
        task = self._asking.get(sid)
        if task is None:
            task = asyncio.create_task(self._ask(sid, token, uri))
            self._asking[sid] = task
            task.add_done_callback(lambda done: self._answered(sid, done))
        return task

    def _answered(self, sid: str, task: asyncio.Task[Lease]) -> None:
        self._asking.pop(sid, None)
        if not task.cancelled():
            task.exception()  # seen here too: whoever waited may have left

    async def _ask(self, sid: str, token: str, uri: str) -> Lease:
        try:
            async with self._turns:
                began = self._clock()
                lease = await self._keys.lease(token, uri)
        except Problem as problem:
            self._not_given(sid, problem)
            raise
        self._lost = None
        used = self._held[sid].used if sid in self._held else began
        self._held[sid] = _Held(lease, token, uri, began, used, began + _length(lease))
        if self._shelf is not None:
            self._shelf.put(lease, began)
        self._count("leases", 1)
        return lease

    def _not_given(self, sid: str, problem: Problem) -> None:
        now = self._clock()
        if problem.status != 403:
            self._lost = now if self._lost is None else self._lost
            log.warning("no lease: %s", problem.detail or problem.code)
            return
        self._lost = None
        self.drop(sid)
        if problem.code != "expired" and len(self._refused) < MOST_REFUSALS:  # a renewed token may follow
            self._refused[sid] = (problem, now + REFUSED_FOR_S)

    def _end(self, held: _Held) -> float:
        return held.until if self._lost is None else max(held.until, self._lost + STRETCH_S)


def _length(lease: Lease) -> float:
    """Seconds a lease is good for from when it was asked for, measured on keys' clock."""
    return max(0.0, lease.lease_expires - lease.now)
