"""Whose turn it is to ask an origin, among all workers of all edges that share a Redis.

A turn is a claim that lives 5 s and is renewed each second, so that it ends soon after its holder died, or
30 s after it last brought anything: nobody waits for it longer than that. It only saves requests (SECURITY
1.1): without Redis everybody has one. When it ends, for a moment a word stands in its place, "each for
itself", so that who waited and still finds nothing does not queue.
"""

import asyncio
import random
import secrets
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, Protocol

from edge.http.partial import SLICE
from edge.zone.sliced import Source
from keys.tasks import end_tasks

TTL_MS: Final = 5000
HEARTBEAT_S: Final = 1.0
POLL_S: Final = (0.01, 0.05)  # who waits looks again after between these
PATIENCE_S: Final = 30.0  # for so long somebody is waited for who lives but brings nothing
EACH_FOR_ITSELF: Final = b"-"
MOMENT_S: Final = 1.0


class ClaimStore(Protocol):
    """What turns need of Redis. None: it cannot say."""

    async def get(self, key: str) -> bytes | None: ...

    async def claim(self, key: str, owner: bytes, ttl_ms: int) -> bool | None: ...

    async def extend(self, key: str, owner: bytes, ttl_ms: int) -> bool | None: ...

    async def release(self, key: str, owner: bytes) -> bool | None: ...

    async def leave(self, key: str, owner: bytes, word: bytes, ttl_ms: int) -> bool | None: ...


class Turn:
    """Ours, until it ends, or nobody holds it any more: whoever had it may have been cancelled anywhere."""

    def __init__(self, store: ClaimStore, key: str, owner: bytes, clock: Callable[[], float]) -> None:
        self._store, self._key, self.owner, self._clock = store, key, owner, clock
        self._keys = {key}
        self.brings()
        self._beat = asyncio.create_task(_beats(weakref.ref(self)), name="zone turn")

    def brings(self) -> None:
        """Something comes of it."""
        self._brought = self._clock()

    @property
    def idle(self) -> bool:
        """Whether it has brought nothing for so long that nobody waits for it any more."""
        return self._clock() - self._brought >= PATIENCE_S

    async def also(self, key: str) -> None:
        """Takes one more, if nobody has it."""
        if not self._beat.done() and await self._store.claim(key, self.owner, TTL_MS):
            self._keys.add(key)

    async def done_with(self, key: str) -> None:
        """Gives one of them up."""
        if key in self._keys:
            self._keys.discard(key)
            await self._store.release(key, self.owner)

    async def end(self, for_s: float = MOMENT_S) -> None:
        """It is over; for so long each is for itself."""
        await end_tasks([self._beat])
        word = self._store.leave(self._key, self.owner, EACH_FOR_ITSELF, int(for_s * 1000))
        others = [self._store.release(key, self.owner) for key in self._keys - {self._key}]
        await asyncio.gather(word, *others)

    async def give_up(self) -> None:
        """It is over, and the next may have it at once."""
        await end_tasks([self._beat])
        await asyncio.gather(*(self._store.release(key, self.owner) for key in self._keys))

    async def extend(self) -> None:
        """Keeps it for another TTL_MS."""
        await asyncio.gather(*(self._store.extend(key, self.owner, TTL_MS) for key in tuple(self._keys)))


async def _beats(of: "weakref.ref[Turn]") -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_S)
        turn = of()
        if turn is None or turn.idle:
            return
        await turn.extend()
        del turn  # held, it would be held for ever


async def take_turn(store: ClaimStore, key: str, clock: Callable[[], float]) -> Turn | bool | None:
    """Ours; False: somebody else's. None: each is for itself. `clock` is monotonic."""
    owner = secrets.token_bytes(16)
    taken = await store.claim(key, owner, TTL_MS)
    if taken:
        return Turn(store, key, owner, clock)
    if taken is None or await store.get(key) == EACH_FOR_ITSELF:
        return None
    return False


async def pause() -> None:
    """A moment before looking again."""
    await asyncio.sleep(random.uniform(*POLL_S))


class Sharing:
    """An answer that brings slices from byte `start` on, each of which goes to others as it is whole.

    `put` stores one; while it comes, and the one after it, `turn` says that others need not ask.
    """

    def __init__(
        self,
        source: Source,
        start: int,
        total: int,
        turn: Turn | None,
        key: Callable[[int], str],
        put: Callable[[int, bytes], asyncio.Task[None] | None],
    ) -> None:
        self._source, self._at, self._total = source, start, total
        self._turn, self._key, self._put = turn, key, put
        self._pieces: list[bytes] = []
        self._work: set[asyncio.Task[None]] = set()
        self._ahead(start // SLICE + 1)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """See Source."""
        async with aclosing(self._source.pieces()) as pieces:
            async for piece in pieces:
                self._take(piece)
                yield piece

    async def close(self) -> None:
        """See Source."""
        try:
            await self._source.close()
            await asyncio.gather(*self._work, return_exceptions=True)
        finally:
            if self._turn is not None:
                await self._turn.give_up()

    def _take(self, piece: bytes) -> None:
        if self._turn is not None:
            self._turn.brings()
        while piece and self._at < self._total:
            left = min(SLICE - self._at % SLICE, self._total - self._at)
            part, piece = piece[:left], piece[left:]
            self._pieces.append(part)
            index = self._at // SLICE
            self._at += len(part)
            if len(part) == left:
                whole, self._pieces = b"".join(self._pieces), []
                self._do(self._whole(index, whole))
                self._ahead(index + 2)

    def _ahead(self, index: int) -> None:
        if self._turn is not None and index * SLICE < self._total:
            self._do(self._turn.also(self._key(index)))

    async def _whole(self, index: int, data: bytes) -> None:
        stored = self._put(index, data)
        if stored is not None:
            await asyncio.wait([stored])
        if self._turn is not None:
            await self._turn.done_with(self._key(index))

    def _do(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
