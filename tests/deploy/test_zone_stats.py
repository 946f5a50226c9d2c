"""Zones as operators see them: counted by name over workers and edges, told as rates and shares."""

import asyncio
import io
from collections import defaultdict
from pathlib import Path

import pytest
from rich.console import Console

from deploy import stats, zone_stats
from deploy.counters import Counters
from deploy.zone_counters import ZoneCounters
from deploy.zone_stats import ZoneRead, read_zones, zones_now
from deploy.zone_tops import GONE_S, Tellings, telling, together
from edge.zone.seen import NONE


def rendered(counters: ZoneCounters, folder: Path) -> str:
    return Counters(folder / "edge", 0, {"other": "o"}, "sluice_edge_", beside=counters.families).render()


def test_each_zone_is_counted_by_name_over_all_workers(tmp_path: Path) -> None:
    workers = [ZoneCounters(tmp_path, n, ["press", "courses", NONE], "sluice_edge_") for n in range(2)]
    for each in workers:
        each.count("zone_requests", 3, "press")
        each.set("zone_memory_bytes", 100, "press")
        each.set("zone_origins_away", 1, "press")
        each.first_byte("press", 0.03)
    text = rendered(workers[0], tmp_path)
    assert 'sluice_edge_zone_requests_total{zone="press"} 6.0' in text
    assert 'sluice_edge_zone_requests_total{zone="courses"} 0.0' in text
    assert 'sluice_edge_zone_origin_first_byte_seconds_count{zone="press"} 2.0' in text
    found = read_zones(text)
    assert found["press"].counts["zone_requests"] == 6
    assert (found["press"].counts["zone_memory_bytes"], found["press"].counts["zone_origins_away"]) == (
        200,
        1,
    )
    assert dict(found["press"].first_byte)[0.05] == 2


def test_a_hit_counts_in_one_go_what_it_would_one_by_one(tmp_path: Path) -> None:
    counters = ZoneCounters(tmp_path, 0, ["press", "courses"], "sluice_edge_")
    for size in (10, 0):
        counters.hit("press", size)
    counts = read_zones(rendered(counters, tmp_path))["press"].counts
    assert {name: by for name, by in counts.items() if by} == {
        "zone_requests": 2,
        "zone_hits": 2,
        "zone_bytes": 10,
    }


def test_a_zone_that_is_added_or_taken_away_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    ZoneCounters(tmp_path, 0, ["press", "courses"], "x_").count("zone_hits", 5, "courses")
    after = ZoneCounters(tmp_path, 0, ["archive", "courses"], "sluice_edge_")
    after.count("zone_hits", 1, "courses")
    found = read_zones(rendered(after, tmp_path))
    assert {zone: read.counts["zone_hits"] for zone, read in found.items()} == {"archive": 0, "courses": 6}


def test_an_edge_without_zones_tells_of_none(tmp_path: Path) -> None:
    assert read_zones(rendered(ZoneCounters(tmp_path, 0, [], "sluice_edge_"), tmp_path)) == {}
    assert zone_stats.table([], 80) is None


def read(**counts: float) -> ZoneRead:
    return ZoneRead({f"zone_{name}": value for name, value in counts.items()})


def test_rates_are_of_the_time_between_and_shares_of_all_answers_over_all_edges() -> None:
    before = [{"press": read(requests=10, bytes=0)}, {"press": read(requests=0)}]
    now = [
        {"press": read(requests=60, bytes=2000, hits=50, l2_hits=5, collapsed=5, misses=10)},
        {"press": read(requests=50, hits=30, misses=10, origin_errors=1, failovers=1, retries=2)},
    ]
    (found,) = zones_now(before, now, 10)
    assert (found.requests, found.requests_per_s, found.bytes_per_s) == (110, 10.0, 200.0)
    shares = (found.memory_share, found.l2_share, found.shared_share, found.origin_share)
    assert shares == (0.7, 0.05, 0.05, 0.2) and sum(shares) == pytest.approx(1)
    assert (found.origin_errors, found.failovers, found.misses) == (1, 3, 20)


def test_without_an_earlier_reading_or_when_counting_began_anew_there_is_no_rate() -> None:
    (new,) = zones_now([], [{"press": read(requests=5)}], 1)
    (anew,) = zones_now([{"press": read(requests=9)}], [{"press": read(requests=5)}], 1)
    assert (new.requests_per_s, anew.requests_per_s) == (None, None)
    assert new.memory_share is None and new.origin_p95_s is None


def test_how_long_origins_take_is_of_all_or_of_what_came_since() -> None:
    inf = float("inf")
    then = {"press": ZoneRead({}, ((0.01, 100.0), (1.0, 100.0), (inf, 100.0)))}
    now = {"press": ZoneRead({}, ((0.01, 100.0), (1.0, 110.0), (inf, 110.0)))}
    (whole,), (lately,) = zones_now([], [now], 1), zones_now([], [now], 1, [then])
    assert whole.origin_p50_s is not None and whole.origin_p50_s < 0.01
    assert lately.origin_p50_s == pytest.approx(0.505)


def test_what_came_to_no_zone_is_a_line_only_where_there_was_any() -> None:
    quiet = zones_now([], [{NONE: read(requests=0), "press": read()}], 1)
    loud = zones_now([], [{NONE: read(requests=2), "press": read()}], 1)
    assert [[each.zone for each in found] for found in (quiet, loud)] == [["press"], [NONE, "press"]]


@pytest.mark.parametrize(("width", "columns"), [(80, zone_stats.SHORT), (200, zone_stats.TITLES)])
def test_a_line_fits_where_it_is_shown_and_says_what_is_away(width: int, columns: tuple[str, ...]) -> None:
    many = read(requests=1e7, bytes=1e12, hits=9e6, misses=1e6, origins_away=1, failed=3, memory_bytes=5e8)
    console = Console(width=width, record=True, file=io.StringIO())
    found = zone_stats.table(zones_now([{"press": read()}], [{"press": many}], 10), width)
    assert found is not None
    console.print(found)
    lines = console.export_text().splitlines()
    assert len(lines) == 2, "nothing is folded"
    assert all(title in lines[0] for title in columns) and "press (1 away)" in lines[1]


def test_stats_tells_of_zones_beside_edges() -> None:
    counts = defaultdict(float, {"workers": 1.0, "workers_wanted": 1.0})
    one = stats.EdgeRead("http://e", "ok", counts, zones={"press": read(requests=4, hits=4)})
    before = stats.Reading(0, [one._replace(zones={"press": read()})], None, None, None, away=())
    now = stats.Reading(2, [one], None, None, None, away=(), told={"press": {"access": "public"}})
    (press,) = stats.to_json(before, now)["zones"]
    assert (press["requests_per_s"], press["told"]) == (2, {"access": "public"})
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(stats.shown(before, now, width=80))
    line = next(line for line in console.export_text().splitlines() if line.startswith("press"))
    assert line.split()[1:4] == ["2", "100.0", "%"]


def test_what_is_asked_for_most_is_shown_beneath_where_it_is_wanted_and_told_to_programs() -> None:
    told = together([said("away", ("/a[b]\x1b[2J", 3), ("/" + "c" * 300, 1)), {"idle": IDLE}])
    reading = stats.Reading(2, [], None, None, None, away=(), told=told)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(stats.shown(reading, reading, width=80, tops=True))
    shown = console.export_text()
    assert "\x1b" not in shown and max(map(len, shown.splitlines())) <= 80
    line = next(line for line in shown.splitlines() if "/a" in line and "press" not in line)
    assert line.split() == ["3", "75.0", "%", "/a[b]\ufffd[2J"]
    assert "press (public)  http://a away" in shown and "nothing in the last minutes" in shown
    console.print(stats.shown(reading, reading, width=80))
    assert "/a" not in console.export_text()


NOTHING = {"total": 0, "objects": []}
IDLE = {"access": "signed", "origins": {}, "requests": NOTHING, "bytes": NOTHING}


def said(state: str, *objects: tuple[str, int]) -> dict[str, dict[str, object]]:
    told = {"total": sum(weight for _, weight in objects), "objects": [[*each, 0] for each in objects]}
    return {"press": {"access": "public", "origins": {"http://a": state}, "requests": told, "bytes": told}}


def test_workers_together_tell_the_sum_of_objects_and_the_worst_of_an_origin() -> None:
    found = together([said("ready", ("/a", 3), ("/b", 1)), said("away", ("/b", 4))], 1)
    assert found["press"]["origins"] == {"http://a": "away"}
    assert found["press"]["requests"] == {"total": 8, "objects": [["/b", 5, 0]]}


async def test_a_disk_that_was_full_is_written_to_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "told"
    folder.write_text("no folder")
    mine, heard = Tellings(folder), asyncio.Event()

    def told() -> dict[str, dict[str, object]]:
        if caplog.records and folder.is_file():
            folder.unlink()
        if mine.together():
            heard.set()
        return said("ready", ("/a", 1))

    async with telling(mine, told, 0.01):
        await asyncio.wait_for(heard.wait(), 10)
    assert "cannot be told" in caplog.text and mine.together() == {}


def test_a_worker_that_has_ended_is_not_heard_any_more(tmp_path: Path) -> None:
    now = [1000.0]
    mine = Tellings(tmp_path, lambda: now[0])
    assert mine.together() == {}
    mine.tell(said("ready", ("/a", 1)))
    (tmp_path / "broken.json").write_text("{")
    assert mine.together()["press"]["requests"]["total"] == 1
    now[0] += GONE_S + 1
    assert mine.together() == {} and not list(tmp_path.glob("[0-9]*.json"))
    mine.tell(said("ready", ("/a", 1)))
    mine.end()
    assert mine.together() == {}
