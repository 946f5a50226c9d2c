"""What the tests of pace and limits share: a control server of their own, and both kinds of store."""

import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from edge.deliver.limit_stores import MemoryLimitStore, RedisLimitStore
from edge.deliver.limits import LimitStore
from edge.deliver.pace_stores import MemoryPaceStore, RedisPaceStore
from tests.support.pacing import Connect, Server


@pytest.fixture
def control() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="pace-"))
    found = Server(folder)
    found.start()
    yield found
    found.kill()
    shutil.rmtree(folder)


class Closed(Protocol):
    """A store that is closed at the end."""

    async def aclose(self) -> None: ...


Alone = TypeVar("Alone")
Shared = TypeVar("Shared", bound=Closed)


@asynccontextmanager
async def connecting(
    request: pytest.FixtureRequest, memory: Callable[[], Alone], there: Callable[[str], Shared]
) -> AsyncIterator[Callable[[], Alone | Shared]]:
    """One shared store, as each worker gets it: in `memory`, or `there` in a Redis of its own."""
    opened: list[Shared] = []
    if request.param == "memory":
        alone = memory()
        yield lambda: alone
        return
    server: Server = request.getfixturevalue("control")

    def connect() -> Shared:
        opened.append(there(server.url))
        return opened[-1]

    yield connect
    for store in opened:
        await store.aclose()


@pytest.fixture(params=["memory", "redis"])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Stores of pace."""
    async with connecting(
        request, lambda: MemoryPaceStore(time.monotonic), lambda url: RedisPaceStore(url, timeout_s=2)
    ) as found:
        yield found


@pytest.fixture(params=["memory", "redis"])
async def connect_limits(request: pytest.FixtureRequest) -> AsyncIterator[Callable[[], LimitStore]]:
    """Stores of limits."""
    async with connecting(
        request, lambda: MemoryLimitStore(time.monotonic), lambda url: RedisLimitStore(url, timeout_s=5)
    ) as found:
        yield found
