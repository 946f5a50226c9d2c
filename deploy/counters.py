"""Counters that the workers of a service share: each has a small mapped file, a reader adds the files up.

A worker that dies leaves its file and the one started in its place goes on counting in it, so a total never
goes back while the system runs. While a worker is replaced both run: the new one finds the file locked and
takes another. The files are cleared when the system starts.
"""

import fcntl
import itertools
import mmap
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

_SLOT = 8  # bytes: an unsigned number, native order (the files never leave the machine)


class Counters:
    """One worker's counters. `meanings`: {name: what it counts}, the same in every worker of the service."""

    def __init__(self, directory: Path, worker: int, meanings: Mapping[str, str], prefix: str) -> None:
        self._directory = directory
        self._meanings = dict(meanings)
        self._prefix = prefix
        self._slots = {name: place for place, name in enumerate(self._meanings)}
        self._numbers = _mapped(directory, worker, len(self._meanings))

    def count(self, name: str, by: int = 1) -> None:
        """Adds to one counter. KeyError for a name that is not in the table."""
        self._numbers[self._slots[name]] += by

    def totals(self) -> dict[str, int]:
        """Every counter, summed over all workers."""
        sums = [0] * len(self._meanings)
        for path in self._directory.glob("*.counters"):
            data = path.read_bytes()
            if len(data) == _SLOT * len(sums):
                for place, value in enumerate(memoryview(data).cast("Q")):
                    sums[place] += value
        return dict(zip(self._meanings, sums, strict=True))

    def render(self) -> str:
        """All totals as Prometheus text."""
        registry = CollectorRegistry()
        registry.register(_Totals(self._families))
        return generate_latest(registry).decode()

    def _families(self) -> Iterator[Metric]:
        for name, value in self.totals().items():
            yield CounterMetricFamily(self._prefix + name, self._meanings[name], value)


def clear(directory: Path) -> None:
    """Starts all counters of a service at nothing; only while none of its workers runs."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # `mode` is never that of parents
    directory.mkdir(mode=0o700)


class _Totals(Collector):
    def __init__(self, families: Callable[[], Iterable[Metric]]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families()


def _mapped(directory: Path, worker: int, slots: int) -> memoryview:
    """A worker's numbers, in the first of its files that no living process has. The lock ends with us."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for attempt in itertools.count():
        suffix = f"-{attempt}" if attempt else ""
        fd = os.open(directory / f"{worker}{suffix}.counters", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, slots * _SLOT)
            return memoryview(mmap.mmap(fd, slots * _SLOT)).cast("Q")  # holds the file, and so the lock, open
        except BlockingIOError:
            continue
        finally:
            os.close(fd)
    raise AssertionError("unreachable")
