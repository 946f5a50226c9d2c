"""`sluice stats`: what every edge does now, live on a terminal."""

import asyncio
import contextlib
import json
import time
from collections import deque
from pathlib import Path
from typing import Final

import click
import httpx
from rich.console import Console
from rich.live import Live

from deploy import stats as core
from deploy import units, zone_tops
from deploy.commands.operator import Operator
from deploy.commands.options import data_option, parsed
from deploy.commands.output import width
from deploy.edge_reading import ANSWER_S, by_edge, client, metrics_text, named, read_edge, read_tops
from deploy.gauges import LIVE_S
from deploy.running import NotRunning, Running, find
from keys.problems import Problem

SINCE_S: Final = 60.0  # first bytes of so long are shown on a terminal


@click.command()
@click.option("--once", is_flag=True, help="One reading, also on a terminal.")
@click.option("--json", "as_json", is_flag=True, help="One reading as a JSON object on stdout.")
@click.option("--zones", "tops", is_flag=True, help="Also how origins are, and what is asked for most.")
@click.option("--every", default="1s", metavar="DURATION", help="Time between readings. [1s]")
@data_option
def stats(once: bool, as_json: bool, tops: bool, every: str, data: Path) -> int:
    """Show what every edge and every zone does: what it sends, from where, what went wrong.

    Live on a terminal, until Ctrl-C; one reading elsewhere. Rates are of the time between two readings,
    everything else is since the start. First bytes are of segments, live those of the last minute. Shares L1,
    L2 and origin say where opened objects came from; offload is the part of the bytes sent that the origin
    did not have to send. `sluice sessions` shows who watches.

    Each zone has a line, over all edges: requests and bytes a second; which share of its answers came from
    memory, from Redis, was shared with a request just under way, or came from its origin; how long its origin
    takes until an answer begins (p50, p95), and how often it gave none; what was refused and what failed;
    what is held of it in memory. `--zones` adds, of each, how its origins are and which objects made the most
    requests and bytes in the last five to ten minutes. `--json` has that always, and failovers, and what was
    served stale as an origin failed.
    """
    every_s = max(0.1, parsed(units.seconds, every, "every"))
    here = find(data)
    with Operator(data) if here.keys else contextlib.nullcontext() as operator:
        if as_json or once or not Console().is_terminal:
            before, now = asyncio.run(_two(here, operator, every_s))
            if as_json:
                click.echo(json.dumps(core.to_json(before, now)))
            else:
                Console(width=width()).print(core.shown(before, now, width=width(), tops=tops))
            return 0
        with contextlib.suppress(KeyboardInterrupt):  # how it is ended
            asyncio.run(_live(here, operator, every_s, tops=tops))
    return 0


async def _two(here: Running, operator: Operator | None, every_s: float) -> tuple[core.Reading, core.Reading]:
    async with client() as http:
        before = await _read(http, here, operator)
        await asyncio.sleep(every_s)
        return before, await _read(http, here, operator)


async def _live(here: Running, operator: Operator | None, every_s: float, *, tops: bool) -> None:
    async with client() as http:
        before = await _read(http, here, operator)
        readings = deque([before])
        with Live(console=Console(), auto_refresh=False, screen=False) as live:
            while True:
                await asyncio.sleep(every_s)
                now = await _read(http, here, operator)
                while readings and now.at - readings[0].at > SINCE_S:
                    readings.popleft()
                since = readings[0] if readings else None
                live.update(core.shown(before, now, since, width=width(), tops=tops), refresh=True)
                before = now
                readings.append(now)


async def _read(http: httpx.AsyncClient, running: Running, operator: Operator | None) -> core.Reading:
    port = running.port_base
    places = list(enumerate(running.edges))
    edges, told, keys, origin, sessions = await asyncio.gather(
        asyncio.gather(*(read_edge(http, url, index, port) for index, url in places)),
        asyncio.gather(*(read_tops(http, url, index, port) for index, url in places)),
        _service(http, running.keys, core.KEYS),
        _service(http, running.origin, core.ORIGIN),
        asyncio.to_thread(_sessions, operator),
    )
    away = [name for name, url in (("keys", running.keys), ("origin", running.origin)) if url]
    return core.Reading(time.monotonic(), edges, keys, origin, sessions, away, zone_tops.together(told))


async def _service(client: httpx.AsyncClient, base: str | None, prefix: str) -> core.Metrics | None:
    """What a service counts, its prefix cut off; None when it does not say."""
    return None if base is None else named(await metrics_text(client, base), prefix)


def _sessions(operator: Operator | None) -> dict[str, int] | None:
    """Live sessions by the edge they were last seen at; None where keys does not run or answer."""
    if operator is None:
        return None
    try:
        seen = operator.keys("GET", f"/v1/sessions?live_within_s={LIVE_S}", timeout=ANSWER_S)["sessions"]
    except (Problem, NotRunning):
        return None
    return by_edge(seen)
