"""Where pace buckets live: in the control Redis for all workers and edges, or in one worker's memory.

Twins of one contract (`pace_ledger.PaceStore`). The dictionary is the readable definition of what Redis
must do.
"""

import hashlib
from collections.abc import Callable
from typing import Final

from redis.exceptions import RedisError

from edge.deliver.pace_ledger import StoreLost
from edge.deliver.redis_line import RedisLine, Word

PREFIX: Final = "pace:"
TIMEOUT_S: Final = 0.25  # for one operation: beyond it this worker paces by itself for a second

# Not WATCH: that is three round trips and a connection held between them.
_SWAP: Final = """
local found = redis.call('GET', KEYS[1])
if (found or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
_SWAP_DIGEST: Final = hashlib.sha1(_SWAP.encode(), usedforsecurity=False).hexdigest()  # as EVALSHA wants it


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
        self._line = RedisLine(url, timeout_s=timeout_s)
        self._prefix = prefix

    async def load(self, key: str) -> bytes | None:
        """As PaceStore."""
        found = await self._ask("GET", self._prefix + key)
        return found if isinstance(found, bytes) else None

    async def swap(self, key: str, old: bytes | None, new: bytes, ttl_s: int) -> bool:
        """As PaceStore."""
        arguments = (1, self._prefix + key, old or b"", new, ttl_s)  # a value is never empty
        found = await self._ask("EVALSHA", _SWAP_DIGEST, *arguments)
        if found is None:
            found = await self._ask("EVAL", _SWAP, *arguments)
        return bool(found)

    async def aclose(self) -> None:
        """Closes the connection."""
        self._line.close()

    async def _ask(self, *command: Word) -> object:
        """The answer; None also when the server does not know the script."""
        try:
            return await self._line.ask(*command)
        except (RedisError, OSError, TimeoutError) as exc:
            if str(exc).startswith("NOSCRIPT"):
                return None
            raise StoreLost(f"control store: {type(exc).__name__}") from exc
