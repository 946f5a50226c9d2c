"""First bytes as an operator reads them: slots of many workers as one histogram, and its quantiles."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.assemble import edge_histograms
from deploy.counters import Counters
from deploy.histograms import Buckets, Histogram, less, quantile, read_buckets
from edge.deliver import first_byte

INFINITE = float("inf")
SMALL = Histogram(
    "m", (0.01, 0.1), {"a hit": {"class": "a", "cache": "hit"}, "a fill": {"class": "a", "cache": "fill"}}
)


def test_workers_observe_apart_and_are_told_as_one(tmp_path: Path) -> None:
    workers = [Counters(tmp_path, worker, {"n": "n"}, "x_", None, {"h": SMALL}) for worker in range(2)]
    for worker in workers:
        worker.count("n")
        observe = worker.observer("h")
        for seconds in (0.01, 0.05, 7.0):
            observe("a hit", seconds)
    workers[0].observer("h")("a fill", 0.002)
    text = workers[1].render()
    assert workers[0].totals() == {"n": 2}
    assert 'x_h_bucket{cache="hit",class="a",le="0.01"} 2.0' in text
    assert 'x_h_bucket{cache="hit",class="a",le="+Inf"} 6.0' in text
    assert 'x_h_count{cache="hit",class="a"} 6.0' in text and 'x_h_sum{cache="hit",class="a"} 14.12' in text
    assert read_buckets(text, "x_h", "cache")["fill"] == ((0.01, 1), (0.1, 1), (INFINITE, 1))
    assert read_buckets(text, "x_h", "class") == {"a": ((0.01, 3), (0.1, 5), (INFINITE, 7))}


def test_a_series_that_is_not_in_the_table_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        Counters(tmp_path, 0, {}, "x_", None, {"h": SMALL}).observer("h")("b", 1)
    with pytest.raises(KeyError):
        Counters(tmp_path, 0, {"n": "n"}, "x_").observer("h")


def test_all_that_delivery_observes_is_in_the_table() -> None:
    series = edge_histograms()[first_byte.NAME].series
    named = {*first_byte.SEGMENT.values(), *first_byte.DOWNLOAD.values(), *first_byte.SMALL.values()}
    assert named == set(series)


@given(st.lists(st.floats(0, 0.1), min_size=1), st.floats(0.01, 1))
def test_a_quantile_lies_in_the_bucket_of_the_observation_it_is(seconds: list[float], part: float) -> None:
    bounds = (0.001, 0.01, 0.1)
    buckets: Buckets = tuple((bound, sum(each <= bound for each in seconds)) for bound in bounds)
    found = quantile(part, (*buckets, (INFINITE, len(seconds))))
    exact = sorted(seconds)[max(0, -(-int(part * len(seconds) * 1e9) // 10**9) - 1)]
    within = [bound for bound in (0.0, *bounds) if bound < exact]
    assert found is not None and found <= 0.1
    assert found >= max(within, default=0.0) - 1e-9


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [
        ((), None),
        (((0.1, 0), (INFINITE, 0)), None),
        (((0.1, 4), (INFINITE, 4)), 0.05),
        (((0.1, 1), (0.3, 3), (INFINITE, 3)), 0.15),
        (((0.1, 1), (INFINITE, 9)), 0.1),
    ],
)
def test_half_of_what_was_seen(buckets: Buckets, expected: float | None) -> None:
    assert quantile(0.5, buckets) == (None if expected is None else pytest.approx(expected))


def test_what_came_since_and_a_count_that_began_anew() -> None:
    now: Buckets = ((0.1, 5), (INFINITE, 9))
    assert less(now, ((0.1, 4), (INFINITE, 4))) == ((0.1, 1), (INFINITE, 5))
    assert less(now, ((0.1, 6), (INFINITE, 10))) == now
    assert less(now, ()) == now
