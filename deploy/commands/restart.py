"""`sluice restart`: every worker of the edges anew, one after the other, while the others serve."""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from deploy import running
from deploy.commands.options import settings_from
from deploy.supervise import READY_WITHIN_S, ChildFailed
from deploy.up import System

WORD: Final = "restarted"  # in run.json: {"pid": n, "at": s, "workers": [name…], "failed": sentence or null}
PATIENCE_S: Final = READY_WITHIN_S + 60.0  # for one worker: to serve, and for the old one to finish


@click.command()
@click.option("--data", metavar="PATH", help="Data directory of the running system. [data, or SLUICE_DATA]")
def restart(**given: Any) -> int:
    """Replace every worker of the edges, one after the other, without a failed request; a shield's too.

    The new worker serves before the old one is told to end, and the old one finishes what it has begun. For
    use after an upgrade of Sluice. The same as SIGHUP to what `sluice up` or `sluice edge` started. Fails
    when a new worker does not start; those that run then go on.
    """
    data = settings_from(given).data
    found = running.find(data)
    running_here = running.who_runs(found.data, ("edge", "shield"))
    if not running_here:
        raise running.NotRunning(f"No edge and no shield runs in {found.data}.")
    workers: list[str] = []
    for pid in running_here:
        workers += _restarted(found.data, pid)
    click.echo(_replaced(workers))
    return 0


def _restarted(data: Path, pid: int) -> list[str]:
    """The workers that this process replaced, asked to now. NotRunning, ChildFailed."""
    before = _outcome(data)
    try:
        os.kill(pid, signal.SIGHUP)
    except (ProcessLookupError, PermissionError) as error:
        raise running.NotRunning(f"Process {pid} of {data} cannot be told: {error}.") from error
    told = _wait(data, pid, before)
    if told.get("failed"):
        raise ChildFailed(told["failed"])
    return list(told["workers"])


def _replaced(workers: Sequence[str]) -> str:
    return f"{len(workers)} worker{'s' * (len(workers) != 1)} replaced"


async def replace_workers(system: System) -> None:
    """Does it in the process that supervises, and has the outcome in run.json."""
    failed, workers = None, []
    try:
        workers = await system.replace_workers()
    except ChildFailed as error:
        failed = str(error)
        click.echo(f"sluice: {failed}", err=True)
    else:
        click.echo(_replaced(workers), err=True)
    told = {"pid": os.getpid(), "at": time.time(), "workers": workers, "failed": failed}
    running.note(system.layout.data, {WORD: told})


class Restarting:
    """SIGHUP as a command. A signal while one restart runs adds another after it."""

    def __init__(self, system: System, terminal: int | None, ended: asyncio.Event) -> None:
        """`terminal`: the descriptor of the terminal this was started in, None without one."""
        self._system, self._terminal, self._ended = system, terminal, ended
        self._work: asyncio.Task[None] | None = None

    def __call__(self) -> None:
        """On the signal."""
        if self._terminal is not None and not os.isatty(self._terminal):
            self._ended.set()  # the terminal is gone: that is what the signal means then
            return
        self._work = asyncio.ensure_future(self._after(self._work))

    async def _after(self, work: asyncio.Task[None] | None) -> None:
        if work is not None:
            await asyncio.wait([work])
        await replace_workers(self._system)


def _outcome(data: Path) -> dict[str, Any]:
    return dict(running.noted(data, WORD) or {})


def _wait(data: Path, pid: int, before: dict[str, Any]) -> dict[str, Any]:
    deadline: float | None = None
    while True:
        told = _outcome(data)
        if told != before and told.get("pid", pid) == pid:  # an earlier version does not say
            return told
        edges = len(running.find(data).edges)  # NotRunning: it ended meanwhile
        deadline = deadline or time.monotonic() + PATIENCE_S * max(1, edges) * (os.cpu_count() or 1)
        if time.monotonic() > deadline:
            raise ChildFailed("The workers are still being replaced; see the logs.")
        time.sleep(0.1)
