"""`sluice stats`: what every edge does now, live on a terminal."""

import asyncio
import contextlib
import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click
import httpx
from rich.console import Console
from rich.live import Live

from deploy import stats as core
from deploy import units
from deploy.commands.operator import Operator
from deploy.commands.options import data_option, parsed
from deploy.commands.output import FOR_PROGRAMS
from deploy.counters import read_counters
from deploy.gauges import LIVE_S
from deploy.running import NotRunning, Running
from deploy.settings import FIRST_EDGE_PORT
from keys.problems import Problem

ANSWER_S: Final = 2.0
_EDGE_NAME: Final = re.compile(r".*-edge-(\d+)")


@click.command()
@click.option("--once", is_flag=True, help="One reading, also on a terminal.")
@click.option("--json", "as_json", is_flag=True, help="One reading as a JSON object on stdout.")
@click.option("--every", default="1s", metavar="DURATION", help="Time between readings. [1s]")
@data_option
def stats(once: bool, as_json: bool, every: str, data: Path) -> int:
    """Show what every edge does: requests, bytes, sessions, where bytes come from, what went wrong.

    Live on a terminal, until Ctrl-C; one reading elsewhere. Rates are of the time between two readings,
    everything else is since the start. Shares L1, L2 and origin say where opened objects came from; offload
    is the part of the bytes sent that the origin did not have to send. `sluice sessions` shows who watches.
    """
    every_s = max(0.1, parsed(units.seconds, every, "every"))
    with Operator(data) as operator:
        if as_json or once or not Console().is_terminal:
            before, now = asyncio.run(_two(operator, every_s))
            if as_json:
                click.echo(json.dumps(core.to_json(before, now)))
            else:
                console = Console()
                wide = console if console.is_terminal else Console(width=FOR_PROGRAMS)
                wide.print(core.shown(before, now))
            return 0
        with contextlib.suppress(KeyboardInterrupt):  # how it is ended
            asyncio.run(_live(operator, every_s))
    return 0


async def _two(operator: Operator, every_s: float) -> tuple[core.Reading, core.Reading]:
    async with _client() as client:
        before = await _read(client, operator)
        await asyncio.sleep(every_s)
        return before, await _read(client, operator)


async def _live(operator: Operator, every_s: float) -> None:
    async with _client() as client:
        before = await _read(client, operator)
        with Live(console=Console(), auto_refresh=False, screen=False) as live:
            while True:
                await asyncio.sleep(every_s)
                now = await _read(client, operator)
                live.update(core.shown(before, now), refresh=True)
                before = now


def _client() -> httpx.AsyncClient:
    # Our own listening sockets: whose certificate they show does not matter.
    return httpx.AsyncClient(verify=False, trust_env=False, timeout=ANSWER_S)  # noqa: S501


async def _read(client: httpx.AsyncClient, operator: Operator) -> core.Reading:
    running = operator.running
    edges, keys, origin, sessions = await asyncio.gather(
        asyncio.gather(*(_edge(client, running, index) for index in range(len(running.edges)))),
        _metrics(client, running.keys, core.KEYS),
        _metrics(client, running.origin, core.ORIGIN),
        asyncio.to_thread(_sessions, operator),
    )
    return core.Reading(time.monotonic(), edges, keys, origin, sessions)


async def _edge(
    client: httpx.AsyncClient, running: Running, index: int
) -> tuple[str, str, core.Metrics | None]:
    """Health and metrics of an edge. These are for this machine only: the public way may not lead there."""
    public = running.edges[index]
    for base in (public, *_here(running, index)):
        metrics = await _metrics(client, base, core.EDGE)
        if metrics is not None:
            return public, await _health(client, base), metrics
    return public, "no answer", None


def _here(running: Running, index: int) -> list[str]:
    """Where an edge of this machine listens on loopback, by the port of keys."""
    port = urlsplit(running.keys or "").port
    if port is None:
        return []
    return [f"{scheme}://127.0.0.1:{port + FIRST_EDGE_PORT + index}" for scheme in ("http", "https")]


async def _health(client: httpx.AsyncClient, base: str) -> str:
    try:
        answer = await client.get(f"{base}/healthz")
        return str(answer.json()["status"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return "no answer"


async def _metrics(client: httpx.AsyncClient, base: str | None, prefix: str) -> core.Metrics | None:
    """What a service counts, its prefix cut off; None when it does not say."""
    if base is None:
        return None
    try:
        answer = await client.get(f"{base}/metrics")
    except (httpx.HTTPError, OSError):
        return None
    found = read_counters(answer.text) if answer.status_code == httpx.codes.OK else {}
    mine = {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
    return mine or None


def _sessions(operator: Operator) -> dict[int, int]:
    """Live sessions by the index of the edge they were last seen at."""
    try:
        seen = operator.keys("GET", f"/v1/sessions?live_within_s={LIVE_S}", timeout=ANSWER_S)["sessions"]
    except (Problem, NotRunning):
        return {}
    edges = [match for each in seen if (match := _EDGE_NAME.fullmatch(each["edge"] or ""))]
    return Counter(int(match[1]) - 1 for match in edges)
