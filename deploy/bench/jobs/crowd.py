"""What a small request waits behind 8 big encrypted downloads on one worker: the 99th percentile."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from typing import Final

from deploy.bench.figures import percentile
from deploy.bench.load import Line
from deploy.bench.rig import Rig
from deploy.bench.rows import Bar, Row
from deploy.bench.viewers import Wanted, take

BAR: Final = Bar(at_most=10)
DOWNLOADS: Final = 8
EVERY_S: Final = 0.002


async def run(rig: Rig) -> list[Row]:
    """One row: milliseconds."""
    film = await rig.film(rig.size.segments[-1][0])
    sessions = await rig.sessions(film, DOWNLOADS + 1)
    async with await Line.to(rig.edges[0]) as line:
        playlist = sessions[-1].playlist()
        small = (playlist, (await line.get(playlist)).length)
        await take([line], sessions[0].segments())
    big = [each.segments() for each in sessions[:DOWNLOADS]]
    bare = [[(f"/aes/{length}", length) for _, length in each] for each in big]

    async def edge() -> float:
        return await _p99_ms(rig.edges[0], big, small, rig.size.crowd_s)

    async def floor() -> float:
        return await _p99_ms(rig.floor_url, bare, (f"/plain/{small[1]}", small[1]), rig.size.crowd_s)

    edges, floors = await rig.rounds(edge, floor)
    what = f"p99 of {small[1]}-byte requests during {DOWNLOADS} encrypted downloads"
    return [Row("crowd", what, "ms", edges, floors, BAR)]


async def _p99_ms(url: str, big: list[list[Wanted]], small: Wanted, seconds: float) -> float:
    until = time.monotonic() + seconds

    def going_on(what: list[Wanted]) -> Iterator[Wanted]:
        return itertools.takewhile(lambda _: time.monotonic() < until, itertools.cycle(what))

    lines = [await Line.to(url) for _ in big]
    try:
        downloads = [
            asyncio.create_task(take([line], going_on(each))) for line, each in zip(lines, big, strict=True)
        ]
        async with await Line.to(url) as asking:
            waits: list[float] = []
            while time.monotonic() < until:
                waits += [reply.whole_s for reply in await take([asking], [small])]
                await asyncio.sleep(EVERY_S)
        await asyncio.gather(*downloads)
    finally:
        for line in lines:
            line.close()
    return 1000 * percentile(waits, 0.99)
