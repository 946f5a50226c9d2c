"""What the cache's tests share: published objects, an origin with faults, a Redis server, workers."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.cache.claims import Claims
from edge.cache.library import Library
from edge.cache.memory import Memory, PrivateMemory
from edge.cache.redis import RedisSlices
from edge.cache.shared import SharedMemory
from edge.cache.tiers import source
from edge.cache.upstream import OriginClient
from tests.edge.cache.faulty_origin import (
    ASSET,
    GENERATION,
    RENDITION,
    TENANT,
    Gate,
    Published,
    TestOrigin,
    publish,
)
from tests.edge.cache.servers import TestRedis, TestRedisCluster, TestWorker
from tests.edge.cache.shields import Shields, TestShield


class Clock:
    """Monotonic seconds that go by when told."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@dataclass
class Bench:
    """Makes workers on nodes: libraries in this process, or processes of their own."""

    published: Published
    origin: TestOrigin
    room: Path  # on a tmpfs
    stack: AsyncExitStack
    counts: Counter[str] = field(default_factory=Counter)
    redis_url: str | None = None
    redis_timeouts_s: tuple[float, float] = (2.0, 5.0)  # a busy machine must not look like a dead Redis
    claim_ttl_ms: int = 3000

    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def count(self, name: str, by: int) -> None:
        self.counts[name] += by
        self.changed.set()

    async def counted(self, name: str, at_least: int) -> None:
        while self.counts[name] < at_least:
            self.changed.clear()
            await self.changed.wait()

    def gate(self, at: int) -> Gate:
        return Gate(at)

    def store(self) -> RedisSlices | None:
        if self.redis_url is None:
            return None
        one, piece = self.redis_timeouts_s
        return RedisSlices(self.redis_url, timeout_s=one, slice_timeout_s=piece, count=self.count)

    def memory(self, node: str) -> Memory:
        return SharedMemory(self.room / node, 64 << 20, count=self.count)

    async def library(
        self,
        node: str = "n1",
        *,
        memory: Memory | None = None,
        packagers: Callable[[], list[Ed25519PublicKey]] | None = None,
        refresh_trust: Callable[[], Awaitable[None]] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> Library:
        store = self.store()
        found = Library(
            memory or self.memory(node),
            store,
            Claims(
                self.room / f"{node}-claims",
                store,
                ttl_ms=self.claim_ttl_ms,
                heartbeat_s=0.1,
                count=self.count,
                now=now,
            ),
            OriginClient(self.origin.url, lambda: "node-token", count=self.count),
            packagers or self.published.public,
            refresh_trust,
            count=self.count,
        )
        return await self.stack.enter_async_context(found)

    async def worker(self, node: str = "n1") -> TestWorker:
        config = {
            "room": str(self.room),
            "node": node,
            "origin": self.origin.url,
            "redis": self.redis_url,
            "ttl_ms": self.claim_ttl_ms,
            "packager": self.published.public()[0].public_bytes_raw().hex(),
            "storage_key": self.published.storage_key.hex(),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(Path(__file__).with_name("worker.py")), json.dumps(config),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        )  # fmt: skip
        found = TestWorker(process)
        self.stack.push_async_callback(found.kill)
        assert (await found.heard())["ready"]
        return found

    async def read(self, library: Library, name: str) -> bytes:
        opened = await self.open(library, name)
        return b"".join([bytes(await opened.slice(i)) for i in range(opened.slices)])

    async def fill(self, node: str, name: str) -> Library:
        """A library that has read the object, all its levels filled."""
        library = await self.library(node)
        await self.read(library, name)
        await library.settled()
        return library

    async def open(self, library: Library, name: str, wanted: range | None = None) -> Any:
        return await library.open(
            TENANT, ASSET, GENERATION, RENDITION, name, self.published.storage_key, wanted=wanted
        )

    def sha(self, name: str) -> str:
        return hashlib.sha256(self.published.plain[name]).hexdigest()


@pytest.fixture(scope="session")
def published() -> Published:
    return publish()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tmpfs() -> Iterator[Path]:
    shm = Path("/dev/shm")
    if not os.access(shm, os.W_OK):
        pytest.skip("no /dev/shm to write to")
    room = Path(tempfile.mkdtemp(prefix="sluice-test-", dir=shm))
    yield room
    shutil.rmtree(room, ignore_errors=True)


@pytest.fixture
async def origin(published: Published) -> AsyncIterator[TestOrigin]:
    found = TestOrigin(published)
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
async def bench(published: Published, origin: TestOrigin, tmpfs: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        yield Bench(published, origin, tmpfs, stack)


@pytest.fixture(scope="session")
def clusters() -> Iterator[list[TestRedisCluster]]:
    """The cluster of this run, if it has one: it is made anew only when a test has killed it."""
    made: list[TestRedisCluster] = []
    yield made
    for each in made:
        each.close()


@pytest.fixture(params=["server", "cluster"])
async def redis_server(
    request: pytest.FixtureRequest, clusters: list[TestRedisCluster]
) -> AsyncIterator[TestRedis | TestRedisCluster]:
    """The second level, as one server and as a cluster: one contract."""
    if request.param == "cluster":
        if clusters and not clusters[0].fresh():
            clusters.pop().close()
        if not clusters:
            clusters.append(TestRedisCluster())
        yield clusters[0]
        return
    directory = Path(tempfile.mkdtemp(prefix="sluice-redis-"))
    server = TestRedis(directory)
    await server.start()
    yield server
    server.kill()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(params=["private", "shared"])
async def memory(request: pytest.FixtureRequest, tmpfs: Path) -> AsyncIterator[Memory]:
    """Both twins of Memory, for one contract test."""
    made: Memory
    made = PrivateMemory(3 << 20) if request.param == "private" else SharedMemory(tmpfs / "l1", 3 << 20)
    yield made
    await made.close()


@pytest.fixture
async def shields(bench: Any, origin: Any) -> AsyncIterator[Shields]:
    """Makes shields in front of the origin, or of other addresses."""
    async with AsyncExitStack() as stack:

        async def make(name: str = "shield-a", *origins: str, port: int = 0) -> TestShield:
            made = TestShield(name, origins or [origin.url], bench.published, bench.room, port)
            stack.push_async_callback(made.stop)
            return await made.start()

        yield make


@pytest.fixture
async def edges(bench: Any) -> AsyncIterator[Callable[..., Awaitable[Library]]]:
    """Makes edges, each with memory of its own, that ask these shields and then these origins."""
    async with AsyncExitStack() as stack:

        async def make(asked: list[str], origins: list[str], name: str = "edge-1") -> Library:
            library = Library(
                PrivateMemory(64 << 20),
                None,
                Claims(bench.room / f"{name}-claims", None),
                source(
                    asked,
                    origins,
                    lambda url, **how: OriginClient(
                        url, lambda: "node-token", name=name, count=bench.count, **how
                    ),
                    count=bench.count,
                ),
                bench.published.public,
                count=bench.count,
            )
            return await stack.enter_async_context(library)

        yield make
