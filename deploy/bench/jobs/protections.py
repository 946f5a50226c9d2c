"""What each protection costs beside none: bytes a CPU second of Common Encryption and of protected downloads,
as a part of those of plain downloads of the very same bytes, from the same worker, all in each round.

Segments are asked for as `segments` asks for them, each once in its session. `cenc` encrypts every byte of
the slices, `cbcs` every tenth block, which takes gathering and putting back; both by the protection maps
the packager made. `ece` seals every byte.
"""

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from deploy.bench.film import Film
from deploy.bench.jobs.segments import GULP_S, LINES
from deploy.bench.load import Line
from deploy.bench.rig import Rig
from deploy.bench.rows import Bar, Row
from deploy.bench.viewers import Wanted, open_downloads, open_protected, take, verify_protected
from deploy.ffmpeg import ffmpeg_path
from origin.media.protection import SCHEMES

# Parts of plain's bytes a CPU second.
BARS: Final = {"cenc": 0.45, "cbcs": 0.25, "ece": 0.4}
TIMES: Final = 3  # plain bytes in a round, for each that is protected: they are that much cheaper

Measure = Callable[[], Awaitable[float]]


async def run(rig: Rig) -> list[Row]:
    """One row for each protection, of the largest segments."""
    name = rig.size.segments[-1][0]
    film = await rig.film(name)
    count = max(1, round(rig.size.gigabytes * 1e9 / film.sizes[0]))
    plain = await open_downloads(rig.data, rig.edges, film)
    sealed = await open_protected(rig.data, rig.edges, film)
    lengths = {scheme: await _checked(rig, film, scheme) for scheme in SCHEMES}
    lines = [await Line.to(rig.edges[0]) for _ in range(LINES)]

    async def cost(wanted: Sequence[Wanted]) -> float:
        done = await rig.measure(rig.edge_pid, take(lines, wanted))
        return done.cpu_s / sum(length for _, length in wanted) * 1e9

    def files(opened: Sequence[Wanted], times: int) -> Measure:
        wanted = list(itertools.islice(itertools.cycle(opened), times * count))
        return lambda: cost(wanted)

    def segments(scheme: str) -> Measure:
        async def measure() -> float:
            sessions = await rig.sessions(film, math.ceil(count / film.segments), protection=scheme)
            # Viewers are not at the same place of a film: each plays it from another segment on.
            numbers = [
                (session, (turn + place * 7) % film.segments)
                for turn in range(film.segments)
                for place, session in enumerate(sessions)
            ]
            return await cost([(each.target(n), lengths[scheme][n]) for each, n in numbers[:count]])

        return measure

    measures = {scheme: segments(scheme) for scheme in SCHEMES} | {"ece": files(sealed, 1)}
    try:
        bare, *found = await rig.rounds(files(plain, TIMES), *measures.values())
    finally:
        for line in lines:
            line.close()
    what = {scheme: f"{scheme}, {name} segments" for scheme in SCHEMES} | {"ece": f"ece, downloads of {name}"}
    remark = f"{count} bodies a round, beside {TIMES * count} plain downloads; all decrypted and compared"
    return [
        Row("protections", what[each], "CPU s/GB", figures, bare, Bar(BARS[each], of="plain"), remark)
        for each, figures in zip(measures, found, strict=True)
    ]


async def _checked(rig: Rig, film: Film, scheme: str) -> list[int]:
    """Every segment to a fast and to a slow reader at once, decrypted and compared: how long each is."""
    fast, slow = await rig.sessions(film, 2, protection=scheme)
    program, url = ffmpeg_path(rig.system.settings), rig.edges[0]
    lengths, others = await asyncio.gather(
        verify_protected(program, url, fast), verify_protected(program, url, slow, gulp_s=GULP_S)
    )
    assert lengths == others, "a length hangs on the segment alone"
    return lengths
