"""What both ways of `sluice fetch` do: open the link, wait for an edge, a partial file, its bytes."""

import asyncio
import errno
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import click
import httpx
from rich.progress import DownloadColumn, TransferSpeedColumn

from deploy import units
from deploy.commands import fetch_state
from deploy.commands.fetch_source import About, Source, Trouble
from deploy.commands.fetch_state import State
from deploy.commands.fetch_transfer import FIRST_PAUSE_S, LONGEST_PAUSE_S, Transfer
from deploy.commands.media import progress_bar
from deploy.commands.offline_device import Device
from keys.problems import Problem

FULL: Final = "The disk is full. What came is kept: the same command goes on from there."
BUSY: Final = "Another sluice fetch is writing this file."


@asynccontextmanager
async def link_source(url: str, edges: tuple[str, ...], *, keep: bool = False) -> AsyncIterator[Source]:
    """The link at the edges, for as long as this is entered. UsageError for what is no address."""
    timeout = httpx.Timeout(30, connect=5, pool=None)
    headers = {"accept-encoding": "identity", "user-agent": "sluice-fetch"}
    async with httpx.AsyncClient(timeout=timeout, headers=headers, follow_redirects=False) as http:
        try:
            source = Source(http, url, edges, keep=keep)
        except ValueError as error:
            raise click.UsageError(f"{error}.") from error
        yield source


def target_of(output: Path, about: About) -> Path:
    """The file that is meant: the output, or in that folder the file's own name."""
    return output / about.name if output.is_dir() or str(output).endswith("/") else output


async def patiently(source: Source, patience_s: float, device: Device | None = None) -> tuple[About, bytes]:
    """Opens the link, asks what there is, and for a license of this device, again and again for so long.

    Problem when there is no use.
    """
    pause, waited = FIRST_PAUSE_S, 0.0
    while True:
        try:
            await source.open()
            about = await source.about()
            return about, await source.license(device.public_jwk) if device else b""
        except Trouble as trouble:
            wait = max(pause, trouble.after_s)
            if waited + wait > patience_s:
                raise Problem("unavailable", str(trouble)) from trouble
            if not waited:
                tell(f"{trouble} Trying again.")
            source.next_edge(source.base)
            await asyncio.sleep(wait)
            waited, pause = waited + wait, min(LONGEST_PAUSE_S, 2 * pause)


@contextmanager
def partial_file(path: Path) -> Iterator[int]:
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


def begun(saved: Path, fd: int, about: About) -> State:
    """What an earlier run left, if it is of the same file; else a new beginning."""
    found = fetch_state.load(saved)
    length = os.fstat(fd).st_size
    if found is not None and (found.mark, found.size, length) == (about.mark, about.size, about.size):
        if found.done.size():
            there, whole = units.human_bytes(found.done.size()), units.human_bytes(found.size)
            tell(f"Going on: {there} of {whole} are there.")
        return found
    if found is not None:
        tell("What is there is of another file: starting anew.")
    os.ftruncate(fd, 0)
    os.ftruncate(fd, about.size)  # holes, so that every part can be written at its place
    return State(about.mark, about.size)


def check_room(target: Path, missing: int) -> None:
    """Problem disk_full when what is missing does not fit."""
    free = shutil.disk_usage(target.parent).free
    if missing > free:
        need, room = units.human_bytes(missing), units.human_bytes(free)
        raise Problem("disk_full", f"This needs {need} more, and the disk has {room} free.")


async def transfer(source: Source, state: State, fd: int, saved: Path, parts: int, patience_s: float) -> None:
    """Fetches what is missing, and shows how it goes. Problem, Changed or OSError."""
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


@contextmanager
def disk_trouble() -> Iterator[None]:
    """An OSError becomes the Problem it is."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise Problem("disk_full" if full else "internal", FULL if full else f"{error}.") from error


@contextmanager
def bar(what: str, size: int) -> Iterator[Callable[[int], None]]:
    """A bar of so many bytes; it is moved by calling what this gives."""
    with progress_bar(DownloadColumn(), TransferSpeedColumn()) as bar:
        task = bar.add_task(what, total=size)
        yield lambda more: bar.advance(task, more)


def tell(sentence: str) -> None:
    """One sentence on stderr."""
    click.echo(sentence if sentence.startswith("Verified") else f"sluice: {sentence}", err=True)
