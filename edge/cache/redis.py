"""L2: sealed slices in a Redis-protocol server, or a cluster, of a region's nodes. It may vanish at any time.

Every failure, slow answer or full server is a miss, never an error (SECURITY F9-F14): each operation has a
timeout, and after five failures in a row nothing is asked for about a second. Somebody waits for what is
looked up, which is given up soon; nobody for what is stored, which has as long as a fill keeps its claim for
it: what a busy moment did not store, another edge would ask the origin for again.

Stored are sealed slices and signed documents only, each with a TTL; readers check them against the packager's
signature, so a lying server costs speed, never a byte. Uses GET, SET, EXISTS, PEXPIRE, DEL, WATCH, MULTI,
EXEC and UNWATCH, each about one key, and in a cluster ASKING and CLUSTER SLOTS; no scripts (SECURITY T20).
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import redis.asyncio
from redis.exceptions import ResponseError, WatchError

from edge.cache.counters import Count, ignore
from edge.cache.redis_cluster import Cluster
from edge.cache.redis_server import Client, OneServer, Servers, client_of
from edge.cache.slot_table import is_cluster

_TRANSFERS: Final = 8  # slices looked up at once; more only wait for each other, on the clock of timeouts
_STORES: Final = 4  # stored at once, apart: they have more time, which look-ups must not wait for
_STORING_BYTES: Final = 64 << 20  # what may wait to be stored: when more comes, it is dropped


class RedisSlices:
    """One worker's way to the second level. `prefix` starts every key.

    `url` is redis://, rediss:// or unix:// for a server, redis+cluster:// or rediss+cluster:// for a cluster.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "sluice:",
        ttl_s: int = 86400,
        timeout_s: float = 0.1,
        slice_timeout_s: float = 0.25,
        store_timeout_s: float = 1.0,
        count: Count = ignore,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prefix, self._ttl_s, self._count = prefix, ttl_s, count
        self._timeout_s, self._slice_timeout_s = timeout_s, slice_timeout_s
        self._store_timeout_s = store_timeout_s
        longest_s = max(slice_timeout_s, store_timeout_s)
        self._transfers, self._stores = asyncio.Semaphore(_TRANSFERS), asyncio.Semaphore(_STORES)
        self._storing: set[asyncio.Task[None]] = set()
        self._storing_bytes = 0
        self._servers: Servers = (
            Cluster(url, timeout_s, longest_s, count, now)
            if is_cluster(url)
            else OneServer(client_of(url, timeout_s, longest_s), count, now)
        )

    @property
    def up(self) -> bool:
        """Whether the server, or each primary, was found to answer lately."""
        return self._servers.up

    async def get(self, key: str) -> bytes | None:
        """The value, or None: not there, not in time, or not trusted to answer now."""
        name = self._prefix + key
        async with self._transfers:
            found = await self._servers.ask(name, ("GET", name), self._slice_timeout_s)
        return found[0] if found and isinstance(found[0], bytes) else None

    async def present(self, keys: Sequence[str]) -> list[bool]:
        """Which of the keys there are; all False when it cannot say."""
        names = [self._prefix + key for key in keys]
        there = [False] * len(names)

        async def ask(group: list[int]) -> None:
            found = await self._present([names[index] for index in group])
            for index, one in zip(group, found, strict=True):
                there[index] = one

        if names:
            await asyncio.gather(*(ask(group) for group in self._servers.together(names)))
        return there

    def put_soon(
        self, key: str, value: bytes | memoryview, *, ttl_s: int | None = None
    ) -> asyncio.Task[None] | None:
        """Store in the background, so that nobody waits for it; None when too much is waiting already."""
        size = len(value)
        if self._storing_bytes + size > _STORING_BYTES or not self._servers.trusted(self._prefix + key):
            self._count("l2_unstored", 1)
            return None
        self._storing_bytes += size
        task = asyncio.create_task(self._put(key, value, ttl_s or self._ttl_s), name="l2 put")
        self._storing.add(task)
        task.add_done_callback(lambda done: self._stored(done, size))
        return task

    async def claim(self, key: str, owner: bytes, ttl_ms: int) -> bool | None:
        """Set the key to `owner` if nobody has it: True ours, False somebody's, None it cannot say."""
        name = self._prefix + key
        words = ("SET", name, owner, "NX", "PX", ttl_ms)
        taken = await self._servers.ask(name, words, self._timeout_s)
        return None if taken is None else taken[0] is not None

    async def extend(self, key: str, owner: bytes, ttl_ms: int) -> bool | None:
        """Let our claim live `ttl_ms` from now. False: it is not ours any more."""
        return await self._if_owner(key, owner, lambda pipe: pipe.pexpire(self._prefix + key, ttl_ms))

    async def release(self, key: str, owner: bytes) -> bool | None:
        """Give our claim up. False: it was not ours any more, and is left alone."""
        return await self._if_owner(key, owner, lambda pipe: pipe.delete(self._prefix + key))

    async def leave(self, key: str, owner: bytes, word: bytes, ttl_ms: int) -> bool | None:
        """Give our claim up, and have a word in its place for a while. False: it was not ours any more."""
        return await self._if_owner(key, owner, lambda pipe: pipe.set(self._prefix + key, word, px=ttl_ms))

    async def drop(self, key: str) -> None:
        """Remove a value that was found to be bad."""
        name = self._prefix + key
        await self._servers.ask(name, ("DEL", name), self._timeout_s)

    async def close(self) -> None:
        """Give what is being stored a moment, then let go of the server."""
        if self._storing:
            await asyncio.wait(self._storing, timeout=self._slice_timeout_s)
        for task in self._storing:
            task.cancel()
        await asyncio.gather(*self._storing, return_exceptions=True)
        await self._servers.close()

    async def _put(self, key: str, value: bytes | memoryview, ttl_s: int) -> None:
        name = self._prefix + key
        words = ("SET", name, value, "EX", ttl_s)
        async with self._stores:
            stored = await self._servers.ask(name, words, self._store_timeout_s)
        if stored is None:
            self._count("l2_unstored", 1)

    def _stored(self, task: asyncio.Task[None], size: int) -> None:
        self._storing.discard(task)
        self._storing_bytes -= size

    async def _if_owner(
        self, key: str, owner: bytes, act: Callable[["redis.asyncio.client.Pipeline"], object]
    ) -> bool | None:
        name = self._prefix + key

        async def compare_and_act(client: Client) -> bool:
            async with client.pipeline(transaction=True) as pipe:
                await pipe.watch(name)
                if await pipe.get(name) != owner:
                    return False
                pipe.multi()  # type: ignore[no-untyped-call]
                act(pipe)
                try:
                    await pipe.execute()
                except WatchError:
                    return False
                return True

        done = await self._servers.talk(name, compare_and_act, self._timeout_s)
        return None if done is None else done[0]

    async def _present(self, names: Sequence[str]) -> list[bool]:
        """Which of these keys of one server there are. A key that has just moved is asked for anew."""

        async def anew(name: str) -> bool:
            found = await self._servers.ask(name, ("EXISTS", name), self._timeout_s)
            return found is not None and bool(found[0])

        if len(names) == 1:  # what follows a redirect is a command, not a conversation
            return [await anew(names[0])]

        async def ask(client: Client) -> list[object]:
            async with client.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.exists(name)
                return list(await pipe.execute(raise_on_error=False))

        found = await self._servers.talk(names[0], ask, self._timeout_s)
        if found is None:
            return [False] * len(names)
        refused = [name for name, one in zip(names, found[0], strict=True) if isinstance(one, ResponseError)]
        there = dict(zip(refused, await asyncio.gather(*(anew(name) for name in refused)), strict=True))
        return [there.get(name, one is True or one == 1) for name, one in zip(names, found[0], strict=True)]
