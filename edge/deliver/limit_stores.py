"""Where the limits of links are counted: in the control Redis for all workers and edges, or in one worker.

Twins of two contracts (`streams.PlaceStore`, `meter.MeterStore`). The dictionary is the readable definition
of what Redis must do. Redis goes by its own clock, so edges whose clocks differ count alike.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from redis.exceptions import RedisError

from edge.deliver.pace_ledger import StoreLost
from edge.deliver.pace_stores import TIMEOUT_S
from edge.deliver.redis_line import RedisLine, Word

PREFIX: Final = "limit:"
BUDGET_KEPT_S: Final = 32 * 24 * 3600  # after the last byte: no link lives longer, and no session of it
AT_ONCE_S: Final = 1.0  # worth of a link's speed that goes out at once after a rest
AHEAD_S: Final = 4.0  # that a turn is booked ahead: who leaves while he waits wastes no more

_NOW: Final = "local t = redis.call('TIME') local now = t[1] + t[2] / 1000000\n"


@dataclass(frozen=True)
class _Script:
    """A script, and the digest EVALSHA wants."""

    text: str
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "digest", digest)


_TAKE: Final = _Script(
    _NOW
    + """
local key, sid, most, idle = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local sure = ARGV[4] == '1' and redis.call('EXISTS', KEYS[2]) == 0
redis.call('ZREMRANGEBYSCORE', key, '-inf', now - idle)
if not sure and not redis.call('ZSCORE', key, sid) and redis.call('ZCARD', key) >= most then return 0 end
redis.call('ZADD', key, now, sid)
redis.call('EXPIRE', key, math.ceil(idle) + 1)
redis.call('DEL', KEYS[2])
return 1
"""
)
_LEAVE: Final = _Script(
    """
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', math.ceil(ARGV[2] * 1000)) then return 0 end
redis.call('SET', KEYS[3], '1', 'EX', 60)
return redis.call('ZREM', KEYS[1], ARGV[1])
"""
)
_SPEND: Final = _Script(
    """
local size, budget, known, owed = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local held = redis.call('GET', KEYS[1])
local spent = held and tonumber(held) + owed or known
local after, had = math.max(0, spent + size), 1
if size > 0 and after > budget then after = spent had = 0 end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'EX', ARGV[5])
return {had, after}
"""
)
_TURN: Final = _Script(
    _NOW
    + """
local size, speed, burst, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now - burst)
if due - now > longest then return string.format('%.6f', longest - (due - now)) end
local after = due + size / speed
local kept_s = math.ceil(math.max(0, after - now) + burst) + 1
redis.call('SET', KEYS[1], string.format('%.6f', after), 'EX', kept_s)
return string.format('%.6f', math.max(0, due - now))
"""
)


class MemoryLimitStore:
    """Counts of one process. `now`: seconds that never go back. Beyond `limit` buckets the oldest goes."""

    def __init__(self, now: Callable[[], float], limit: int = 20_000) -> None:
        self._now = now
        self._limit = limit
        self._places: dict[str, dict[str, float]] = {}  # bucket → session → last heard
        self._left: dict[tuple[str, str], float] = {}  # bucket and viewer → when he last left
        self._gone: dict[tuple[str, str], None] = {}  # bucket and session: left, and not come again
        self._spent: dict[str, int] = {}  # link → bytes
        self._due: dict[str, float] = {}  # link → when its next byte may go out

    async def take(self, bucket: str, sid: str, most: int, idle_s: float, *, sure: bool) -> bool:
        """As PlaceStore."""
        now = self._now()
        taken = {of: heard for of, heard in self._places.pop(bucket, {}).items() if heard > now - idle_s}
        sure = sure and (bucket, sid) not in self._gone
        allowed = sure or sid in taken or len(taken) < most
        self._places[bucket] = taken | {sid: now} if allowed else taken
        if allowed:
            self._gone.pop((bucket, sid), None)
        self._shorten(self._places)
        return allowed

    async def leave(self, bucket: str, sid: str, every_s: float, by: str) -> None:
        """As PlaceStore."""
        now = self._now()
        taken = self._places.get(bucket, {})
        if sid in taken and now - self._left.get((bucket, by), float("-inf")) >= every_s:
            self._left[bucket, by] = now
            self._gone[bucket, sid] = None
            del taken[sid]
            self._shorten(self._left)
            self._shorten(self._gone)

    def _shorten(self, kept: dict[Any, Any]) -> None:
        if len(kept) > self._limit:
            del kept[next(iter(kept))]

    async def spend(self, link: str, size: int, budget: int, known: int, owed: int) -> tuple[bool, int]:
        """As MeterStore."""
        spent = self._spent.pop(link) + owed if link in self._spent else known
        had = size <= 0 or spent + size <= budget
        self._spent[link] = max(0, spent + size) if had else spent
        if len(self._spent) > self._limit:
            del self._spent[next(iter(self._spent))]
        return had, self._spent[link]

    async def turn(self, link: str, size: int, speed: int) -> float:
        """As MeterStore."""
        now = self._now()
        due = max(self._due.pop(link, 0.0), now - AT_ONCE_S)
        early = due - now > AHEAD_S
        self._due[link] = due if early else due + size / speed
        if len(self._due) > self._limit:
            del self._due[next(iter(self._due))]
        return AHEAD_S - (due - now) if early else max(0.0, due - now)


class RedisLimitStore:
    """Counts in a Redis-protocol server. `url` is redis:// or unix://; `prefix` starts every key."""

    def __init__(self, url: str, *, prefix: str = PREFIX, timeout_s: float = TIMEOUT_S) -> None:
        self._line = RedisLine(url, timeout_s=timeout_s)
        self._prefix = prefix

    async def take(self, bucket: str, sid: str, most: int, idle_s: float, *, sure: bool) -> bool:
        """As PlaceStore."""
        keys = [f"{self._prefix}streams:{bucket}", f"{self._prefix}gone:{bucket}:{sid}"]
        return bool(await self._run(_TAKE, keys, sid, most, str(idle_s), int(sure)))

    async def leave(self, bucket: str, sid: str, every_s: float, by: str) -> None:
        """As PlaceStore."""
        names = (f"streams:{bucket}", f"left:{bucket}:{by}", f"gone:{bucket}:{sid}")
        keys = [f"{self._prefix}{name}" for name in names]
        await self._run(_LEAVE, keys, sid, str(every_s))

    async def spend(self, link: str, size: int, budget: int, known: int, owed: int) -> tuple[bool, int]:
        """As MeterStore."""
        keys = [f"{self._prefix}budget:{link}"]
        found = await self._run(_SPEND, keys, size, budget, known, owed, BUDGET_KEPT_S)
        assert isinstance(found, list), "what the script returns"
        return bool(found[0]), int(found[1])

    async def turn(self, link: str, size: int, speed: int) -> float:
        """As MeterStore."""
        keys = [f"{self._prefix}speed:{link}"]
        found = await self._run(_TURN, keys, size, speed, str(AT_ONCE_S), str(AHEAD_S))
        assert isinstance(found, bytes), "what the script returns"
        return float(found)

    async def aclose(self) -> None:
        """Closes the connection."""
        self._line.close()

    async def _run(self, script: _Script, keys: list[str], *arguments: Word) -> object:
        words = (len(keys), *keys, *arguments)
        try:
            try:
                return await self._line.ask("EVALSHA", script.digest, *words)
            except RedisError as exc:
                if not str(exc).startswith("NOSCRIPT"):
                    raise
                return await self._line.ask("EVAL", script.text, *words)
        except (RedisError, OSError, TimeoutError) as exc:
            raise StoreLost(f"control store: {type(exc).__name__}") from exc
