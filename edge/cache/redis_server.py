"""How the second level is asked: one Redis-protocol server, or (`redis_cluster`) the one that has the key.

Who asks gives a time in which there is an answer or none; five failures in a row of one server, and it is not
asked for about a second. Nothing here is ever an error: no answer is a miss (SECURITY F9-F11).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeVar

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from edge.cache.breaker import Breaker
from edge.cache.counters import Count

_T = TypeVar("_T")
_READ_SIZE: Final = 1 << 20  # bytes a read: a slice in one or two
Client = redis.asyncio.Redis
Word = str | bytes | memoryview | int


async def command(client: Client, words: Sequence[Word]) -> object:
    """The answer of one command."""
    return await client.execute_command(*words)  # type: ignore[no-untyped-call]


class Servers(Protocol):
    """Whoever has the keys. Answers come in a tuple, so that nil can be told from no answer (None)."""

    @property
    def up(self) -> bool:
        """Whether all were found to answer lately."""

    def trusted(self, key: str) -> bool:
        """Whether who has this key was found to answer lately."""

    def together(self, keys: Sequence[str]) -> list[list[int]]:
        """Which keys, by their places in the list, one server has."""

    async def ask(self, key: str, words: Sequence[Word], timeout_s: float) -> tuple[object] | None:
        """The answer of one command about the key."""

    async def talk(
        self, key: str, conversation: Callable[[Client], Awaitable[_T]], timeout_s: float
    ) -> tuple[_T] | None:
        """What several commands about the key, to one server, came to."""

    async def close(self) -> None:
        """Let go of them."""


def client_of(url: str, connect_s: float, read_s: float) -> Client:
    """A client of one server; it connects when it is first asked."""
    return redis.asyncio.Redis.from_url(
        url,
        socket_connect_timeout=connect_s,
        socket_timeout=read_s,
        socket_read_size=_READ_SIZE,
        retry=Retry(NoBackoff(), 0),  # a retry is another chance to be late: a miss is better
    )


def breaker_of(now: Callable[[], float]) -> Breaker:
    """How often a server may fail before it is left alone, and for how long."""
    return Breaker(5, 1.0, now, spread=0.5)


class OneServer:
    """The server that has all keys."""

    def __init__(self, client: Client, count: Count, now: Callable[[], float]) -> None:
        self._client, self._count = client, count
        self._breaker = breaker_of(now)

    @property
    def up(self) -> bool:
        """See Servers."""
        return self._breaker.closed

    def trusted(self, key: str) -> bool:
        """See Servers."""
        return self._breaker.closed

    def together(self, keys: Sequence[str]) -> list[list[int]]:
        """See Servers."""
        return [list(range(len(keys)))]

    async def ask(self, key: str, words: Sequence[Word], timeout_s: float) -> tuple[object] | None:
        """See Servers."""
        return await self.talk(key, lambda client: command(client, words), timeout_s)

    async def talk(
        self, key: str, conversation: Callable[[Client], Awaitable[_T]], timeout_s: float
    ) -> tuple[_T] | None:
        """See Servers."""
        if not self._breaker.allow():
            return None
        try:
            async with asyncio.timeout(timeout_s):
                answer = await conversation(self._client)
        except ResponseError:  # it lives, but refuses: full, or a command that is not allowed
            self._breaker.success()
        except (RedisError, OSError, TimeoutError):
            self._breaker.failure()
        else:
            self._breaker.success()
            return (answer,)
        self._count("l2_errors", 1)
        return None

    async def close(self) -> None:
        """See Servers."""
        with contextlib.suppress(RedisError, OSError):
            await self._client.aclose()
