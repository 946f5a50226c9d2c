"""The whole check, part after part, on a running system. A part that breaks fails; the next still runs."""

from collections.abc import Awaitable, Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx
from rich.console import Console

from deploy.demo.check import faults, refusals, ripper
from deploy.demo.check.film import Film, ingested, known, long_film
from deploy.demo.check.ground import EDGES, Ground
from deploy.demo.check.progress import step
from deploy.demo.check.report import NotShown, Report
from deploy.demo.check.showing import show
from deploy.running import NotRunning
from keys.problems import Problem

_BROKEN: Final = (NotShown, NotRunning, Problem, httpx.HTTPError, OSError, LookupError, ValueError)


async def prove(
    ground: Ground, file: Path, sessions: int, parts: Collection[str], console: Console
) -> Report:
    """Runs these parts with this film. Problem when the system cannot be checked at all."""
    if len(ground.edges) < EDGES:
        raise Problem("conflict", f"The check needs {EDGES} edges: start the system with --edges {EDGES}.")
    if not all(ground.workers(index) for index in range(EDGES)):
        raise Problem("conflict", "The check needs a system whose edges run on this machine, under one `up`.")
    report = Report()
    async with ingested(ground, file) as asset:
        with step(console, "Unsealing and decoding the packaged film, apart from all edges"):
            film = await known(ground, asset)
        report.more["film_seconds"] = round(film.seconds, 2)
        report.more["renditions"] = film.true.stored.renditions()
        if {"showing", "faults"} & set(parts):  # a film nobody has asked for is in no cache to play on from
            await _measured("showing", _show(ground, film, sessions, report, console), report)
        if "refusals" in parts:
            await _measured("refusals", _refuse(ground, asset, report, console), report)
        if "ripper" in parts:
            await _measured("ripper", _rip(ground, asset, report, console), report)
        if "faults" in parts:
            await _measured("edge kill", _kill(ground, film, report, console), report)
            await _measured("origin stopped", _stop(ground, film, report, console), report)
    return report


async def _measured(name: str, part: Awaitable[None], report: Report) -> None:
    try:
        await part
    except _BROKEN as error:
        report.broke(name, _sentence(error))
    except ExceptionGroup as group:
        known, unknown = group.split(_BROKEN)
        if unknown is not None:
            raise
        report.broke(name, "; ".join(map(_sentence, known.exceptions if known else ())))


def _sentence(error: Exception) -> str:
    return error.message if isinstance(error, Problem) else str(error) or type(error).__name__


async def _show(ground: Ground, film: Film, sessions: int, report: Report, console: Console) -> None:
    title = f"{sessions} sessions on {EDGES} edges play {film.seconds:.0f} s of film at reading pace"
    with step(console, title) as tell:
        await show(ground, film, sessions, report, tell)


async def _refuse(ground: Ground, asset: str, report: Report, console: Console) -> None:
    with step(console, "Links are altered, expired and revoked"):
        await refusals.refuse(ground, asset, report)


async def _rip(ground: Ground, asset: str, report: Report, console: Console) -> None:
    pace = await ripper.pace_in_force(ground, asset)
    with TemporaryDirectory(prefix="sluice-check-") as folder:
        file = long_film(ground.ffmpeg, Path(folder), ripper.film_s(pace))
        async with ingested(ground, file) as long_asset:
            with step(console, f"Rippers take all they can for {ripper.FOR_S:.0f} s"):
                await ripper.rip(ground, long_asset, pace, report)


async def _kill(ground: Ground, film: Film, report: Report, console: Console) -> None:
    with step(console, "All workers of an edge are killed in mid-play") as tell:
        await faults.kill_an_edge(ground, film, report, tell)


async def _stop(ground: Ground, film: Film, report: Report, console: Console) -> None:
    with step(console, "The origin is stopped in mid-play") as tell:
        await faults.stop_the_origin(ground, film, report, tell)
