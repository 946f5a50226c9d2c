"""Histograms that workers share: how many took how long, in a fixed number of slots beside the counters.

A series (one set of labels) has a slot for each bound, one for what is above all of them, and one for the sum
in whole microseconds. Slots are counted apart; Prometheus wants them added up, which the reader does.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.parser import text_string_to_metric_families

Observe = Callable[[str, float], None]
Buckets = tuple[tuple[float, float], ...]  # (bound in seconds, observations at most that long), rising

_MICRO: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Histogram:
    """What is observed: bounds in seconds, rising, and the labels of each series by its name in the code."""

    meaning: str
    bounds_s: tuple[float, ...]
    series: Mapping[str, Mapping[str, str]]

    @property
    def slots(self) -> int:
        """How many numbers it takes."""
        return self._width * len(self.series)

    @property
    def _width(self) -> int:
        return len(self.bounds_s) + 2

    def observer(self, numbers: memoryview, first: int) -> Observe:
        """What adds one observation to the slots from `first` on. KeyError: no such series."""
        bounds, total = self.bounds_s, len(self.bounds_s) + 1
        places = {name: first + place * self._width for place, name in enumerate(self.series)}

        def observe(series: str, seconds: float) -> None:
            place = places[series]
            numbers[place + bisect_left(bounds, seconds)] += 1
            numbers[place + total] += int(seconds * _MICRO)

        return observe

    def family(self, name: str, sums: Sequence[int]) -> HistogramMetricFamily:
        """As Prometheus tells it, of its slots summed over all workers."""
        labels = list(next(iter(self.series.values())))
        family = HistogramMetricFamily(name, self.meaning, labels=labels)
        bounds = [*map(str, self.bounds_s), "+Inf"]
        for place, values in enumerate(self.series.values()):
            own = sums[place * self._width : (place + 1) * self._width]
            buckets = list(zip(bounds, accumulate(own[:-1]), strict=True))
            family.add_metric([values[label] for label in labels], buckets, own[-1] / _MICRO)
        return family


def read_buckets(text: str, name: str, label: str) -> dict[str, Buckets]:
    """The histogram `name` of Prometheus text by one of its labels, summed over the others."""
    found: dict[str, dict[float, float]] = {}
    lines = [line for line in text.splitlines() if line.startswith((f"{name}_bucket", f"# TYPE {name} "))]
    for family in text_string_to_metric_families("\n".join(lines)):
        for sample in family.samples:
            counts = found.setdefault(sample.labels[label], {})
            bound = float(sample.labels["le"])
            counts[bound] = counts.get(bound, 0.0) + sample.value
    return {value: tuple(sorted(counts.items())) for value, counts in found.items()}


def less(now: Buckets, earlier: Buckets) -> Buckets:
    """What came since an earlier reading; all of it when there is none, or counting began anew."""
    before = dict(earlier)
    grown = tuple((bound, count - before.get(bound, 0.0)) for bound, count in now)
    return now if any(count < 0 for _, count in grown) else grown


def quantile(share: float, buckets: Iterable[tuple[float, float]]) -> float | None:
    """Seconds within which this share of the observations lay, None of none.

    As Prometheus' histogram_quantile: even within a bucket, and above the last bound that bound.
    """
    rows = list(buckets)
    total = rows[-1][1] if rows else 0
    if not total:
        return None
    wanted = share * total
    below, under = 0.0, 0.0
    for bound, count in rows:
        if count >= wanted and count > under:
            if bound == float("inf"):
                return below
            return below + (bound - below) * (wanted - under) / (count - under)
        below, under = bound, count
    return below
