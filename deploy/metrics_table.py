"""The table of metrics as an operator reads it: rows for `sluice metrics` and docs/operations.md."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy import gauges
from deploy.assemble import edge_counters, edge_histograms, shield_counters
from deploy.counters import BUILD, BUILD_INFO
from deploy.settings_table import write_between

BEGIN: Final = "<!-- metrics: written by `sluice metrics --page` -->"
END: Final = "<!-- /metrics -->"


@dataclass(frozen=True, slots=True)
class Row:
    """One metric as it stands in Prometheus text."""

    service: str
    name: str
    kind: str  # counter, gauge or histogram
    meaning: str


def rows() -> list[Row]:
    """Every metric of keys, origin, edges and shields, in that order."""
    from deploy.zone_counters import GAUGES as ZONE_GAUGES
    from edge.zone.counters import COUNTERS as ZONE
    from edge.zone.counters import FIRST_BYTE, FIRST_BYTE_MEANING
    from keys.counters import COUNTERS as KEYS
    from origin.metrics import COUNTERS as ORIGIN
    from origin.metrics import GAUGES as ORIGIN_GAUGES

    zone_gauges = {name: gauge.meaning for name, gauge in ZONE_GAUGES.items()}
    edge_gauges = {name: gauge.meaning for name, gauge in gauges.EDGE.items()}
    keys_gauges = {name: gauge.meaning for name, gauge in gauges.KEYS.items()}
    shield_gauges = {name: gauge.meaning for name, gauge in gauges.SHIELD.items()}
    return [
        *_rows("keys", "sluice_", KEYS, keys_gauges),
        *_rows("origin", "sluice_origin_", ORIGIN, ORIGIN_GAUGES),
        *_rows("edge", "sluice_edge_", edge_counters(), edge_gauges),
        *(Row("edge", f"sluice_edge_{n}", "histogram", h.meaning) for n, h in edge_histograms().items()),
        *_rows("edge", "sluice_edge_", _by_zone(ZONE), _by_zone(zone_gauges)),
        Row("edge", f"sluice_edge_{FIRST_BYTE}", "histogram", f"by zone: {FIRST_BYTE_MEANING}"),
        *_rows("shield", "sluice_shield_", shield_counters(), shield_gauges),
        Row("keys, edge, shield", BUILD_INFO, "gauge", BUILD),
    ]


def markdown() -> str:
    """The table of docs/operations.md."""
    lines = ["| metric | kind | meaning |", "|---|---|---|"]
    lines += [f"| `{row.name}` | {row.kind} | {row.meaning} |" for row in rows()]
    return "\n".join(lines)


def write_into(page: Path) -> None:
    """Puts the table between its markers in this file. ValueError when they are missing."""
    write_between(page, BEGIN, END, markdown())


def _rows(service: str, prefix: str, counters: Mapping[str, str], levels: Mapping[str, str]) -> Iterator[Row]:
    for name, meaning in counters.items():
        yield Row(service, f"{prefix}{name}_total", "counter", _sentence(meaning))
    for name, meaning in levels.items():
        yield Row(service, f"{prefix}{name}", "gauge", _sentence(meaning))


def _by_zone(meanings: Mapping[str, str]) -> dict[str, str]:
    return {name: f"by zone: {meaning}" for name, meaning in meanings.items()}


def _sentence(meaning: str) -> str:
    """As in a table: no capital, no full stop."""
    return (meaning[:1].lower() + meaning[1:]).rstrip(".")
