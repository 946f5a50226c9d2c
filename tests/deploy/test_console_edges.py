"""The console's edges: what they tell over real sockets, and how often they are asked."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from deploy import gauges
from deploy.assemble import edge_counters, edge_histograms
from deploy.console.edges import PAUSE_S, Edges
from deploy.counters import Counters
from deploy.zone_counters import ZoneCounters
from edge.deliver import health
from edge.deliver.first_byte import NAME
from keys.client import KeysClient
from tests.support.serving import served

NOWHERE = "http://127.0.0.1:9"


TOLD = {
    "press": {
        "access": "public",
        "origins": {"http://origin.example": "ready"},
        "requests": {"total": 3, "objects": [["/a", 2, 0], ["/b", 1, 0]]},
        "bytes": {"total": 0, "objects": []},
    }
}


class Clock:
    """Monotonic seconds, moved by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def edges(tmp_path: Path) -> AsyncIterator[tuple[Edges, Counters, Clock, list[str]]]:
    """An edge that is too busy for new sessions, and one that is away; keys are away too."""
    zones = ZoneCounters(tmp_path / "zones", 0, ["press"], "sluice_edge_")
    zones.count("zone_hits", 3, "press")
    counters = Counters(
        tmp_path, 0, edge_counters(), "sluice_edge_", gauges.EDGE, edge_histograms(), zones.families
    )
    asked: list[str] = []

    def metrics() -> str:
        asked.append("metrics")
        return counters.render()

    said = health.Health({}, {"load": health.Says(lambda: "too busy")})
    clock, keys = Clock(), KeysClient(NOWHERE, lambda: "t")
    async with served(Starlette(routes=health.routes(said, metrics, lambda: TOLD))) as url:
        found = Edges(keys, [url, NOWHERE], None, clock)
        yield found, counters, clock, asked
        await found.close()
        await keys.close()


async def test_an_edge_tells_what_it_does_and_one_that_is_away_nothing(
    edges: tuple[Edges, Counters, Clock, list[str]],
) -> None:
    found, counters, clock, _ = edges
    counters.set("workers", 2)
    counters.count("l1_hits", 3)
    counters.count("misses", 1)
    await found.rows()
    counters.count("segment_bytes", 3_000_000)
    counters.count("download_bytes", 1_000_000)
    counters.observer(NAME)("segment_hit", 0.004)
    clock.now += 2
    busy, away = await found.rows()
    assert (busy["status"], busy["new_sessions"], busy["wrong"]) == ("limited", False, ["load: too busy"])
    assert (busy["workers"], busy["bytes_per_s"], busy["hit_ratio"]) == (2, 2e6, 0.75)
    assert 0.002 < busy["first_byte_p50_s"] <= 0.005
    assert busy["sessions"] is None, "keys are away: not known"
    assert (away["status"], away["new_sessions"], away["workers"]) == ("no answer", False, None)
    assert set(away) == set(busy)


async def test_zones_are_one_row_each_with_what_their_edges_tell_of_them(
    edges: tuple[Edges, Counters, Clock, list[str]],
) -> None:
    found, _, _, asked = edges
    _, (press,) = await found.rows_and_zones()
    assert (press["zone"], press["memory_share"], press["told"]) == ("press", 1.0, TOLD["press"])
    await found.rows()
    assert len(asked) == 1, "both are of one reading"


async def test_many_who_look_read_an_edge_once_a_second_and_a_pause_gives_no_rate(
    edges: tuple[Edges, Counters, Clock, list[str]],
) -> None:
    found, _, clock, asked = edges
    for _ in range(3):
        await found.rows()
    assert len(asked) == 1
    clock.now += PAUSE_S + 1
    assert (await found.rows())[0]["bytes_per_s"] is None
    assert len(asked) == 2
