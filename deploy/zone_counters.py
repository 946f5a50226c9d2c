"""What an edge counts of each of its zones: shared counters (`deploy.counters`), a folder for each zone.

A zone that is added or taken away when workers are replaced leaves the counters of the others as they are.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from deploy.counters import Counters, Gauge
from deploy.gauges import most
from deploy.histograms import Histogram
from edge.zone.counters import BOUNDS_S, COUNTERS, FIRST_BYTE, FIRST_BYTE_MEANING

LABEL: Final = "zone"
GAUGES: Final = {
    "zone_memory_bytes": Gauge("bytes that this edge's workers hold of a zone"),
    "zone_origins_away": Gauge("origins of a zone that a worker has found to be away", most),
}


class ZoneCounters:
    """One worker's counters of these zones."""

    def __init__(self, directory: Path, worker: int, zones: Sequence[str], prefix: str) -> None:
        self._prefix, self._zones = prefix, tuple(zones)
        one = {FIRST_BYTE: _histogram([""])}
        self._of = {
            zone: Counters(directory / zone, worker, COUNTERS, prefix, GAUGES, one) for zone in self._zones
        }
        self._hits = {
            zone: each.adder("zone_requests", "zone_hits", "zone_bytes") for zone, each in self._of.items()
        }
        self._observers = {zone: each.observer(FIRST_BYTE) for zone, each in self._of.items()}

    def count(self, name: str, by: int, zone: str) -> None:
        """Adds to one counter of a zone. KeyError when there is no such counter, or zone."""
        self._of[zone].count(name, by)

    def hit(self, zone: str, size: int) -> None:
        """Counts an answer of a zone from memory, with a body of so many bytes."""
        self._hits[zone](size)

    def set(self, name: str, value: int, zone: str) -> None:
        """Sets this worker's part of a gauge of a zone."""
        self._of[zone].set(name, value)

    def first_byte(self, zone: str, seconds: float) -> None:
        """An origin of this zone took so long until its answer began."""
        self._observers[zone]("", seconds)

    def families(self) -> Iterator[Metric]:
        """All of them as Prometheus tells them, with the zone as a label."""
        totals = {zone: each.totals() for zone, each in self._of.items()}
        levels = {zone: each.levels() for zone, each in self._of.items()}
        for name, meaning in COUNTERS.items():
            counter = CounterMetricFamily(self._prefix + name, meaning, labels=[LABEL])
            for zone in self._zones:
                counter.add_metric([zone], totals[zone][name])
            yield counter
        if self._zones:
            slots = [slot for each in self._of.values() for slot in each.observed(FIRST_BYTE)]
            yield _histogram(self._zones).family(self._prefix + FIRST_BYTE, slots)
        for name, kind in GAUGES.items():
            gauge = GaugeMetricFamily(self._prefix + name, kind.meaning, labels=[LABEL])
            for zone in self._zones:
                gauge.add_metric([zone], levels[zone][name])
            yield gauge


def _histogram(zones: Sequence[str]) -> Histogram:
    return Histogram(FIRST_BYTE_MEANING, BOUNDS_S, {zone: {LABEL: zone} for zone in zones})
