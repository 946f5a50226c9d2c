"""Zones: signed hits beside nginx in CPU, and a crowd on a cold object over two edges.

Without nginx on the machine the bare server stands beside them, and there is no bar.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

from deploy.bench import nginx, origin, processes
from deploy.bench.load import Line
from deploy.bench.nginx import Nginx
from deploy.bench.rig import NGINX_PORT, ORIGIN_PORT, ZONE, Rig
from deploy.bench.rows import Bar, Row
from deploy.bench.viewers import Wanted, WrongAnswer, take
from deploy.commands.links import zone_link
from edge.http.partial import SLICE

SMALL: Final = 2048
LINES: Final = 4
GOOD_S: Final = 86_400
TIMES: Final = 2  # what is encrypted in a round
COLD: Final = 50_000_000
CROWD: Final = 2  # as many clients as in the herd of a film
SMALL_BAR: Final = Bar(ratio_at_least=0.3)
LARGE_BAR: Final = Bar(ratio_at_least=0.9)


async def run(rig: Rig) -> list[Row]:
    """A row for each size, and one for the crowd."""
    async with origin.running(rig.system.settings.port_base + ORIGIN_PORT) as given:
        rows = [await _cold(rig, given)]
        async with _nginx(rig) as beside:
            rows.append(await _hits(rig, beside, "2 KB", SMALL, rig.size.small, SMALL_BAR))
            for name, length, _ in rig.size.segments:
                count = max(1, round(TIMES * rig.size.gigabytes * 1e9 / length))
                rows.append(await _hits(rig, beside, name, length, count, LARGE_BAR))
    return rows


@contextlib.asynccontextmanager
async def _nginx(rig: Rig) -> AsyncIterator[Nginx | None]:
    program = nginx.program()
    if program is None:
        yield None
        return
    base = rig.system.settings.port_base
    async with nginx.running(program, rig.data / "nginx", base + NGINX_PORT, base + ORIGIN_PORT) as running:
        processes.pin(running.worker, processes.cores()[0])
        yield running


def _target(rig: Rig, name: str) -> str:
    """A target of the zone under a link that is good at both edges."""
    url = zone_link(rig.data, f"{ZONE}/{name}", rig.edges, start_within_s=GOOD_S)
    return urlsplit(url)._replace(scheme="", netloc="").geturl()


async def _hits(rig: Rig, beside: Nginx | None, name: str, length: int, count: int, bar: Bar) -> Row:
    small = length < SLICE
    asked, other = _target(rig, f"hit/{length}"), f"/plain/{length}"
    url, pid = rig.floor_url, rig.floor_pid
    if beside is not None:
        url, pid, other = beside.url, beside.worker, Nginx.signed(f"/hit/{length}")
    lines = [await Line.to(rig.edges[0]) for _ in range(LINES)]
    others = [await Line.to(url) for _ in range(LINES)]
    per = 1e6 / count if small else 1e9 / (count * length)

    async def edge() -> float:
        return (await rig.measure(rig.edge_pid, take(lines, [(asked, length)] * count))).cpu_s * per

    async def floor() -> float:
        return (await rig.measure(pid, take(others, [(other, length)] * count))).cpu_s * per

    try:
        await _checked(lines[0], asked, length)
        edges, floors = await rig.rounds(edge, floor)
    finally:
        for line in (*lines, *others):
            line.close()
    return Row(
        "zones",
        f"signed hit of {name} in a zone",
        "CPU µs" if small else "CPU s/GB",
        edges,
        floors,
        bar if beside is not None else None,
        f"beside {'nginx' if beside is not None else 'the bare server: there is no nginx here'}",
    )


async def _checked(line: Line, target: str, length: int) -> None:
    reply = await line.get(target, keep=True)
    if reply.status != 200 or reply.body != origin.body(length):
        raise WrongAnswer(f"a zone answered {reply.status}, or with other bytes")


async def _cold(rig: Rig, given: origin.Given) -> Row:
    """A crowd at once on an object no cache has."""
    slices = -(-COLD // SLICE)
    size = CROWD * rig.size.herd
    requests: list[float] = []
    for turn in range(min(3, rig.size.rounds)):
        wanted: Wanted = (_target(rig, f"cold-{turn}/{COLD}"), COLD)
        before = given.requests
        lines = [await Line.to(rig.edges[number % len(rig.edges)]) for number in range(size)]
        try:
            await asyncio.gather(*(take([line], [wanted]) for line in lines))
        finally:
            for line in lines:
                line.close()
        requests.append(given.requests - before)
    what = f"origin requests for {slices} slices of a zone, {size} clients over two edges"
    return Row("zones", what, "requests", tuple(requests), bar=Bar(at_most=slices))
