"""Small answers, where the work is all in the asking: a playlist of about 2 KB, and a key of 16 bytes."""

from typing import Final

from deploy.bench.load import Line
from deploy.bench.rig import Rig
from deploy.bench.rows import Row
from deploy.bench.viewers import Wanted, take

LINES: Final = 4
SESSIONS: Final = 16


async def run(rig: Rig) -> list[Row]:
    """A row for each kind."""
    film = await rig.film(rig.size.segments[0][0])
    sessions = await rig.sessions(film, SESSIONS)
    async with await Line.to(rig.edges[0]) as line:
        length = (await line.get(sessions[0].playlist())).length
    playlists = [(session.playlist(), length) for session in sessions]
    keys = [session.key(number) for number in range(film.segments) for session in sessions]
    return [
        await _row(rig, f"playlist of {length} bytes", playlists),
        await _row(rig, "key of 16 bytes", keys),
    ]


async def _row(rig: Rig, what: str, some: list[Wanted]) -> Row:
    wanted = (some * (rig.size.small // len(some) + 1))[: rig.size.small]
    bare = [(f"/plain/{length}", length) for _, length in wanted]
    lines = [await Line.to(rig.edges[0]) for _ in range(LINES)]
    floor_lines = [await Line.to(rig.floor_url) for _ in range(LINES)]

    async def edge() -> float:
        return (await rig.measure(rig.edge_pid, take(lines, wanted))).cpu_s / len(wanted) * 1e6

    async def floor() -> float:
        return (await rig.measure(rig.floor_pid, take(floor_lines, bare))).cpu_s / len(wanted) * 1e6

    try:
        edges, floors = await rig.rounds(edge, floor)
    finally:
        for line in (*lines, *floor_lines):
            line.close()
    return Row("small", what, "CPU µs", edges, floors)
