"""Where pace buckets live: in the control Redis for all workers and edges, or in one worker's memory.

Twins of one contract (`pace_ledger.PaceStore`). The dictionary is the readable definition of what Redis
must do.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from edge.deliver.pace_ledger import StoreLost

PREFIX: Final = "pace:"
TIMEOUT_S: Final = 0.25  # for one operation: beyond it this worker paces by itself for a second

# Not WATCH: that is three round trips and a connection held between them.
_SWAP: Final = """
local found = redis.call('GET', KEYS[1])
if (found or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""


class MemoryPaceStore:
    """Buckets of one process. `now`: seconds that never go back. Beyond `limit`, the oldest written goes."""

    def __init__(self, now: Callable[[], float], limit: int = 20_000) -> None:
        self._now = now
        self._limit = limit
        self._held: dict[str, tuple[float, bytes]] = {}  # key → (end, value)

    async def load(self, key: str) -> bytes | None:
        """As PaceStore."""
        return self._get(key)

    async def swap(self, key: str, old: bytes | None, new: bytes, ttl_s: int) -> bool:
        """As PaceStore."""
        if self._get(key) != old:
            return False
        self._held.pop(key, None)  # latest last: with one ttl, that is in order of their ends
        self._held[key] = (self._now() + ttl_s, new)
        if len(self._held) > self._limit:
            del self._held[next(iter(self._held))]
        return True

    def _get(self, key: str) -> bytes | None:
        end, value = self._held.get(key, (0.0, None))
        return value if end > self._now() else None


class RedisPaceStore:
    """Buckets in a Redis-protocol server. `url` is redis:// or unix://; `prefix` starts every key."""

    def __init__(self, url: str, *, prefix: str = PREFIX, timeout_s: float = TIMEOUT_S) -> None:
        self._client = redis.asyncio.Redis.from_url(
            url,
            socket_connect_timeout=timeout_s,
            socket_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),  # a retry is another chance to be late: the worker goes on by itself
        )
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._swap = self._client.register_script(_SWAP)

    async def load(self, key: str) -> bytes | None:
        """As PaceStore."""
        found = await self._timed(self._client.get(self._prefix + key))
        return found if isinstance(found, bytes) else None

    async def swap(self, key: str, old: bytes | None, new: bytes, ttl_s: int) -> bool:
        """As PaceStore."""
        arguments = (old or b"", new, ttl_s)  # a value is never empty
        return bool(await self._timed(self._swap(keys=[self._prefix + key], args=arguments)))

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def _timed(self, answer: Awaitable[object]) -> object:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except (RedisError, OSError, TimeoutError) as exc:
            raise StoreLost(f"control store: {type(exc).__name__}") from exc
