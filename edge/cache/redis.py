"""L2: sealed slices in a Redis-protocol server shared by the nodes of a region. It may vanish at any time.

Every failure, slow answer or full server is a miss, never an error (SECURITY F9-F11): each operation has a
timeout, and after five failures in a row nothing is asked for about a second. Stored are sealed slices and
signed documents only, each with a TTL; readers check them against the packager's signature, so a lying server
costs speed, never a byte. Uses GET, SET, EXISTS, PEXPIRE, DEL, WATCH, MULTI, EXEC and UNWATCH; no scripts
(SECURITY T20).
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError, WatchError

from edge.cache.breaker import Breaker
from edge.cache.counters import Count, ignore

_T = TypeVar("_T")
_READ_SIZE: Final = 1 << 20  # bytes a read: a slice in one or two
_TRANSFERS: Final = (
    8  # slices under way at once; more only wait for each other, on the clock of their timeouts
)
_STORING_BYTES: Final = 64 << 20  # what may wait to be stored: when more comes, it is dropped


class RedisSlices:
    """One worker's way to the second level. `url` is redis:// or unix://; `prefix` starts every key."""

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "sluice:",
        ttl_s: int = 86400,
        timeout_s: float = 0.1,
        slice_timeout_s: float = 0.25,
        count: Count = ignore,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prefix, self._ttl_s, self._count = prefix, ttl_s, count
        self._timeout_s, self._slice_timeout_s = timeout_s, slice_timeout_s
        self._breaker = Breaker(5, 1.0, now, spread=0.5)
        self._transfers = asyncio.Semaphore(_TRANSFERS)
        self._storing: set[asyncio.Task[None]] = set()
        self._storing_bytes = 0
        self._client = redis.asyncio.Redis.from_url(
            url,
            socket_connect_timeout=timeout_s,
            socket_timeout=slice_timeout_s,
            socket_read_size=_READ_SIZE,
            retry=Retry(NoBackoff(), 0),  # a retry is another chance to be late: a miss is better
        )

    @property
    def up(self) -> bool:
        """Whether the server was found to answer lately."""
        return self._breaker.closed

    async def get(self, key: str) -> bytes | None:
        """The value, or None: not there, not in time, or not trusted to answer now."""
        async with self._transfers:
            found = await self._try(lambda: self._client.get(self._prefix + key), self._slice_timeout_s)
        return found if isinstance(found, bytes) else None

    async def present(self, keys: Sequence[str]) -> list[bool]:
        """Which of the keys there are; all False when it cannot say."""
        if not keys:
            return []

        async def ask() -> list[object]:
            async with self._client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.exists(self._prefix + key)
                return list(await pipe.execute())

        found = await self._try(ask, self._timeout_s)
        return [bool(there) for there in found] if found else [False] * len(keys)

    def put_soon(self, key: str, value: bytes | memoryview) -> asyncio.Task[None] | None:
        """Store in the background, so that nobody waits for it; None when too much is waiting already."""
        size = len(value)
        if self._storing_bytes + size > _STORING_BYTES or not self._breaker.closed:
            self._count("l2_unstored", 1)
            return None
        self._storing_bytes += size
        task = asyncio.create_task(self._put(key, value), name="l2 put")
        self._storing.add(task)
        task.add_done_callback(lambda done: self._stored(done, size))
        return task

    async def claim(self, key: str, owner: bytes, ttl_ms: int) -> bool | None:
        """Set the key to `owner` if nobody has it: True ours, False somebody's, None it cannot say."""
        ask = self._client.set
        taken = await self._try(
            lambda: _answer(ask(self._prefix + key, owner, nx=True, px=ttl_ms)), self._timeout_s
        )
        return None if taken is None else taken[0] is not None

    async def extend(self, key: str, owner: bytes, ttl_ms: int) -> bool | None:
        """Let our claim live `ttl_ms` from now. False: it is not ours any more."""
        return await self._if_owner(key, owner, lambda pipe: pipe.pexpire(self._prefix + key, ttl_ms))

    async def release(self, key: str, owner: bytes) -> bool | None:
        """Give our claim up. False: it was not ours any more, and is left alone."""
        return await self._if_owner(key, owner, lambda pipe: pipe.delete(self._prefix + key))

    async def drop(self, key: str) -> None:
        """Remove a value that was found to be bad."""
        await self._try(lambda: _answer(self._client.delete(self._prefix + key)), self._timeout_s)

    async def close(self) -> None:
        """Give what is being stored a moment, then let go of the server."""
        if self._storing:
            await asyncio.wait(self._storing, timeout=self._slice_timeout_s)
        for task in self._storing:
            task.cancel()
        await asyncio.gather(*self._storing, return_exceptions=True)
        with contextlib.suppress(RedisError, OSError):
            await self._client.aclose()

    async def _put(self, key: str, value: bytes | memoryview) -> None:
        async with self._transfers:
            stored = await self._try(
                lambda: self._client.set(self._prefix + key, value, ex=self._ttl_s), self._slice_timeout_s
            )
        if stored is None:
            self._count("l2_unstored", 1)

    def _stored(self, task: asyncio.Task[None], size: int) -> None:
        self._storing.discard(task)
        self._storing_bytes -= size

    async def _if_owner(
        self, key: str, owner: bytes, act: Callable[["redis.asyncio.client.Pipeline"], object]
    ) -> bool | None:
        async def compare_and_act() -> bool:
            async with self._client.pipeline(transaction=True) as pipe:
                await pipe.watch(self._prefix + key)
                if await pipe.get(self._prefix + key) != owner:
                    return False
                pipe.multi()  # type: ignore[no-untyped-call]
                act(pipe)
                try:
                    await pipe.execute()
                except WatchError:
                    return False
                return True

        return await self._try(compare_and_act, self._timeout_s)

    async def _try(self, ask: Callable[[], Awaitable[_T]], timeout_s: float) -> _T | None:
        """The answer, or None when there is none in time. Tells the breaker."""
        if not self._breaker.allow():
            return None
        try:
            async with asyncio.timeout(timeout_s):
                answer = await ask()
        except ResponseError:  # it lives, but refuses: full, or a command that is not allowed
            self._breaker.success()
        except (RedisError, OSError, TimeoutError):
            self._breaker.failure()
        else:
            self._breaker.success()
            return answer
        self._count("l2_errors", 1)
        return None


async def _answer(asked: Awaitable[_T]) -> tuple[_T]:
    """The answer in a tuple, so that an answer of None can be told from no answer."""
    return (await asked,)
