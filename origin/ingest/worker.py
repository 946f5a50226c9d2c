"""Takes work from the queue (`origin.store.claims`) and holds it while it is done, several at a time.

What the work is, is the caller's: a coroutine for a claim, ended by cancellation. Besides it a heart beats in
the database: that holds the claim, and tells when somebody elsewhere cancelled it, or when it is lost.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Final

from keys.tasks import end_tasks
from origin.ingest.presence import Presence
from origin.store.claims import Claim, Claims, Rhythm

CLEARS_UP_WITHIN_S: Final = 10.0  # a cancelled job, or its cancellation was lost and is said again

_LOG: Final = logging.getLogger(__name__)


class Worker:
    """One process's share of the queue. Works while `running()` is entered."""

    def __init__(
        self,
        claims: Claims,
        presence: Presence,
        node: str,
        work: Callable[[Claim], Coroutine[Any, Any, None]],
        *,
        concurrency: int = 1,
        rhythm: Rhythm | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`node` is the machine it runs on; `concurrency` 0 takes nothing."""
        self._claims = claims
        self._presence = presence
        self._node = node
        self._work = work
        self._concurrency = concurrency
        self._rhythm = rhythm or Rhythm()
        self._clock = clock
        self._news = asyncio.Event()
        self._active: dict[str, tuple[Claim, asyncio.Task[None], asyncio.Task[None]]] = {}
        self.publishing: set[str] = (
            set()
        )  # comes to its end by itself: cut off there, it would leave its file

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Takes what there is while entered; then gives back what it did not finish."""
        with self._presence:
            looking = asyncio.create_task(self._look_on())
            try:
                yield
            finally:
                await end_tasks([looking])
                await end_tasks([kept for _, _, kept in self._active.values()], 3 * CLEARS_UP_WITHIN_S)
                await _tried(self._claims.leave(self._presence.holder))

    def wake(self) -> None:
        """There may be work."""
        self._news.set()

    def claim_of(self, asset: str) -> Claim | None:
        """The claim this process has on an asset."""
        found = self._active.get(asset)
        return found[0] if found else None

    async def stop(self, asset: str) -> None:
        """Ends the work on it, if it is done here, and waits until what it made is gone."""
        if found := self._active.get(asset):
            _, job, kept = found
            if asset not in self.publishing:
                await end_tasks([job], CLEARS_UP_WITHIN_S)
            await asyncio.wait([kept])

    async def still(self, claim: Claim) -> bool:
        """Whether the asset is to be ingested on, by us: asked before what cannot be undone."""
        return await self._claims.beat(claim, self._rhythm.lease_s) == "ingesting"

    async def _look_on(self) -> None:
        while True:
            self._news.clear()
            try:
                if self._concurrency:
                    await self._look()
            except Exception:  # the database is away: what is queued waits for it
                _LOG.exception("the queue cannot be read")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._rhythm.poll_s):
                    await self._news.wait()

    async def _look(self) -> None:
        for holder in await self._claims.holders(self._node):
            if self._presence.dead(holder):
                _LOG.warning("the worker %s is dead; what it had is taken up again", holder)
                await self._claims.lapse(holder)
        while len(self._active) < self._concurrency and not self._alone():
            claim = await self._claims.claim(
                self._presence.holder, self._node, idle=not self._active, lease_s=self._rhythm.lease_s
            )
            if claim is None:
                return
            job = asyncio.create_task(self._work(claim))
            kept = asyncio.create_task(self._keep(claim, job))
            self._active[claim.asset] = (claim, job, kept)

    def _alone(self) -> bool:
        """Whether something is tried here that may take its worker with it."""
        return any(claim.attempts > 1 for claim, _, _ in self._active.values())

    async def _keep(self, claim: Claim, job: "asyncio.Task[None]") -> None:
        """Holds the claim until the work has ended; then it is over, unless this worker was told to end."""
        beating = asyncio.create_task(self._beat(claim, job))
        try:
            await asyncio.wait([job])
            if failure := _failure(job):  # the catalogue itself failed
                _LOG.error("%s was left in the middle", claim.asset, exc_info=failure)
            await end_tasks([beating])
            await _tried(self._claims.end(claim))
        finally:
            await end_tasks([job], CLEARS_UP_WITHIN_S)
            await end_tasks([beating])
            del self._active[claim.asset]
            self.wake()

    async def _beat(self, claim: Claim, job: "asyncio.Task[None]") -> None:
        """Says again and again that we are there. Ends work that is not ours or not wanted any more.

        What clears up after being cancelled is held as well: until then nobody else may begin.
        """
        asked, told = self._clock(), float("-inf")
        while True:
            await asyncio.sleep(self._rhythm.beat_s)
            began = self._clock()
            try:
                async with asyncio.timeout(self._rhythm.lease_s / 3):
                    state = await self._claims.beat(claim, self._rhythm.lease_s)
            except Exception as error:  # away or slow: held until the lease ends, and not longer
                _LOG.warning("the claim on %s was not renewed: %s", claim.asset, error)
                state = "ingesting" if began < asked + self._rhythm.lease_s else None
            else:
                asked = began
            if state in ("ingesting", "published") or claim.asset in self.publishing:
                continue
            if began >= told + CLEARS_UP_WITHIN_S:  # else it clears up: told again, it would leave something
                told = began
                _LOG.info("%s is %s: its work here ends", claim.asset, state or "another worker's")
                job.cancel()


def _failure(job: "asyncio.Task[None]") -> BaseException | None:
    return None if job.cancelled() else job.exception()


async def _tried(change: Awaitable[None]) -> None:
    """Makes a change that the end of a lease would make too."""
    try:
        await change
    except Exception:
        _LOG.exception("the queue could not be told")
