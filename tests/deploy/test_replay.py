"""The replay: what the edge keeps beats least recently used, and nobody beats who knows the future."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from deploy.bench import offline, replay, traces
from deploy.bench.traces import Asked, BadTrace

MEMORY = 8 << 20


def shares(trace: list[Asked], memory_bytes: int) -> dict[str, float]:
    return {name: pair[0] for name, pair in replay.measured(trace, memory_bytes).items()}


def test_with_one_hit_wonders_the_edge_keeps_what_is_popular() -> None:
    found = shares(traces.zipf(MEMORY, 60_000), MEMORY)
    assert found["LRU"] + 0.08 < found["edge"] < found["Belady"] < found["bound"]
    assert found["edge"] >= 0.85 * found["Belady"]
    assert found["LRU"] + 0.05 < found["L1"] < found["bound"]


def test_a_scan_pushes_out_nothing_of_a_hot_set() -> None:
    found = shares(traces.scan(MEMORY, 60_000), MEMORY)
    assert found["LRU"] < 0.7 * min(found["edge"], found["L1"])
    assert 0.99 * found["Belady"] <= found["edge"] <= found["Belady"] <= found["bound"] + 1e-9


@given(st.lists(st.sampled_from("abcdefgh"), max_size=60), st.integers(1, 6))
def test_of_equal_sizes_nothing_beats_belady_and_nothing_the_bound(keys: list[str], room: int) -> None:
    trace = [Asked(key, 10) for key in keys]
    found = shares(trace, 10 * room)
    assert max(found["LRU"], found["edge"]) <= found["Belady"] <= found["bound"] + 1e-9


@given(st.lists(st.integers(0, 7), max_size=60), st.integers(1, 40))
def test_of_all_sizes_nothing_beats_the_bound(keys: list[int], room: int) -> None:
    found = shares([Asked(str(key), 1 + 3 * key) for key in keys], room)
    del found["L1"]  # which is over its limit between sweeps
    assert max(found.values()) <= found["bound"] + 1e-9


@given(st.lists(st.sampled_from("abcde"), max_size=9), st.integers(1, 3))
def test_belady_is_the_best_of_all_choices(keys: list[str], room: int) -> None:
    def best(at: int, kept: frozenset[str]) -> int:
        if at == len(keys):
            return 0
        both = kept | {keys[at]}
        choices = [both] if len(both) <= room else [both - {out} for out in both]
        return (keys[at] in kept) + max(best(at + 1, frozenset(choice)) for choice in choices)

    assert sum(offline.belady([Asked(key, 1) for key in keys], room)) == best(0, frozenset())


def test_a_trace_file_is_replayed(tmp_path: Path) -> None:
    file = tmp_path / "day.txt"
    file.write_text("# from a log\n\n1.0 /a 100\n1.5 /b 100 GET\n2 /a 100\n2 /c 900\n3 /a 100\n")
    told = CliRunner().invoke(replay.main, [str(file), "--memory", "200"])
    assert told.exit_code == 0, told.output
    assert told.output.count("0.154") >= 3  # 200 of 1,300 bytes,
    assert told.output.count("(0.400)") >= 3  # two of five requests
    assert "day.txt" in told.output


@pytest.mark.parametrize("line", ["1 /a", "x /a 5", "1 /a big", "1 /a -1"])
def test_a_bad_line_is_named(line: str, tmp_path: Path) -> None:
    with pytest.raises(BadTrace, match="line 2"):
        list(traces.read(["1 /a 1", line]))
    file = tmp_path / "t"
    file.write_text(line)
    told = CliRunner().invoke(replay.main, [str(file)])
    assert told.exit_code == 1 and "line 1" in told.output


def test_a_memory_that_is_no_size_is_named() -> None:
    told = CliRunner().invoke(replay.main, ["--memory", "much"])
    assert told.exit_code == 1 and "no size" in told.output
