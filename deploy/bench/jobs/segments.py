"""Encrypted segments: CPU per GB of body, each segment asked for once in its session, as players do.

Every session brings its own keys, and its pace is asked for each segment: this is what playing costs, not
what asking again costs. The floor encrypts bodies of the same length, with a new key for each.
"""

import asyncio
import math
from typing import Final

from deploy.bench.load import Line
from deploy.bench.rig import Rig
from deploy.bench.rows import Bar, Row
from deploy.bench.viewers import take, verify

BAR: Final = Bar(ratio_at_least=0.85)
LINES: Final = 4
SLOW_READERS: Final = 4
GULP_S: Final = 0.002


async def run(rig: Rig) -> list[Row]:
    """One row for each size of segment."""
    return [await _row(rig, name) for name, *_ in rig.size.segments]


async def _row(rig: Rig, name: str) -> Row:
    film = await rig.film(name)
    count = max(1, round(rig.size.gigabytes * 1e9 / (sum(film.sizes) / film.segments)))
    checked = await _checked(rig, name)
    lines = [await Line.to(rig.edges[0]) for _ in range(LINES)]
    floor_lines = [await Line.to(rig.floor_url) for _ in range(LINES)]

    async def edge() -> float:
        sessions = await rig.sessions(film, math.ceil(count / film.segments))
        # Viewers are not at the same place of a film: each plays it from another segment on.
        wanted = [
            session.segment((turn + place * 7) % film.segments)
            for turn in range(film.segments)
            for place, session in enumerate(sessions)
        ][:count]
        done = await rig.measure(rig.edge_pid, take(lines, wanted))
        return done.cpu_s / sum(length for _, length in wanted) * 1e9

    async def floor() -> float:
        length = film.sizes[0] // 16 * 16 + 16
        done = await rig.measure(rig.floor_pid, take(floor_lines, [(f"/aes/{length}", length)] * count))
        return done.cpu_s / (length * count) * 1e9

    try:
        edges, floors = await rig.rounds(edge, floor)
    finally:
        for line in (*lines, *floor_lines):
            line.close()
    remark = f"{count} bodies a round; {checked} decrypted and compared"
    return Row("aes", f"AES-128, {name} segments", "CPU s/GB", edges, floors, BAR, remark)


async def _checked(rig: Rig, name: str) -> int:
    """Every segment once, and some read slowly while others are read fast: what was decrypted and right."""
    film = await rig.film(name)
    sessions = await rig.sessions(film, SLOW_READERS + 2)
    url = rig.edges[0]
    slow = [verify(url, each, range(turn, film.segments, film.segments), gulp_s=GULP_S)
            for turn, each in enumerate(sessions[:SLOW_READERS])]  # fmt: skip
    fast = [verify(url, each, range(film.segments)) for each in sessions[SLOW_READERS:]]
    return sum(await asyncio.gather(*slow, *fast))
