"""A whole running Sluice for tests: `sluice up` as a user starts it, own data directory, free ports."""

import atexit
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx
from redis.asyncio import Redis, RedisCluster

from keys import SigningKey, sign_url
from tests.support.redis_cluster import TestCluster
from tests.support.stores import storage_elsewhere

READY_WITHIN_S = 200  # its ten Python processes take turns on a busy machine
END_WITHIN_S = 120
REDIS = "SLUICE_TEST_REDIS"  # `cluster`: systems under test have a cluster of three as the cache's Redis
ON_A_CLUSTER = os.environ.get(REDIS) == "cluster"
STORE = "SLUICE_TEST_STORE"  # `postgres+s3`: systems under test keep everything in PostgreSQL and a bucket
NEVER_BUSY = ("--overload-lag", "10s", "--overload-wait", "3s")  # the machine may be; tests of that say so


class System:
    """One installation under test."""

    def __init__(self, data: Path, *options: str, edges: int = 1, workers: int = 2) -> None:
        self.data = data
        self._edges, self._workers = edges, workers
        self.ready: dict[str, object] = {}
        self.base = base = free_port_base(10 + edges)
        self._argv = [
            *sluice_command(),
            *("up", "--data", str(data), "--port-base", str(base)),
            *("--edges", str(edges), "--workers", str(workers), *NEVER_BUSY, *options),
        ]
        self.cluster: TestCluster | None = None  # the cache's Redis, where it is none of this system's own
        self._lines: queue.Queue[str] = queue.Queue()
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> "System":
        """Starts everything and waits for the `ready` line."""
        if self.cluster is None and os.environ.get(REDIS) == "cluster":
            self.cluster = TestCluster()
            atexit.register(self.cluster.close)
            self._argv += ["--redis", self.cluster.url]
        if os.environ.get(STORE) == "postgres+s3" and "--blobs" not in self._argv:
            self._argv += storage_elsewhere(self.data)
        lines: queue.Queue[str] = queue.Queue()
        self._lines = lines  # of an earlier process something may still come
        with (self.data.parent / f"{self.data.name}.stderr").open("a") as errors:
            self.process = subprocess.Popen(
                self._argv, stdout=subprocess.PIPE, stderr=errors, text=True, env=clean_environment()
            )
        assert self.process.stdout is not None
        threading.Thread(target=_read, args=(self.process.stdout, lines), daemon=True).start()
        deadline = time.monotonic() + READY_WITHIN_S
        while not self.ready:
            line = self._next_line(deadline)
            if line.startswith("ready "):
                self.ready = json.loads(line.removeprefix("ready "))
        return self

    def stop(self) -> int:
        """Ends it as an operator does; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(END_WITHIN_S)

    @property
    def edges(self) -> list[str]:
        """Base URLs of the edges."""
        found = self.ready["edges"]
        assert isinstance(found, list)
        return found

    def url(self, service: str) -> str:
        """Base URL of `keys`, `origin` or `admin`."""
        found = self.ready[service]
        assert isinstance(found, str)
        return found

    def direct(self, service: str) -> str:
        """Base URL of `keys` or `origin` itself, also where the parts are told another (a proxy's)."""
        return f"http://127.0.0.1:{self.base + {'keys': 0, 'origin': 1}[service]}"

    @property
    def admin_token(self) -> str:
        """The operator's token."""
        return (self.data / "secrets" / "admin-token").read_text().strip()

    def sluice(self, *words: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        """Runs a command against this system, found by SLUICE_DATA."""
        return subprocess.run(
            [*sluice_command(), *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env={**clean_environment(), "SLUICE_DATA": str(self.data)},
        )

    def add(self, path: Path, asset: str, *options: str) -> str:
        """Publishes a file; the asset."""
        told = self.sluice("add", str(path), "--id", asset, *options)
        assert told.returncode == 0, told.stderr + told.stdout + self.logs()
        return told.stdout.split()[-1]

    def link(self, asset: str, *options: str) -> str:
        """A signed link."""
        told = self.sluice("link", asset, *options)
        assert told.returncode == 0, told.stderr
        return told.stdout.split()[-1]

    def sign(self, asset: str, edge: int = 0, **how: Any) -> str:
        """A link signed in this process, good at all edges: for tests that need hundreds."""
        issuer = SigningKey.load(self.data / "secrets" / "issuer.json")
        return sign_url(f"{self.edges[edge]}/v/{asset}/main.m3u8", issuer, hosts=self.edges, **how)

    def counts(self, edge: int = 0) -> dict[str, float]:
        """An edge's counters by name, without `sluice_edge_` and `_total`, labels left out."""
        text = httpx.get(f"{self.edges[edge]}/metrics", timeout=10).text
        found: dict[str, float] = {}
        shape = r"^sluice_edge_([a-z0-9_]+)_total(?:\{[^}]*\})? ([0-9.e+-]+)$"
        for name, value in re.findall(shape, text, re.MULTILINE):
            found[name] = found.get(name, 0.0) + float(value)
        return found

    def origin_counts(self) -> dict[str, float]:
        """The origin's counters by name, labels left out."""
        text = httpx.get(f"{self.direct('origin')}/metrics", timeout=10).text
        found: dict[str, float] = {}
        for name, value in re.findall(r"^(sluice_[a-z_]+)(?:\{[^}]*\})? ([0-9.e+-]+)$", text, re.MULTILINE):
            found[name] = found.get(name, 0.0) + float(value)
        return found

    async def redis_values(self, name: str = "cache") -> dict[bytes, bytes]:
        """Every string in one of the Redis servers, by key."""
        async with self.redis(name) as client:
            names = [key async for key in client.scan_iter(count=1000)]
            found = {key: await client.get(key) for key in names}
            return {key: value for key, value in found.items() if isinstance(value, bytes)}

    def redis(self, name: str = "cache") -> Any:
        """A client of one of the Redis servers, or of the cluster."""
        if self.cluster is not None and name == "cache":
            return RedisCluster(host="127.0.0.1", port=self.cluster.nodes[0].port)
        return Redis.from_url(f"unix://{self.data / 'redis' / name}.sock")

    def children(self) -> dict[str, int]:
        """PIDs of the running children by the words of their command line that tell them apart."""
        assert self.process is not None
        found: dict[str, int] = {}
        for pid in descendants(self.process.pid):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # it ended while we looked
            text = " ".join(word.decode(errors="replace") for word in words)
            if service := re.search(r"deploy\.serve (\w+)", text):
                place = re.search(r"--index (\d+) --worker (\d+)", text)
                suffix = f"-{place[1]}-{place[2]}" if place and service[1] == "edge" else ""
                found[service[1] + suffix] = pid
            elif kind := re.search(r"(cache|control)\.sock", text):
                found[f"redis-{kind[1]}"] = pid
        return found

    def logs(self) -> str:
        """The end of every log, for a failing test's report."""
        parts = [(self.data.parent / f"{self.data.name}.stderr").read_text()[-4000:]]
        for path in sorted((self.data / "logs").glob("*.log")):
            parts.append(f"--- {path.name}\n{path.read_text()[-3000:]}")
        return "\n".join(parts)

    def parts(self) -> list[str]:
        """What `children` names when all run."""
        workers = [f"edge-{edge}-{worker}" for edge in range(self._edges) for worker in range(self._workers)]
        own = [] if self.cluster else ["redis-cache"]
        return [*own, "redis-control", "keys", "origin", "admin", *workers]

    def _next_line(self, deadline: float) -> str:
        try:
            line = self._lines.get(timeout=max(0.1, deadline - time.monotonic()))
        except queue.Empty:
            missing = sorted(set(self.parts()) - set(self.children()))
            raise AssertionError(
                f"not ready in {READY_WITHIN_S} s, load {os.getloadavg()[0]:.0f}, "
                f"not running: {', '.join(missing) or 'none'}:\n{self.logs()}"
            ) from None
        if not line:  # its output ended, and so does it
            assert self.process is not None
            self.process.wait(END_WITHIN_S)
            raise AssertionError(f"it ended with {self.process.returncode}:\n{self.logs()}")
        return line


def _read(stream: IO[str], lines: "queue.Queue[str]") -> None:
    for line in stream:
        lines.put(line.strip())
    lines.put("")


@contextmanager
def running(data: Path, *options: str, edges: int = 1, workers: int = 2) -> Iterator[System]:
    """A system for the time of the block; ended and seen to end."""
    system = System(data, *options, edges=edges, workers=workers)
    try:
        yield system.start()
    finally:
        if system.process is not None and system.process.poll() is None:
            assert system.stop() == 0, system.logs()


def sluice_command() -> list[str]:
    """How the command is started with this interpreter."""
    return [sys.executable, "-m", "deploy.cli"]


def clean_environment() -> dict[str, str]:
    """The environment without settings of whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}


def descendants(pid: int) -> list[int]:
    """Every process below this one."""
    found: list[int] = []
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return found
    for task in tasks:
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in map(int, children):
            found += [child, *descendants(child)]
    return found


def free_port_base(count: int) -> int:
    """A port from which `count` ports are free now, where no other process of this test run looks."""
    region = 21_000 + 3_000 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 3)
    for base in range(region + os.getpid() * 40 % 2_000, region + 3_000, 40):
        if all(_is_free(base + i) for i in range(count)):
            return base
    raise AssertionError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
