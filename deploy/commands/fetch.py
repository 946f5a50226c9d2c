"""`sluice fetch`: a download from its link onto the disk, resumed where it broke off, and verified."""

import asyncio
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
import httpx
from rich.progress import DownloadColumn, TransferSpeedColumn

from deploy import units
from deploy.commands import fetch_state
from deploy.commands.fetch_source import About, Source, Trouble
from deploy.commands.fetch_state import PIECE, State
from deploy.commands.fetch_transfer import FIRST_PAUSE_S, LONGEST_PAUSE_S, Changed, Transfer
from deploy.commands.media import progress_bar
from deploy.commands.options import parsed
from keys.problems import Problem

PARTS: Final = 4
MOST_PARTS: Final = 16
HASH_BYTES: Final = 1 << 20
INTERRUPTED: Final = 130  # as shells say it of Ctrl-C
EXIT_CODES: Final = {"forbidden": 4, "not_found": 4, "expired": 5, "revoked": 6, "limit": 7}  # else 1

WRONG: Final = "What came is not what the edge announced: its SHA-256 is another. Nothing was kept."
FULL: Final = "The disk is full. What came is kept: the same command goes on from there."
BUSY: Final = "Another sluice fetch is writing this file."

Told = Callable[[str], None]


@click.command()
@click.argument("url")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path(),
    help="File, or directory that gets the file's own name. [.]",
)
@click.option(
    "--edge",
    "edges",
    multiple=True,
    metavar="URL",
    help="Another edge the link is good at, to turn to when one does not answer; may be repeated.",
)
@click.option(
    "--parts",
    type=click.IntRange(1, MOST_PARTS),
    default=PARTS,
    help=f"Parts fetched at the same time, of files over {PIECE >> 20} MiB. [{PARTS}]",
)
@click.option("--patience", default="2m", metavar="DURATION", help="How long to wait for any edge. [2m]")
@click.option("--force", is_flag=True, help="Replace a file of that name.")
def fetch(url: str, output: Path, edges: tuple[str, ...], parts: int, patience: str, force: bool) -> int:
    """Download URL, a signed link that `sluice link ASSET --download` made, and verify it.

    Shows how fast it comes and how long it will take. What broke off goes on from there when the same command
    is given again, with the same link or a new one, from whatever edge. The file gets its name once its
    SHA-256 is what the edge announced; the name is printed. Needs no data directory.

    Exit codes: 0 there and verified, 1 failed, 2 wrong usage, 4 the link opens nothing, 5 it has expired,
    6 it was revoked, 7 it was opened as often as it may be, 130 interrupted.
    """
    patience_s = float(parsed(units.seconds, patience, "patience"))
    try:
        target = asyncio.run(_fetch(url, output, edges, parts, patience_s, force))
    except KeyboardInterrupt:
        _tell("Stopped. The same command goes on from there.")
        return INTERRUPTED
    except Problem as problem:
        _tell(problem.message)
        return EXIT_CODES.get(problem.code, 1)
    click.echo(str(target))
    return 0


async def _fetch(
    url: str, output: Path, edges: tuple[str, ...], parts: int, patience_s: float, force: bool
) -> Path:
    timeout = httpx.Timeout(30, connect=5, pool=None)
    headers = {"accept-encoding": "identity", "user-agent": "sluice-fetch"}
    async with httpx.AsyncClient(timeout=timeout, headers=headers, follow_redirects=False) as http:
        try:
            source = Source(http, url, edges)
        except ValueError as error:
            raise click.UsageError(f"{error}.") from error
        about = await _patiently(source, patience_s)
        target = output / about.name if output.is_dir() or str(output).endswith("/") else output
        if target.exists() and not force:
            raise click.UsageError(f"{target} exists already: --force replaces it.")
        while True:
            try:
                await _into(target, source, about, parts, patience_s)
                return target
            except Changed:
                _tell("The file is another now: starting anew.")
                about = await _patiently(source, patience_s)


async def _patiently(source: Source, patience_s: float) -> About:
    """Opens the link and asks what there is, again and again for so long. Problem when there is no use."""
    pause, waited = FIRST_PAUSE_S, 0.0
    while True:
        try:
            await source.open()
            return await source.about()
        except Trouble as trouble:
            wait = max(pause, trouble.after_s)
            if waited + wait > patience_s:
                raise Problem("unavailable", str(trouble)) from trouble
            if not waited:
                _tell(f"{trouble} Trying again.")
            source.next_edge(source.base)
            await asyncio.sleep(wait)
            waited, pause = waited + wait, min(LONGEST_PAUSE_S, 2 * pause)


async def _into(target: Path, source: Source, about: About, parts: int, patience_s: float) -> None:
    """The whole file under its name, verified. What is partial stays, unless it is wrong."""
    partial = target.with_name(target.name + ".part")
    saved = target.with_name(target.name + ".part.json")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _partial_file(partial) as fd:
            state = _begun(saved, fd, about)
            _check_room(target, about.size - state.done.size())
            await _transfer(source, state, fd, saved, parts, patience_s)
            _verify(fd, about, partial, saved)
        partial.replace(target)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise Problem("disk_full" if full else "internal", FULL if full else f"{error}.") from error
    saved.unlink(missing_ok=True)


@contextmanager
def _partial_file(path: Path) -> Iterator[int]:
    """The partial file, open and ours alone. Problem conflict when another command has it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Problem("conflict", BUSY) from error
        yield fd
    finally:
        os.close(fd)


def _begun(saved: Path, fd: int, about: About) -> State:
    """What an earlier run left, if it is of the same file; else a new beginning."""
    found = fetch_state.load(saved)
    length = os.fstat(fd).st_size
    if found is not None and (found.etag, found.size, length) == (about.etag, about.size, about.size):
        if found.done.size():
            there, whole = units.human_bytes(found.done.size()), units.human_bytes(found.size)
            _tell(f"Going on: {there} of {whole} are there.")
        return found
    if found is not None:
        _tell("What is there is of another file: starting anew.")
    os.ftruncate(fd, 0)
    os.ftruncate(fd, about.size)  # holes, so that every part can be written at its place
    return State(about.etag, about.size)


def _check_room(target: Path, missing: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if missing > free:
        need, room = units.human_bytes(missing), units.human_bytes(free)
        raise Problem("disk_full", f"This needs {need} more, and the disk has {room} free.")


async def _transfer(
    source: Source, state: State, fd: int, saved: Path, parts: int, patience_s: float
) -> None:
    with progress_bar(DownloadColumn(), TransferSpeedColumn()) as bar:
        task = bar.add_task("fetch", total=state.size, completed=state.done.size())
        transfer = Transfer(
            source,
            state,
            fd,
            saved,
            parts=parts,
            patience_s=patience_s,
            progress=lambda size: bar.advance(task, size),
            told=bar.console.print,
        )
        await transfer.run()


def _verify(fd: int, about: About, partial: Path, saved: Path) -> None:
    """Compares the file with the announced digest; a wrong one is thrown away. Problem bad_upstream."""
    if about.sha256 is None:
        _tell("The edge announced no SHA-256: the file is not verified.")
        return
    digest = hashlib.sha256()
    with progress_bar(DownloadColumn(), TransferSpeedColumn()) as bar:
        task = bar.add_task("verify", total=about.size)
        for at in range(0, about.size, HASH_BYTES):
            piece = os.pread(fd, HASH_BYTES, at)
            digest.update(piece)
            bar.advance(task, len(piece))
    if digest.digest() != about.sha256:
        partial.unlink(missing_ok=True)
        saved.unlink(missing_ok=True)
        raise Problem("bad_upstream", WRONG)
    _tell(f"Verified: SHA-256 {digest.hexdigest()}")


def _tell(sentence: str) -> None:
    click.echo(sentence if sentence.startswith("Verified") else f"sluice: {sentence}", err=True)
