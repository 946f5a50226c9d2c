"""Downloads that all lie in the first cache level, plain and protected: CPU per GB.

The floor sends bodies of the same length from memory; for protected ones it seals as many records.
"""

import itertools
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from deploy.bench.film import Film
from deploy.bench.load import Line
from deploy.bench.rig import Rig
from deploy.bench.rows import Bar, Row
from deploy.bench.viewers import Wanted, open_downloads, open_protected, take

BAR: Final = Bar(ratio_at_least=0.7)
LINES: Final = 4
TIMES: Final = 3  # what is encrypted in a round: a plain GB is that much cheaper

Opened = Callable[[Path, Sequence[str], Film], Awaitable[list[Wanted]]]


async def run(rig: Rig) -> list[Row]:
    """One row for each size, plain."""
    return [
        await _row(rig, name, open_downloads, "plain", TIMES, "plain", BAR) for name, *_ in rig.size.segments
    ]


async def run_protected(rig: Rig) -> list[Row]:
    """One row for each size, protected."""
    return [
        await _row(rig, name, open_protected, "ece", 1, "protected", None) for name, *_ in rig.size.segments
    ]


async def _row(rig: Rig, name: str, opened: Opened, job: str, times: int, kind: str, bar: Bar | None) -> Row:
    """`job` is what the floor calls its bodies, too."""
    film = await rig.film(name)
    files = await opened(rig.data, rig.edges, film)
    count = max(1, round(times * rig.size.gigabytes * 1e9 / film.sizes[0]))
    wanted = list(itertools.islice(itertools.cycle(files), count))
    total = sum(length for _, length in wanted)
    bare = [(f"/{job}/{length}", length) for _, length in wanted]
    lines = [await Line.to(rig.edges[0]) for _ in range(LINES)]
    floor_lines = [await Line.to(rig.floor_url) for _ in range(LINES)]

    async def edge() -> float:
        return (await rig.measure(rig.edge_pid, take(lines, wanted))).cpu_s / total * 1e9

    async def floor() -> float:
        return (await rig.measure(rig.floor_pid, take(floor_lines, bare))).cpu_s / total * 1e9

    try:
        edges, floors = await rig.rounds(edge, floor)
    finally:
        for line in (*lines, *floor_lines):
            line.close()
    remark = f"{count} bodies a round; {len(files)} files compared"
    return Row(job, f"{kind} downloads of {name}", "CPU s/GB", edges, floors, bar, remark)
