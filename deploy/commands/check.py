"""`sluice demo --check`: the proof against the system that runs, or against one started for it."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from deploy import launch, up
from deploy.commands.operator import Operator
from deploy.commands.output import FOR_PROGRAMS
from deploy.demo.check.film import small_copy
from deploy.demo.check.ground import Ground
from deploy.demo.check.proof import prove
from deploy.demo.check.report import Report
from deploy.ffmpeg import ffmpeg_path
from deploy.running import NotRunning, find
from deploy.settings import Settings

OK: Final = 0
FAILED: Final = 1


async def check(
    settings: Settings,
    source: Path,
    ended: asyncio.Event,
    *,
    own_film: bool,
    sessions: int,
    parts: Collection[str],
    as_json: bool,
) -> int:
    """Checks and prints the report; the exit code. `source` is the film, made smaller unless `own_film`."""
    console = Console(stderr=True)
    ffmpeg = str(ffmpeg_path(settings))
    file = source if own_film else await asyncio.to_thread(small_copy, ffmpeg, source)
    async with _running(settings, ended, console):
        with Operator(settings.data) as operator:
            report = await prove(Ground(operator, ffmpeg), file, sessions, parts, console)
    if as_json:
        click.echo(json.dumps(report.to_json()))
    else:
        _show(report)
    return OK if report.ok else FAILED


@contextlib.asynccontextmanager
async def _running(settings: Settings, ended: asyncio.Event, console: Console) -> AsyncIterator[None]:
    """The system of the data directory: the one that runs, else one started now and ended afterwards."""
    if _runs(settings.data):
        console.print(f"Checking the system that runs in {settings.data}.", markup=False, highlight=False)
        yield
        return
    console.print(
        f"Nothing runs in {settings.data}: starting a system for the check.", markup=False, highlight=False
    )
    async with up.started(settings, launch.ALL_SERVICES, ended):
        yield


def _runs(data: Path) -> bool:
    try:
        pid = find(data).pid
        os.kill(pid, 0)
    except (NotRunning, ProcessLookupError):
        return False
    return True


def _show(report: Report) -> None:
    console = Console()
    wide = console if console.is_terminal else Console(width=FOR_PROGRAMS)
    wide.print(report.table())
    seconds = report.to_json()["seconds"]
    if report.ok:
        console.print(f"\n[bold green]All of it holds.[/bold green] {seconds:.0f} s", highlight=False)
    else:
        failed = f"This does not hold: {', '.join(report.failed)}."
        console.print(f"\n[bold red]{failed}[/bold red] {seconds:.0f} s", highlight=False)
