"""A Redis Cluster as the second level: each command goes to the primary that has its key's slot.

Our own routing over one plain client a server, because what we ask is little (one key a command) and a miss
is always an answer: no command is tried again on another connection after a failure, a primary that is gone
costs its own keys only (each server has a breaker), and connections to the others stay as they are.

* MOVED: the slot is somebody else's from now on, who is asked within the same time.
* ASK: somebody else is asked this once, with ASKING on the same connection. Not for conversations (WATCH):
  while a claim's slot moves it can neither be renewed nor given up, and ends with its time.
* Whenever something does not fit, the table is learnt anew: by one task, after a random moment, about twice a
  second at most, from any server that answers. Until then the keys concerned are misses (SECURITY F12).
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, ResponseError

from edge.cache.breaker import Breaker
from edge.cache.counters import Count
from edge.cache.redis_server import Client, Word, breaker_of, client_of, command
from edge.cache.slot_table import ClusterAddress, Place, read_slots, slot_of

_T = TypeVar("_T")
_REDIRECTS: Final = 4  # a command is sent at most so often
_BEFORE_S: Final = (0.0, 0.2)  # spread over all workers of all edges that lost the same primary
_AFTER_S: Final = (0.3, 0.6)
_RETIRE_S: Final = 2.0  # what a server that has no slots any more may still be answering


class _Server:
    def __init__(self, place: Place, client: Client, breaker: Breaker) -> None:
        self.place, self.client, self.breaker = place, client, breaker


class Cluster:
    """The servers of one cluster, as `redis_server.Servers`."""

    def __init__(
        self, url: str, connect_s: float, read_s: float, count: Count, now: Callable[[], float]
    ) -> None:
        self._address = ClusterAddress.parse(url)
        self._connect_s, self._read_s, self._count, self._now = connect_s, read_s, count, now
        self._known: dict[Place, _Server] = {}
        self._slots: list[_Server | None] = []  # by slot; empty until somebody told
        self._breaker = breaker_of(now)  # of the cluster as long as nobody told
        self._learning: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def up(self) -> bool:
        """See Servers."""
        if not self._slots:
            return self._breaker.closed
        return None not in self._slots and all(server.breaker.closed for server in self._owners())

    def trusted(self, key: str) -> bool:
        """See Servers."""
        if not self._slots:
            return self._breaker.closed
        server = self._slots[slot_of(key)]
        return server is not None and server.breaker.closed

    def together(self, keys: Sequence[str]) -> list[list[int]]:
        """See Servers."""
        if not self._slots:
            return [[index] for index in range(len(keys))]
        groups: dict[_Server | None, list[int]] = {}
        for index, key in enumerate(keys):
            groups.setdefault(self._slots[slot_of(key)], []).append(index)
        return list(groups.values())

    async def ask(self, key: str, words: Sequence[Word], timeout_s: float) -> tuple[object] | None:
        """See Servers."""

        async def send(client: Client, asking: bool) -> object:
            if not asking:
                return await command(client, words)
            async with client.pipeline(transaction=False) as pipe:
                pipe.execute_command("ASKING")
                pipe.execute_command(*words)
                return (await pipe.execute())[1]

        return await self._ask(key, send, timeout_s)

    async def talk(
        self, key: str, conversation: Callable[[Client], Awaitable[_T]], timeout_s: float
    ) -> tuple[_T] | None:
        """See Servers."""

        async def send(client: Client, asking: bool) -> _T:
            if asking:
                raise ClusterDownError("its slot is on the move")
            return await conversation(client)

        return await self._ask(key, send, timeout_s)

    async def close(self) -> None:
        """See Servers."""
        tasks = [*self._retiring, *([self._learning] if self._learning else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self._known.values():
            await _closed(server.client)
        self._known, self._slots = {}, []

    async def _ask(
        self, key: str, send: Callable[[Client, bool], Awaitable[_T]], timeout_s: float
    ) -> tuple[_T] | None:
        breaker = self._breaker
        if not self._slots and not breaker.allow():
            return None
        try:
            async with asyncio.timeout(timeout_s):
                if not self._slots:
                    await asyncio.shield(self._learn_soon())
                slot, asking = slot_of(key), False
                server = self._slots[slot] if self._slots else None
                for _ in range(_REDIRECTS):
                    if server is None or not server.breaker.allow():
                        self._learn_soon()
                        return None
                    breaker = server.breaker
                    try:
                        answer = await send(server.client, asking)
                    except MovedError as moved:
                        server, asking = self._at(self._place(moved, server)), False
                        if self._slots:
                            self._slots[slot] = server
                        self._learn_soon()
                    except AskError as elsewhere:
                        server, asking = self._at(self._place(elsewhere, server)), True
                    else:
                        breaker.success()
                        return (answer,)
                    breaker.success()
        except ResponseError as refused:  # it lives, but refuses
            breaker.success()
            if isinstance(refused, ClusterDownError):
                self._learn_soon()
        except (RedisError, OSError, TimeoutError):
            breaker.failure()
            self._learn_soon()
        self._count("l2_errors", 1)
        return None

    def _learn_soon(self) -> asyncio.Task[None]:
        if self._learning is None or self._learning.done():
            self._learning = asyncio.create_task(self._learn(), name="redis cluster slots")
        return self._learning

    async def _learn(self) -> None:
        """Ask who has which slots. Whoever waits for it has the table, if anybody told."""
        first = not self._slots
        if not first:
            await asyncio.sleep(random.uniform(*_BEFORE_S))
        heard: list[Place | None] | None = None
        for place in self._to_ask():
            heard = await self._slots_by(place) or heard
            if heard is not None and self._fits(heard):
                break
        if heard is None:
            self._breaker.failure()
        else:
            self._breaker.success()
            self._take(heard)
        if not first:
            await asyncio.sleep(random.uniform(*_AFTER_S))

    def _to_ask(self) -> list[Place]:
        """Servers in a random order: those that answer, then the others that are known or configured."""
        known = list({**dict.fromkeys(self._known), **dict.fromkeys(self._address.seeds)})
        random.shuffle(known)
        return sorted(known, key=lambda place: place in self._known and not self._known[place].breaker.closed)

    async def _slots_by(self, place: Place) -> list[Place | None] | None:
        try:
            async with asyncio.timeout(self._connect_s):
                answer = await command(self._at(place).client, ("CLUSTER", "SLOTS"))
            return read_slots(answer, place)
        except (RedisError, OSError, TimeoutError, ValueError):
            return None

    def _fits(self, heard: list[Place | None]) -> bool:
        """Whether no slot is nobody's, nor one's who does not answer: else another may know more."""
        return None not in heard and all(
            place not in self._known or self._known[place].breaker.closed for place in set(heard) if place
        )

    def _take(self, heard: list[Place | None]) -> None:
        owners = {place: self._at(place) for place in set(heard) if place is not None}
        self._slots = [None if place is None else owners[place] for place in heard]
        keep = {*owners, *self._address.seeds}
        for place in [place for place in self._known if place not in keep]:
            task = asyncio.create_task(_retired(self._known.pop(place).client), name="redis server retires")
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    def _owners(self) -> set[_Server]:
        return {server for server in self._slots if server is not None}

    def _at(self, place: Place) -> _Server:
        """The server there, known from now on."""
        if place not in self._known:
            client = client_of(self._address.url(place), self._connect_s, self._read_s)
            self._known[place] = _Server(place, client, breaker_of(self._now))
        return self._known[place]

    @staticmethod
    def _place(redirect: AskError | MovedError, server: _Server) -> Place:
        return redirect.host or server.place[0], redirect.port


async def _closed(client: Client) -> None:
    with contextlib.suppress(RedisError, OSError):
        await client.aclose()


async def _retired(client: Client) -> None:
    try:
        await asyncio.sleep(_RETIRE_S)
    finally:
        await _closed(client)
