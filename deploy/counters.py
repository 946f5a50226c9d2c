"""Counters that the workers of a service share: each has a small mapped file, a reader adds the files up.

A worker that dies leaves its file and the one started in its place goes on counting in it, so a total never
goes back while the system runs. While a worker is replaced both run: the new one finds the file locked and
takes another. The files are cleared when the system starts.

Gauges lie beside the counters: each worker sets its own, a reader combines those of the workers that live.
So do histograms (`deploy.histograms`), which are summed like counters.
"""

import fcntl
import itertools
import mmap
import os
import platform
import re
import shutil
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from deploy.histograms import Histogram, Observe

BUILD_INFO: Final = "sluice_build_info"
BUILD: Final = "the version that runs, as labels"
_SLOT = 8  # bytes: an unsigned number, native order (the files never leave the machine)


@dataclass(frozen=True, slots=True)
class Gauge:
    """A whole number from 0 that goes up and down. `over` makes one of what the living workers say."""

    meaning: str
    over: Callable[[Iterable[int]], int] = sum


class Counters:
    """One worker's counters and gauges: {name: what it counts}, the same in every worker of the service."""

    def __init__(
        self,
        directory: Path,
        worker: int,
        meanings: Mapping[str, str],
        prefix: str,
        gauges: Mapping[str, Gauge] | None = None,
        histograms: Mapping[str, Histogram] | None = None,
        beside: Callable[[], Iterable[Metric]] = tuple,
    ) -> None:
        """`beside` gives what is told besides."""
        self._beside = beside
        self._directory = directory
        self._meanings = dict(meanings)
        self._gauges = dict(gauges or {})
        self._prefix = prefix
        self._slots = {name: place for place, name in enumerate([*self._meanings, *self._gauges])}
        self._histograms: dict[str, tuple[Histogram, int]] = {}  # with its first slot
        self._size = len(self._slots)
        for name, histogram in (histograms or {}).items():
            self._histograms[name] = (histogram, self._size)
            self._size += histogram.slots
        self._numbers = _mapped(directory, worker, self._size)

    def count(self, name: str, by: int = 1) -> None:
        """Adds to one counter. KeyError for a name that is not in the table."""
        self._numbers[self._slots[name]] += by

    def set(self, name: str, value: int) -> None:
        """Sets this worker's part of a gauge. KeyError for a name that is not in the table."""
        self._numbers[self._slots[name]] = value

    def adder(self, *names: str) -> Callable[[int], None]:
        """What adds a number to the last of these counters and 1 to those before, in one call."""
        numbers, last = self._numbers, self._slots[names[-1]]
        ones = [self._slots[name] for name in names[:-1]]

        def add(by: int) -> None:
            for one in ones:
                numbers[one] += 1
            numbers[last] += by

        return add

    def observer(self, name: str) -> Observe:
        """What adds to one histogram. KeyError for a name that is not in the table."""
        histogram, first = self._histograms[name]
        return histogram.observer(self._numbers, first)

    def totals(self) -> dict[str, int]:
        """Every counter, summed over all workers there ever were."""
        sums = self._sums()
        return {name: sums[place] for place, name in enumerate(self._meanings)}

    def levels(self) -> dict[str, int]:
        """Every gauge, over the workers that live."""
        alive = [numbers for numbers, lives in self._read() if lives]
        return {
            name: gauge.over(numbers[self._slots[name]] for numbers in alive)
            for name, gauge in self._gauges.items()
        }

    def observed(self, name: str) -> list[int]:
        """The slots of one histogram, summed over all workers there ever were."""
        histogram, first = self._histograms[name]
        return self._sums()[first : first + histogram.slots]

    def render(self) -> str:
        """All totals and levels as Prometheus text."""
        registry = CollectorRegistry()
        registry.register(_Totals(self._families))
        return generate_latest(registry).decode()

    def _sums(self) -> list[int]:
        """Every slot, summed over all workers there ever were."""
        return [sum(column) for column in zip(*(numbers for numbers, _ in self._read()), strict=True)]

    def _families(self) -> Iterator[Metric]:
        sums = self._sums()
        for place, (name, meaning) in enumerate(self._meanings.items()):
            yield CounterMetricFamily(self._prefix + name, meaning, sums[place])
        for name, (histogram, first) in self._histograms.items():
            yield histogram.family(self._prefix + name, sums[first : first + histogram.slots])
        for name, value in self.levels().items():
            yield GaugeMetricFamily(self._prefix + name, self._gauges[name].meaning, value)
        yield from self._beside()
        build = GaugeMetricFamily(BUILD_INFO, BUILD, labels=["version", "python"])
        build.add_metric([_VERSION, platform.python_version()], 1)
        yield build

    def _read(self) -> Iterator[tuple[memoryview, bool]]:
        """The numbers of every worker, and whether it lives."""
        for path in sorted(self._directory.glob("*.counters")):
            with path.open("rb") as file:
                data = file.read()
                if len(data) == _SLOT * self._size:
                    yield memoryview(data).cast("Q"), _is_held(file.fileno())


def clear(directory: Path) -> None:
    """Starts all counters of a service at nothing; only while none of its workers runs."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # `mode` is never that of parents
    directory.mkdir(mode=0o700)


def version() -> str:
    """The version that runs."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    return str(project["project"]["version"])


def _is_held(fd: int) -> bool:
    """Whether a living process has the file: its lock ends with it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def read_counters(text: str) -> dict[str, float]:
    """Prometheus text as {name: value}, summed over labels."""
    found: dict[str, float] = {}
    for name, value in re.findall(r"^([a-z0-9_]+)(?:\{[^}]*\})? ([0-9.e+-]+)$", text, re.MULTILINE):
        found[name] = found.get(name, 0.0) + float(value)
    return found


_VERSION = version()


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
