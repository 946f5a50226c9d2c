"""What the running system does now: two readings of its metrics, a moment apart, as rates and shares. Pure.

Rates are of the time between the readings; shares and sums are of all since the start, and so are first bytes
unless a third reading says since when.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from rich.console import Group
from rich.table import Table
from rich.text import Text

from deploy import units, zone_stats, zone_tops_shown
from deploy.histograms import Buckets, less, quantile
from deploy.zone_stats import Zones

Metrics = Mapping[str, float]  # counters and gauges by name, without their prefix

EDGE: Final = "sluice_edge_"
KEYS: Final = "sluice_keys_"
ORIGIN: Final = "sluice_origin_"
SENT: Final = ("segment_bytes_total", "download_bytes_total")
AS_COLUMNS: Final = 4  # so many edges stand beside each other where the lines are long enough
GAP: Final = 2
SHORT: Final = ("edge", "health", "sessions", "sent/s", "p99", "offload", "failed")  # of many, on a terminal
TITLES: Final = (
    *("edge", "health", "workers", "sessions", "requests/s", "sent/s", "first byte p50", "p99"),
    *(
        "from L1",
        "from L2",
        "from origin",
        "offload",
        "origin requests",
        "origin bytes",
        "pace waits",
        "refused",
        "failed",
        "kept in L1",
    ),
)


class EdgeRead(NamedTuple):
    """What one edge said of itself. Metrics are None where it did not answer."""

    url: str  # public
    health: str  # what /healthz says
    metrics: Metrics | None
    first_byte: Mapping[str, Buckets] = {}  # by class
    node: str = ""  # its name among nodes
    zones: Zones = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Reading:
    """All that was read at one moment. A service that did not answer is None."""

    at: float  # monotonic seconds
    edges: Sequence[EdgeRead]
    keys: Metrics | None
    origin: Metrics | None
    sessions: Mapping[str, int] | None  # live ones by the node name of the edge; None: not told here
    away: Sequence[str] = ("keys", "origin")  # said to be away where their metrics are missing
    told: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by zone, as `zone_tops.together`


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Seconds within which half, and 99 of 100, were. None of nothing."""

    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class EdgeNow:
    """One edge. None where it did not answer; shares from 0 to 1."""

    edge: str
    health: str
    workers: int | None = None
    workers_wanted: int | None = None
    sessions: int | None = None
    requests_per_s: float | None = None
    bytes_per_s: float | None = None
    first_byte_s: Mapping[str, Quantiles] = field(default_factory=dict)  # by class
    l1_share: float | None = None
    l2_share: float | None = None
    origin_share: float | None = None
    origin_requests: int | None = None
    origin_bytes: int | None = None
    offload: float | None = None
    pace_waits: int | None = None
    refused: int | None = None
    failed: int | None = None
    l1_bytes: int | None = None
    l2_up: bool | None = None
    origin_up: bool | None = None


def edges_now(before: Reading, now: Reading, since: Reading | None = None) -> list[EdgeNow]:
    """Every edge by two readings; first bytes since a third, otherwise since the start."""
    found = []
    for index, read in enumerate(now.edges):
        if read.metrics is None:
            found.append(EdgeNow(read.url, read.health))
            continue
        earlier = before.edges[index].metrics if index < len(before.edges) else None
        past = since.edges[index].first_byte if since and index < len(since.edges) else {}
        sessions = None if now.sessions is None else now.sessions.get(read.node, 0)
        found.append(_edge(read, read.metrics, earlier, past, now.at - before.at, sessions))
    return found


def _edge(
    read: EdgeRead,
    metrics: Metrics,
    earlier: Metrics | None,
    past: Mapping[str, Buckets],
    seconds: float,
    sessions: int | None,
) -> EdgeNow:
    opened = [metrics[name] for name in ("l1_hits_total", "l2_hits_total", "misses_total")]
    shares = [share(part, sum(opened)) for part in opened]
    from_origin = share(metrics["origin_bytes_total"], sum(metrics[name] for name in SENT))
    sent = [rate(name, metrics, earlier, seconds) for name in SENT]
    return EdgeNow(
        read.url,
        read.health,
        workers=int(metrics["workers"]),
        workers_wanted=int(metrics["workers_wanted"]),
        sessions=sessions,
        requests_per_s=rate("requests_total", metrics, earlier, seconds),
        bytes_per_s=None if None in sent else sum(each or 0.0 for each in sent),
        first_byte_s={name: _quantiles(less(b, past.get(name, ()))) for name, b in read.first_byte.items()},
        l1_share=shares[0],
        l2_share=shares[1],
        origin_share=shares[2],
        origin_requests=int(metrics["origin_requests_total"]),
        origin_bytes=int(metrics["origin_bytes_total"]),
        offload=None if from_origin is None else round(1 - from_origin, 4),
        pace_waits=int(metrics["pace_waits_total"]),
        refused=int(metrics["refused_total"]),
        failed=int(metrics["failed_total"]),
        l1_bytes=int(metrics["l1_bytes"]),
        l2_up=bool(metrics["l2_up"]),
        origin_up=bool(metrics["origin_up"]),
    )


def _quantiles(buckets: Buckets) -> Quantiles:
    p50, p99 = (quantile(share, buckets) for share in (0.5, 0.99))
    return Quantiles(p50, p99)


def rate(name: str, now: Metrics, earlier: Metrics | None, seconds: float) -> float | None:
    """How much a counter grew in a second. None without an earlier reading, or when it began anew."""
    if earlier is None or seconds <= 0 or now[name] < earlier.get(name, 0):
        return None
    return round((now[name] - earlier.get(name, 0)) / seconds, 2)


def share(part: float, whole: float) -> float | None:
    """The part of the whole, None of nothing."""
    return round(part / whole, 4) if whole else None


def zones(before: Reading, now: Reading, since: Reading | None = None) -> list[zone_stats.ZoneNow]:
    """Every zone, over all edges, by two readings; how long origins take since a third."""
    earlier, present, past = (
        [edge.zones for edge in reading.edges] if reading else [] for reading in (before, now, since)
    )
    return zone_stats.zones_now(earlier, present, now.at - before.at, past)


def to_json(before: Reading, now: Reading) -> dict[str, Any]:
    """All of it, for programs: edges as EdgeNow, zones as ZoneNow and what is told of them besides, and what
    keys and origin count.
    """
    return {
        "edges": [asdict(each) for each in edges_now(before, now)],
        "zones": [{**asdict(zone), "told": now.told.get(zone.zone)} for zone in zones(before, now)],
        "keys": _whole(now.keys),
        "origin": _whole(now.origin),
        "sessions": None if now.sessions is None else sum(now.sessions.values()),
    }


def _whole(metrics: Metrics | None) -> dict[str, int] | None:
    if metrics is None:
        return None
    return {name: int(value) for name, value in metrics.items() if not name.endswith("_created")}


def shown(
    before: Reading, now: Reading, since: Reading | None = None, *, width: int = 400, tops: bool = False
) -> Group:
    """For people: a table with a column for each edge, or a line when there are many; zones; services.

    `width` is that of a line: where it is short, a line of an edge says less. `tops`: what is told of zones.
    """
    lines = [TITLES, *(_cells(each) for each in edges_now(before, now, since))]
    beside = [max(map(len, cells)) + GAP for cells in lines]
    if len(now.edges) <= AS_COLUMNS and sum(beside) <= width + GAP:
        lines = list(zip(*lines, strict=True))
    elif width < sum(max(map(len, cells)) + GAP for cells in zip(*lines, strict=True)):
        kept = [TITLES.index(title) for title in SHORT]
        lines = [tuple(cells[place] for place in kept) for cells in lines]
    table = Table(box=None, padding=(0, GAP, 0, 0))
    for place, title in enumerate(lines[0]):
        table.add_column(title, justify="right" if place else "left")
    for line in lines[1:]:
        table.add_row(*line)
    services = {"keys": (now.keys, _keys_line), "origin": (now.origin, _origin_line)}
    told = [line(read) for name, (read, line) in services.items() if read or name in now.away]
    of_zones = zone_stats.table(zones(before, now, since), width)
    beneath = zone_tops_shown.shown(now.told) if tops else ()
    return Group(table, *((Text(""), of_zones) if of_zones else ()), *beneath, Text(""), *told)


def _keys_line(metrics: Metrics | None) -> Text:
    if metrics is None:
        return Text("keys: does not answer", style="bold red")
    opened, refused, leases = (
        _number(metrics[name]) for name in ("sessions_opened_total", "sessions_refused_total", "leases_total")
    )
    live = _number(metrics["sessions_live"])
    return Text(f"keys: {live} sessions live, {opened} opened, {refused} refused, {leases} leases")


def _origin_line(metrics: Metrics | None) -> Text:
    if metrics is None:
        return Text("origin: does not answer", style="bold red")
    asked, sent = _number(metrics["blob_requests_total"]), _bytes(metrics["blob_bytes_total"])
    return Text(f"origin: {asked} requests, {sent} sent, {_bytes(metrics['disk_free_bytes'])} of disk free")


def _cells(each: EdgeNow) -> tuple[str, ...]:
    down = () if each.workers is None else _down(each)
    segments = each.first_byte_s.get("segment")
    return (
        each.edge.partition("://")[2],
        ", ".join((each.health, *down)),
        f"{each.workers}/{each.workers_wanted}" if each.workers is not None else "–",
        _number(each.sessions),
        _number(each.requests_per_s),
        _bytes(each.bytes_per_s),
        _time(segments.p50 if segments else None),
        _time(segments.p99 if segments else None),
        _percent(each.l1_share),
        _percent(each.l2_share),
        _percent(each.origin_share),
        _percent(each.offload),
        _number(each.origin_requests),
        _bytes(each.origin_bytes),
        _number(each.pace_waits),
        _number(each.refused),
        _number(each.failed),
        _bytes(each.l1_bytes),
    )


def _down(each: EdgeNow) -> list[str]:
    named = (("Redis away", each.l2_up), ("origin away", each.origin_up))
    return [sentence for sentence, up in named if not up]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _bytes(value: float | None) -> str:
    return "–" if value is None else units.human_bytes(value)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{1000 * seconds:.0f} ms" if seconds >= 0.01 else f"{1000 * seconds:.1f} ms"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
