"""`python -m deploy.bench.replay [TRACE]`: how much of a trace a cache answers from memory, by how it evicts.

Without a file, two made-up traces are replayed (`traces`). Printed is the share of bytes, and of requests,
that were hits: of LRU, of what the edge does in zones and private memory (`edge.cache.eviction`) and in L1
that workers share (`edge.cache.janitor`), and of caches that know the future (`offline`). Sizes are those of
whole objects; one that is larger than the memory is never kept.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from deploy.bench import offline, traces
from deploy.bench.traces import Asked
from deploy.units import size_bytes
from edge.cache.eviction import Eviction
from edge.cache.janitor import Kept, to_evict
from edge.cache.shared import FIRST_TOUCH_S, SWEEP_EVERY_S, TOUCH_EVERY_S

MEMORY: Final = "64M"
TURN_S: Final = 5.0  # of shared L1: much faster than an edge fills its memory

Replay = Callable[[Sequence[Asked], int], list[bool]]


def lru(trace: Sequence[Asked], memory_bytes: int) -> list[bool]:
    """Which requests are hits when the least recently used goes."""
    kept: OrderedDict[str, int] = OrderedDict()
    used, hits = 0, []
    for key, size in trace:
        hits.append(key in kept)
        used += size - kept.pop(key, 0)
        kept[key] = size
        if size > memory_bytes:
            used -= kept.pop(key)
        while used > memory_bytes:
            used -= kept.popitem(last=False)[1]
    return hits


def policy(trace: Sequence[Asked], memory_bytes: int) -> list[bool]:
    """Which requests are hits at the edge."""
    kept, hits = Eviction[str](memory_bytes), []
    for key, size in trace:
        hits.append(key in kept)
        if hits[-1]:
            kept.touch(key)
        elif size <= memory_bytes:
            kept.add(key, size)
            deque(kept.victims(), maxlen=0)
    return hits


def shared(trace: Sequence[Asked], memory_bytes: int) -> list[bool]:
    """Which requests are hits in L1 that workers share, when all its bytes are asked for anew each TURN_S."""
    every_s = TURN_S * memory_bytes / max(1, sum(asked.size for asked in trace))  # between two requests
    kept: dict[str, _File] = {}
    swept, hits = 0.0, []
    for number, (key, size) in enumerate(trace):
        now = number * every_s
        if now >= swept + SWEEP_EVERY_S:
            swept = now
            files = [Kept(name, file.size, file.used, file.used > file.came) for name, file in kept.items()]
            for going in to_evict(files, memory_bytes):
                del kept[going.name]
        file = kept.get(key)
        hits.append(file is not None)
        if file is None:
            if size <= memory_bytes:
                kept[key] = _File(size, now, now, now - TOUCH_EVERY_S + FIRST_TOUCH_S)
        elif now - file.told >= TOUCH_EVERY_S:
            file.used = file.told = now
    return hits


@dataclass(slots=True)
class _File:
    size: int
    came: float
    used: float  # its mtime
    told: float  # when the worker last told of its use


POLICIES: Final[dict[str, Replay]] = {"LRU": lru, "edge": policy, "L1": shared, "Belady": offline.belady}


def ratios(trace: Sequence[Asked], hits: Sequence[bool]) -> tuple[float, float]:
    """(byte hit ratio, request hit ratio)."""
    hit = sum(asked.size for asked, was in zip(trace, hits, strict=True) if was)
    return hit / max(1, sum(asked.size for asked in trace)), sum(hits) / max(1, len(trace))


def measured(trace: Sequence[Asked], memory_bytes: int) -> dict[str, tuple[float, float | None]]:
    """(byte, request hit ratio) by policy; of the bound only the first."""
    found: dict[str, tuple[float, float | None]] = {}
    for name, replay in POLICIES.items():
        found[name] = ratios(trace, replay(trace, memory_bytes))
    found["bound"] = (offline.bound(trace, memory_bytes), None)
    return found


@click.command()
@click.argument("trace", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--memory", default=MEMORY, help=f"How much the cache keeps. [{MEMORY}]")
def main(trace: Path | None, memory: str) -> None:
    """Replay TRACE (lines `time key size`), or two made-up traces, and print hit ratios.

    Belady is the optimum where all objects have one size, else an offline policy that does well; the bound is
    what no cache exceeds.
    """
    try:
        memory_bytes = size_bytes(memory)
        found = made_up(memory_bytes) if trace is None else {trace.name: _read(trace)}
    except ValueError as error:
        raise click.ClickException(f"{error}.") from error
    table = Table("trace", "requests", *POLICIES, "bound", title=f"bytes (requests) that were hits, {memory}")
    for name, asked in found.items():
        cells = [_cell(*pair) for pair in measured(asked, memory_bytes).values()]
        table.add_row(name, f"{len(asked):,}", *cells)
    Console().print(table)


def made_up(memory_bytes: int) -> dict[str, list[Asked]]:
    """The traces that are replayed when none is given."""
    return {
        "zipf": traces.zipf(memory_bytes),
        "scan": traces.scan(memory_bytes),
    }


def _read(path: Path) -> list[Asked]:
    with path.open(encoding="utf-8", errors="surrogateescape") as lines:
        return list(traces.read(lines))


def _cell(of_bytes: float, of_requests: float | None) -> str:
    return f"{of_bytes:.3f}" + (f"\n({of_requests:.3f})" if of_requests is not None else "")


if __name__ == "__main__":
    main()
