"""What the tests of pace and limits share: a control server of their own, and both kinds of store."""

import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from edge.deliver.limit_stores import MemoryLimitStore, RedisLimitStore
from edge.deliver.limits import LimitStore
from edge.deliver.pace_ledger import PaceStore
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


@pytest.fixture(params=["memory", "redis"])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """One shared store, as each worker gets it."""
    if request.param == "memory":
        memory = MemoryPaceStore(time.monotonic)
        yield lambda: memory
        return
    server: Server = request.getfixturevalue("control")
    opened: list[RedisPaceStore] = []

    def connect() -> PaceStore:
        opened.append(RedisPaceStore(server.url, timeout_s=2))
        return opened[-1]

    yield connect
    for store in opened:
        await store.aclose()


@pytest.fixture(params=["memory", "redis"])
async def connect_limits(request: pytest.FixtureRequest) -> AsyncIterator[Callable[[], LimitStore]]:
    """One shared store of limits, as each worker gets it."""
    if request.param == "memory":
        memory = MemoryLimitStore(time.monotonic)
        yield lambda: memory
        return
    server: Server = request.getfixturevalue("control")
    opened: list[RedisLimitStore] = []

    def connect() -> LimitStore:
        opened.append(RedisLimitStore(server.url, timeout_s=5))
        return opened[-1]

    yield connect
    for store in opened:
        await store.aclose()
