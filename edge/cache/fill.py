"""One fill: an object's missing slices brought from the origin by one request, handed out while they arrive.

A long object is filled in blocks of 16 slices, each with a fill and a claim of its own: many parts of a
download arrive side by side, a slow reader has no more fetched than the block it reads, and nobody who wants
a byte here and a byte there pays for what lies between (SECURITY T10).

Inside a worker everybody who waits for a slice of the object waits on the same `Fill`. It first looks in L1
and L2 (another worker or node may be filling), and asks the origin only while it holds the claims. When their
holder dies, another's Fill takes over with what is missing then. Each slice is checked before anybody sees it
(levels.py).

A fill goes on while somebody still wants slices, whoever began it; when nobody does it stops at the next
slice, or finishes if more than 80 % are there (SECURITY F20). A body that is cut is resumed by Range, 3 times
at most (F4); a slice that is not the listed one is fetched again, twice at most (F5).
"""

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, Protocol
from weakref import WeakSet

from edge.cache.claims import Claims
from edge.cache.counters import Count, ignore
from edge.cache.levels import Levels, Target, settled
from edge.cache.slices import BLOCK, ObjectId, block_id, block_of, sealed_span
from edge.cache.upstream import Cut, Source
from keys.problems import Problem
from keys.tasks import end_tasks
from origin.media.seal import SLICE, TAG, BadSlice, sealed_length, slice_length

_LOG: Final = logging.getLogger(__name__)
TRIES_AGAIN: Final[dict[type[Exception], int]] = {Cut: 3, BadSlice: 2}
FINISH_SHARE: Final = (
    0.8  # of the block's bytes: with more than that in hand, a fill nobody waits for finishes
)
_RECENT: Final = 16  # slices a fill keeps for its own worker, also when L1 has no room for them
_SETTLE_S: Final = 1.0  # the claim is held this long for L2 to have it all, so that other nodes find it there


class Reader(Protocol):
    """Whoever reads an object. A fill holds it weakly: a reader that is gone wants nothing."""

    def wants(self) -> range:
        """Indexes of the slices it has still to read."""


class Fill:
    """The fill of one block of an object in this worker. Made by `Fills`; ends by itself."""

    def __init__(
        self, target: Target, block: int, levels: Levels, claims: Claims, origin: Source, count: Count
    ) -> None:
        self._target, self._levels, self._claims, self._origin = target, levels, claims, origin
        self._count = count
        self._readers: WeakSet[Reader] = WeakSet()
        self._waiters: dict[int, set[asyncio.Future[memoryview | None]]] = {}
        self._recent: OrderedDict[int, memoryview] = OrderedDict()
        self._block = range(block * BLOCK, min((block + 1) * BLOCK, len(target.digest.slices)))
        self._claimed = block_id(target.id, block)
        self._at = self._block.start  # the slice the origin is to send next
        self._since = claims.now()  # when something was last handed out

    def join(self, reader: Reader) -> None:
        """Count this reader among those who want slices."""
        self._readers.add(reader)

    async def wait(self, reader: Reader, index: int) -> memoryview | None:
        """The slice once it is there; None when the fill ended without it: look again. Problem: it failed."""
        self.join(reader)
        if index in self._recent:
            return self._recent[index]
        future: asyncio.Future[memoryview | None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(index, set()).add(future)
        try:
            return await future
        finally:
            self._leave(index, future)

    async def run(self) -> None:
        """Fill while somebody waits. Raises nothing: those who wait get the Problem."""
        problem: Problem | None = None
        try:
            await self._work()
        except Problem as exc:
            self._count("fills_failed", 1)
            _LOG.warning("fill of %s failed: %s", self._target.id.text(), exc)
            problem = exc
        except asyncio.CancelledError:
            problem = Problem("unavailable", detail="the cache is closing")
            raise
        except Exception:
            _LOG.exception("fill of %s failed", self._target.id.text())
            problem = Problem("internal", detail="a fill failed")
        finally:
            self.end(problem)

    def end(self, problem: Problem | None) -> None:
        """Nobody waits any longer: they look again, or get the Problem."""
        for future in [f for waiting in self._waiters.values() for f in waiting if not f.done()]:
            if problem is None:
                future.set_result(None)
            else:  # each waiter its own: an exception raised twice mixes their tracebacks
                future.set_exception(_again(problem))

    async def _work(self) -> None:
        alone = self._levels.store is None and not self._levels.memory.shared
        look_in_store = True
        while self._waiters:
            if await self._serve(store=look_in_store):
                continue
            if alone:  # nobody could see what another worker fetched
                await self._fetch()
                continue
            with self._claims.node_turn(self._claimed, self._since) as ours:
                if ours:
                    await self._lead()
            if not ours:
                look_in_store = not self._levels.memory.shared  # a worker of this node puts it into L1
                await self._claims.pause()

    async def _lead(self) -> None:
        """With the node's claim: fetch, or take from L2 what another node fetches."""
        while self._waiters and not await self._serve(store=True):
            async with self._claims.fleet_turn(self._claimed, self._since) as ours:
                # The last holder may have finished between our look and our turn.
                if ours and not await self._serve(store=True, anew=True):
                    await self._fetch()
            if not ours:
                await self._claims.pause()

    async def _serve(self, *, store: bool, anew: bool = False) -> bool:
        """Hand out what the caches have of what is waited for; whether that was anything."""
        served = False
        for index in sorted(self._waiters):
            if store:
                found = await self._levels.find(self._target, index, anew=anew)
            else:
                found = self._levels.in_memory(self._target, index)
            if found is not None:
                self._deliver(index, found)
                served = True
        return served

    async def _fetch(self) -> None:
        """Bring the missing slices from the first awaited on, by one request if nothing goes wrong."""
        if not self._waiters:
            return
        first = min(self._waiters)
        run = await self._levels.missing_run(self._target, first, self._wanted_from(first))
        self._count("fills", 1)
        storing: list[asyncio.Task[None]] = []
        failures: Counter[type[Exception]] = Counter()
        self._at = run.start
        while self._at < run.stop:
            try:
                if not await self._bring(range(self._at, run.stop), storing, failures.total()):
                    self._count("fills_abandoned", 1)
                    break
            except (Cut, BadSlice) as exc:
                failures[type(exc)] += 1
                self._count("bad_slices", int(isinstance(exc, BadSlice)))
                if failures[type(exc)] > TRIES_AGAIN[type(exc)]:
                    raise Problem("bad_upstream", detail=f"{dict(failures)}: {exc}") from exc
                self._count("fill_resumes", 1)
        await settled(storing, _SETTLE_S)

    async def _bring(self, run: range, storing: list[asyncio.Task[None]], again: int) -> bool:
        """One request for a run of slices, each handed out as it comes. False: stopped, as nobody waits."""
        async with aclosing(self._arriving(run, again)) as arriving:
            async for index, sealed in arriving:
                plain, task = self._levels.keep(self._target, index, sealed)
                if task is not None:
                    storing.append(task)
                self._deliver(index, plain)
                self._at = index + 1
                if self._at < run.stop and self._nobody_waits():
                    return False
        return True

    async def _arriving(self, run: range, again: int) -> AsyncGenerator[tuple[int, bytearray], None]:
        """Each sealed slice of the run, once all of it came. Cut or Problem when the rest will not come."""
        length = self._target.digest.length
        start, stop = sealed_span(run, length)
        whole = stop - start == sealed_length(length)
        index, buffer = run.start, bytearray()
        stream = self._origin.stream(self._target.id.path(), start, stop, whole=whole, again=again)
        async with aclosing(stream):
            async for chunk in stream:
                buffer += chunk
                while index < run.stop and len(buffer) >= (size := slice_length(length, index) + TAG):
                    sealed, buffer = buffer[:size], buffer[size:]
                    yield index, sealed
                    index += 1

    def _deliver(self, index: int, plain: memoryview) -> None:
        self._since = self._claims.now()
        self._recent[index] = plain
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        for future in self._waiters.pop(index, ()):
            if not future.done():
                future.set_result(plain)

    def _leave(self, index: int, future: "asyncio.Future[memoryview | None]") -> None:
        waiting = self._waiters.get(index)
        if waiting is not None:
            waiting.discard(future)
            if not waiting:
                del self._waiters[index]

    def _wanted_from(self, first: int) -> int:
        """Where the slices end that somebody wants, from an awaited one on without a gap."""
        stop = first + 1
        for wanted in sorted((reader.wants() for reader in self._readers), key=lambda wanted: wanted.start):
            if wanted.start <= stop:
                stop = max(stop, min(wanted.stop, self._block.stop))
        return stop

    def _nobody_waits(self) -> bool:
        start, stop = self._block.start * SLICE, min(self._block.stop * SLICE, self._target.digest.length)
        if self._at * SLICE - start > FINISH_SHARE * (stop - start):
            return False
        return not self._waiters and not any(self._wants_more(reader.wants()) for reader in self._readers)

    def _wants_more(self, wanted: range) -> bool:
        return max(wanted.start, self._at) < min(wanted.stop, self._block.stop)


class Fills:
    """The fills under way in this worker."""

    def __init__(self, levels: Levels, claims: Claims, origin: Source, *, count: Count = ignore) -> None:
        self._make: Callable[[Target, int], Fill] = lambda target, block: Fill(
            target, block, levels, claims, origin, count
        )
        self._running: dict[tuple[ObjectId, int], tuple[Fill, asyncio.Task[None]]] = {}  # by object and block

    async def settled(self) -> None:
        """Wait until those that run now have ended."""
        await asyncio.gather(*(task for _, task in self._running.values()), return_exceptions=True)

    def join(self, target: Target, reader: Reader, index: int) -> None:
        """Let the fill that brings this slice, if one runs, know of one more reader."""
        running = self._running.get((target.id, block_of(index)))
        if running is not None:
            running[0].join(reader)

    async def wait(self, target: Target, reader: Reader, index: int) -> memoryview | None:
        """The slice from its block's fill, which is begun if none runs. None: look again."""
        key = (target.id, block_of(index))
        running = self._running.get(key)
        if running is None:
            fill = self._make(target, key[1])
            task = asyncio.create_task(self._run(key, fill), name=f"fill {target.id.text()}")
            self._running[key] = running = (fill, task)
        return await running[0].wait(reader, index)

    async def close(self) -> None:
        """Stop all fills; who waits gets Problem unavailable."""
        running = list(self._running.values())
        await end_tasks(task for _, task in running)
        for fill, _ in running:  # also those whose task never came to run
            fill.end(Problem("unavailable", detail="the cache is closing"))
        self._running.clear()

    async def _run(self, key: tuple[ObjectId, int], fill: Fill) -> None:
        try:
            await fill.run()
        finally:  # in the step in which it ends, so that nobody joins a fill that is over
            self._running.pop(key, None)


def _again(problem: Problem) -> Problem:
    return Problem(problem.code, problem.message, detail=problem.detail, retry_after_s=problem.retry_after_s)
