"""What `sluice stats` makes of two readings, and the gauges that workers share."""

import asyncio
import contextlib
import io
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from rich.console import Console

from deploy import gauges, stats
from deploy.counters import Counters, Gauge
from deploy.stats import EdgeRead, Reading


def edge(**values: float) -> dict[str, float]:
    return defaultdict(float, {"workers": 2, "workers_wanted": 2, "l2_up": 1, "origin_up": 1, **values})


def reading(at: float, *edges: stats.Metrics | None) -> Reading:
    named = [
        EdgeRead(f"http://e{number}", "ok" if each else "no answer", each, node=f"n{number}")
        for number, each in enumerate(edges)
    ]
    return Reading(at, named, None, None, {"n0": 3})


def test_rates_are_of_the_time_between_and_shares_of_all() -> None:
    before = edge(requests_total=100, segment_bytes_total=1e6, l1_hits_total=10)
    now = edge(
        requests_total=150,
        segment_bytes_total=5e6,
        l1_hits_total=70,
        l2_hits_total=20,
        misses_total=10,
        origin_bytes_total=1e6,
    )
    (found,) = stats.edges_now(reading(10, before), reading(12, now))
    assert (found.requests_per_s, found.bytes_per_s, found.sessions) == (25.0, 2e6, 3)
    assert (found.l1_share, found.l2_share, found.origin_share) == (0.7, 0.2, 0.1)
    assert found.offload == 0.8


def test_an_edge_that_does_not_answer_and_one_that_began_anew_have_no_rates() -> None:
    before = reading(0, edge(requests_total=9), edge(requests_total=500))
    gone, anew = stats.edges_now(before, reading(1, None, edge(requests_total=2)))
    assert (gone.health, gone.workers, gone.requests_per_s) == ("no answer", None, None)
    assert anew.requests_per_s is None and anew.l1_share is None


@pytest.mark.parametrize("count", [1, 2, stats.AS_COLUMNS + 1])
def test_people_see_every_edge_its_trouble_and_what_is_away(count: int) -> None:
    edges = [edge(origin_up=0) for _ in range(count)]
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(stats.shown(reading(0, *edges), reading(1, *edges)))
    text = console.export_text()
    assert all(f"e{number} " in text for number in range(count))
    assert text.count("ok, origin away") == count
    assert "keys: does not answer" in text and "origin: does not answer" in text


def test_gauges_are_of_the_workers_that_live_and_counters_of_all_there_were(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from deploy.counters import Counters; from deploy import gauges\n"
        "c = Counters(Path(sys.argv[1]), 1, {'requests': 'r'}, 'x_', gauges.EDGE)\n"
        "c.count('requests', 5); c.set('workers', 1); c.set('origin_up', 0); c.set('l1_bytes', 7)\n"
        "print('counted', flush=True); sys.stdin.read()"
    )
    mine = Counters(tmp_path, 0, {"requests": "r"}, "x_", gauges.EDGE)
    mine.count("requests", 2)
    mine.set("workers", 1)
    mine.set("origin_up", 1)
    argv = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "counted\n"
        levels = mine.levels()
        assert (levels["workers"], levels["origin_up"], levels["l1_bytes"]) == (2, 0, 7)
        other.kill()
    levels = mine.levels()
    assert (levels["workers"], levels["origin_up"], levels["l1_bytes"]) == (1, 1, 0)
    assert mine.totals() == {"requests": 7}
    assert "x_workers 1.0" in mine.render() and "sluice_build_info{" in mine.render()


def test_a_gauge_nobody_lives_to_tell_is_nothing(tmp_path: Path) -> None:
    assert all(gauge.over(iter(())) == 0 for gauge in (*gauges.EDGE.values(), *gauges.KEYS.values()))
    with pytest.raises(KeyError):
        Counters(tmp_path, 0, {}, "x_", {"a": Gauge("a")}).set("b", 1)


async def test_readings_are_taken_again_and_again_until_the_end(tmp_path: Path) -> None:
    counters = Counters(tmp_path, 0, {}, "x_", {"a": Gauge("a"), "b": Gauge("b")})
    looked = asyncio.Event()
    values = iter([3.9, float("inf")])

    def reading() -> float:
        value = next(values, -1.0)
        if value < 0:
            looked.set()
        return value

    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(gauges.read_into(counters, {"a": reading, "b": lambda: 5}, 0.01))
        await asyncio.wait_for(looked.wait(), 10)
    assert counters.levels() == {"a": 0, "b": 5}, "never below nothing"


def test_first_bytes_are_of_all_or_of_those_since_and_shown_for_segments() -> None:
    def at(seconds: float, fast: int, slow: int) -> Reading:
        buckets = ((0.01, fast), (1.0, fast + slow), (float("inf"), fast + slow))
        return Reading(seconds, [EdgeRead("http://e", "ok", edge(), {"segment": buckets})], None, None, {})

    old, before, now = at(0, 99, 0), at(60, 99, 1), at(61, 99, 3)
    (whole,), (lately,) = stats.edges_now(before, now), stats.edges_now(before, now, old)
    assert whole.first_byte_s["segment"].p50 == pytest.approx(0.01 * 51 / 99)
    assert lately.first_byte_s["segment"].p50 == pytest.approx(0.505)
    assert stats.to_json(before, now)["edges"][0]["first_byte_s"]["segment"]["p99"] > 0.01
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(stats.shown(before, now, old))
    assert "505 ms" in console.export_text()


def test_what_is_sent_is_segments_and_downloads() -> None:
    before, now = edge(), edge(segment_bytes_total=3e6, download_bytes_total=1e6, origin_bytes_total=1e6)
    (found,) = stats.edges_now(reading(0, before), reading(2, now))
    assert (found.bytes_per_s, found.offload) == (2e6, 0.75)


@pytest.mark.parametrize("count", [1, 2, 4, 9])
def test_no_line_is_longer_than_a_terminal_of_80_columns(count: int) -> None:
    edges = [edge(requests_total=1e6, origin_up=number % 2) for number in range(count)]
    urls = [f"https://edge-{number}.example.org" for number in range(count)]
    read = [EdgeRead(url, "ok", each) for url, each in zip(urls, edges, strict=True)]
    now = Reading(1, read, edge(), edge(), {})
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(stats.shown(now, now, width=80))
    text = console.export_text()
    assert all(url.removeprefix("https://") in text for url in urls), "no address is cut or folded"
    assert "failed" in text and "offload" in text


def test_where_only_edges_run_nothing_is_said_of_keys_and_sessions() -> None:
    now = Reading(1, [EdgeRead("http://e", "ok", edge())], None, None, None, away=())
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(stats.shown(now, now, width=80))
    assert "answer" not in console.export_text()
    assert stats.edges_now(now, now)[0].sessions is None
