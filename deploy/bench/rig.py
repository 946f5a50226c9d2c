"""The system and the floor, started and pinned, and the rounds in which both are measured in turn.

The measured edge worker and the floor share one core, one of them idle while the other works; the load, keys,
origin, Redis and the second edge have the rest.
"""

import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from deploy import launch, up
from deploy.bench import film, processes
from deploy.bench.film import Film
from deploy.bench.viewers import Session, open_sessions
from deploy.child import ChildSpec, start
from deploy.layers import load
from deploy.settings import Settings
from deploy.up import System

PACE: Final = {"pace_burst": "900000s", "pace_rate": "100"}  # every segment is asked for, none waits
ZONE: Final = "bench"
FLOOR_PORT, ORIGIN_PORT, NGINX_PORT = 3, 4, 5  # from the first port
MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """How much a run takes: the defaults are `make bench`'s, tests take less."""

    rounds: int = 7
    gigabytes: float = 1.0  # of encrypted body in a measurement; plain takes three times it
    small: int = 8_000  # small requests in a measurement
    crowd_s: float = 3.0
    herd: int = 500
    idle: int = 500
    revoked: int = 100
    refused: int = 2000  # of each kind, a round
    segments: tuple[tuple[str, int, int], ...] = (
        ("1.5 MB", 1_500_000, 48),
        ("6 MB", 6_000_000, 16),
    )  # name, bytes of a segment, how many


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement of one server."""

    cpu_s: float
    wall_s: float


@dataclass
class Rig:
    """What jobs work with."""

    system: System
    size: Size
    floor_url: str
    floor_pid: int
    films: dict[str, Film] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The system's data directory."""
        return self.system.layout.data

    @property
    def edges(self) -> tuple[str, ...]:
        """Base URLs; the first is the measured one."""
        return self.system.settings.public_bases

    @property
    def edge_pid(self) -> int:
        """The measured worker."""
        pid = self.system.supervisor.pid("edge-1.0")
        if pid is None:
            raise RuntimeError("the measured edge does not run")
        return pid

    async def film(self, name: str) -> Film:
        """The film with segments of that size (`Size.segments`), made when first asked for."""
        if name not in self.films:
            _, size, count = next(row for row in self.size.segments if row[0] == name)
            asset = f"bench-{len(self.films)}"
            self.films[name] = await film.make(self.system.settings, asset, size, count)
        return self.films[name]

    async def sessions(
        self, film: Film, count: int, *, edge: int = 0, protection: str = "aes"
    ) -> list[Session]:
        """New sessions, opened at the edge with this index, good on all edges."""
        first = self.edges[edge]
        others = [url for url in self.edges if url != first]
        return await open_sessions(self.data, [first, *others], film, count, protection)

    async def measure(self, pid: int, work: Awaitable[Any]) -> Measured:
        """What the server with this PID took for this work."""
        cpu, wall = processes.cpu_seconds([pid]), time.perf_counter()
        await work
        return Measured(processes.cpu_seconds([pid]) - cpu, time.perf_counter() - wall)

    async def rounds(self, *measures: Callable[[], Awaitable[float]]) -> list[tuple[float, ...]]:
        """One figure of each a round, after one round that does not count. Who is first changes."""
        sides: list[tuple[Callable[[], Awaitable[float]], list[float]]] = [(each, []) for each in measures]
        for measure, _ in sides:
            await measure()
        for turn in range(self.size.rounds):
            for measure, figures in sides if turn % 2 else sides[::-1]:
                figures.append(await measure())
        return [tuple(figures) for _, figures in sides]


@contextlib.asynccontextmanager
async def running(data: Path, size: Size, port_base: int | None = None) -> AsyncIterator[Rig]:
    """The system with two edges of one worker each, and the floor. Ended, and seen to end, on leaving."""
    server, rest = processes.cores()
    processes.pin(os.getpid(), rest)  # and so all children
    settings = bench_settings(data, port_base)
    async with up.started(settings, launch.ALL_SERVICES) as system:
        port = settings.port_base + FLOOR_PORT
        floor = await start(ChildSpec("floor", _floor_argv(port), launch.environment()))
        try:
            assert floor.stdout is not None
            if await floor.stdout.readline() != b"ready\n":
                raise RuntimeError("the floor did not start")
            rig = Rig(system, size, f"http://127.0.0.1:{port}", floor.pid)
            for pid in (rig.edge_pid, floor.pid):
                processes.pin(pid, server)
            yield rig
        finally:
            floor.kill()
            await floor.wait()


def bench_settings(data: Path, port_base: int | None) -> Settings:
    """The benched system's settings: an operator's defaults but for size and pace, and one signed zone."""
    base = port_base or up.free_port_base(2)
    data.mkdir(parents=True, exist_ok=True)
    zones = data / "zones.toml"
    zones.write_text(
        f'[zones.{ZONE}]\norigins = ["http://127.0.0.1:{base + ORIGIN_PORT}"]\naccess = "signed"\n'
    )
    given = {
        "data": str(data),
        "port_base": str(base),
        "zones": str(zones),
        "edges": "2",
        "workers": "1",
        "l1_memory": "1G",
        "redis_memory": "512M",
        "log_level": "warning",
        **PACE,
    }
    return load(given, {})


def _floor_argv(port: int) -> Sequence[str]:
    return [sys.executable, "-m", "deploy.bench.floor", "--port", str(port)]
