"""What the zones of a running system do now: two readings of its edges' metrics as rates and shares. Pure.

A zone is one line over all edges that tell of it. Rates are of the time between the readings; shares and sums
are of all since the start, and so is how long origins take unless a third reading says since when.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from prometheus_client.parser import text_string_to_metric_families
from rich.table import Table

from deploy.histograms import Buckets, less, quantile
from deploy.units import human_bytes
from edge.zone.counters import FIRST_BYTE
from edge.zone.seen import NONE

PREFIX: Final = "sluice_edge_"
GAP: Final = 2
TITLES: Final = (
    *("zone", "requests/s", "sent/s", "memory", "Redis", "shared", "origin", "origin requests"),
    *("origin p50", "p95", "origin errors", "refused", "failed", "held"),
)
SHORT: Final = ("zone", "requests/s", "memory", "Redis", "origin", "p95", "failed", "held")  # 80 columns

Counts = Mapping[str, float]  # by name, without prefix and `_total`


class ZoneRead(NamedTuple):
    """What one edge said of one zone."""

    counts: Counts
    first_byte: Buckets = ()


Zones = Mapping[str, ZoneRead]  # by name


@dataclass(frozen=True, slots=True)
class ZoneNow:
    """One zone, over all edges that tell of it. Shares are of the answers, from 0 to 1; None of nothing."""

    zone: str
    requests: int
    requests_per_s: float | None
    bytes_per_s: float | None
    memory_share: float | None  # from what the worker held
    l2_share: float | None  # from what another had put into Redis
    shared_share: float | None  # by what another request was just asking for
    origin_share: float | None
    misses: int  # answers for which an origin was asked
    origin_requests: int  # sent to origins, those for slices and repeated ones too
    origin_bytes: int
    origin_p50_s: float | None
    origin_p95_s: float | None
    origin_errors: int  # requests that it gave no answer to
    unavailable: int  # answers for which no origin could be asked
    failovers: int
    stale_after_error: int
    refused: int
    failed: int
    memory_bytes: int
    origins_away: int


def read_zones(text: str) -> dict[str, ZoneRead]:
    """What Prometheus text says of each zone; what came to none is called `-`."""
    begins = (f"{PREFIX}zone_", f"# TYPE {PREFIX}zone_")
    lines = [line for line in text.splitlines() if line.startswith(begins)]
    counts: dict[str, dict[str, float]] = {}
    buckets: dict[str, dict[float, float]] = {}
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            zone, name = sample.labels.get("zone"), sample.name.removeprefix(PREFIX)
            if zone is None:
                continue
            if name == f"{FIRST_BYTE}_bucket":
                buckets.setdefault(zone, {})[float(sample.labels["le"])] = sample.value
            elif not name.startswith(FIRST_BYTE):
                counts.setdefault(zone, {})[name.removesuffix("_total")] = sample.value
    return {
        zone: ZoneRead(found, tuple(sorted(buckets.get(zone, {}).items()))) for zone, found in counts.items()
    }


def zones_now(
    before: Iterable[Zones], now: Iterable[Zones], seconds: float, since: Iterable[Zones] = ()
) -> list[ZoneNow]:
    """Every zone by two readings of all edges `seconds` apart; the times of origins since a third one."""
    earlier, past, present = together(before), together(since), together(now)
    return [
        _zone(zone, read, earlier.get(zone), past.get(zone), seconds)
        for zone, read in sorted(present.items())
        if zone != NONE or any(read.counts.values())
    ]


def together(edges: Iterable[Zones]) -> dict[str, ZoneRead]:
    """Several edges as if they were one."""
    found: dict[str, ZoneRead] = {}
    for edge in edges:
        for zone, read in edge.items():
            known = found.get(zone)
            found[zone] = read if known is None else _added(known, read)
    return found


def _added(one: ZoneRead, other: ZoneRead) -> ZoneRead:
    names = {*one.counts, *other.counts}
    counts = {name: one.counts.get(name, 0.0) + other.counts.get(name, 0.0) for name in names}
    buckets = dict(one.first_byte)
    for bound, count in other.first_byte:
        buckets[bound] = buckets.get(bound, 0.0) + count
    return ZoneRead(counts, tuple(sorted(buckets.items())))


def _zone(
    zone: str, read: ZoneRead, earlier: ZoneRead | None, past: ZoneRead | None, seconds: float
) -> ZoneNow:
    def of(name: str) -> int:
        return int(read.counts.get(name, 0))

    def rate(name: str) -> float | None:
        grown = None if earlier is None else read.counts.get(name, 0) - earlier.counts.get(name, 0)
        return None if grown is None or grown < 0 or seconds <= 0 else round(grown / seconds, 2)

    hits, misses = of("zone_hits"), of("zone_misses")
    # A hit is from memory unless it is said to be from elsewhere. One of many that waited for what came
    # from Redis is both, so neither is ever more than the hits.
    l2 = min(of("zone_l2_hits"), hits)
    shared = min(of("zone_collapsed"), hits - l2)
    waits = less(read.first_byte, past.first_byte if past else ())
    return ZoneNow(
        zone,
        requests=of("zone_requests"),
        requests_per_s=rate("zone_requests"),
        bytes_per_s=rate("zone_bytes"),
        memory_share=_share(hits - l2 - shared, hits + misses),
        l2_share=_share(l2, hits + misses),
        shared_share=_share(shared, hits + misses),
        origin_share=_share(misses, hits + misses),
        misses=misses,
        origin_requests=of("zone_origin_requests"),
        origin_bytes=of("zone_origin_bytes"),
        origin_p50_s=quantile(0.5, waits),
        origin_p95_s=quantile(0.95, waits),
        origin_errors=of("zone_origin_errors"),
        unavailable=of("zone_unavailable"),
        failovers=of("zone_failovers") + of("zone_retries"),
        stale_after_error=of("zone_stale_after_error"),
        refused=of("zone_refused"),
        failed=of("zone_failed"),
        memory_bytes=of("zone_memory_bytes"),
        origins_away=of("zone_origins_away"),
    )


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def table(zones: Iterable[ZoneNow], width: int) -> Table | None:
    """For people: a line for each zone, shorter where lines are; None where there are no zones."""
    lines = [_cells(each) for each in zones]
    if not lines:
        return None
    widths = [max(map(len, column)) + GAP for column in zip(TITLES, *lines, strict=True)]
    kept = range(len(TITLES)) if sum(widths) <= width + GAP else [TITLES.index(title) for title in SHORT]
    found = Table(box=None, padding=(0, GAP, 0, 0))
    for place in kept:
        found.add_column(TITLES[place], justify="right" if place else "left", no_wrap=True)
    for line in lines:
        found.add_row(*(line[place] for place in kept))
    return found


def _cells(each: ZoneNow) -> tuple[str, ...]:
    away = f" ({each.origins_away} away)" if each.origins_away else ""
    return (
        (each.zone if each.zone != NONE else "no zone's") + away,
        _number(each.requests_per_s),
        "–" if each.bytes_per_s is None else human_bytes(each.bytes_per_s),
        *map(_percent, (each.memory_share, each.l2_share, each.shared_share, each.origin_share)),
        _number(each.origin_requests),
        _time(each.origin_p50_s),
        _time(each.origin_p95_s),
        _number(each.origin_errors + each.unavailable),
        _number(each.refused),
        _number(each.failed),
        human_bytes(each.memory_bytes),
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{1000 * seconds:.0f} ms" if seconds >= 0.01 else f"{1000 * seconds:.1f} ms"
