"""`sluice fetch`: a download from its link onto the disk, resumed where it broke off, and verified.

With `--offline` it is kept encrypted beside its license (`offline_fetch`), which `--play` plays
(`offline_play`).
"""

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Final

import click

from deploy import units
from deploy.commands.fetch_common import (
    bar,
    begun,
    check_room,
    disk_trouble,
    link_source,
    partial_file,
    patiently,
    target_of,
    tell,
    transfer,
)  # fmt: skip
from deploy.commands.fetch_offline import kept
from deploy.commands.fetch_source import About, Source
from deploy.commands.fetch_state import PIECE
from deploy.commands.fetch_transfer import Changed
from deploy.commands.offline_device import user_folder
from deploy.commands.offline_play import play as play_offline
from deploy.commands.options import parsed
from keys.problems import Problem

PARTS: Final = 4
MOST_PARTS: Final = 16
HASH_BYTES: Final = 1 << 20
INTERRUPTED: Final = 130  # as shells say it of Ctrl-C
EXIT_CODES: Final = {
    "forbidden": 4,
    "protected": 4,
    "not_offline": 4,
    "not_found": 4,
    "expired": 5,
    "revoked": 6,
    "limit": 7,
}  # else 1

WRONG: Final = "What came is not what the edge announced: its SHA-256 is another. Nothing was kept."


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
@click.option("--offline", is_flag=True, help="Keep a protected file encrypted, with a license for a time.")
@click.option("--play", is_flag=True, help="Play what --offline kept: URL is then the file, film.mp4.ece.")
@click.option(
    "--player",
    metavar="CMD",
    help="Player for --play; the address is put behind it. none: print it. [mpv, vlc or ffplay]",
)
def fetch(
    url: str,
    output: Path,
    edges: tuple[str, ...],
    parts: int,
    patience: str,
    force: bool,
    offline: bool,
    play: bool,
    player: str | None,
) -> int:
    """Download URL, a signed link that `sluice link ASSET --download` made, and verify it.

    Shows how fast it comes and how long it will take. A protected file is decrypted as it comes. What broke
    off goes on from there when the same command is given again, with the same link or a new one, from
    whatever edge. The file gets its name once its SHA-256 is what the edge announced; the name is printed.
    Needs no data directory.

    With --offline, under a link made with `--offline 48h`, the file stays encrypted, and its license beside
    it opens it on this machine for so long; a new link renews it. `sluice fetch --play film.mp4.ece` plays
    it, with no network and no plain byte on the disk.

    Exit codes: 0 there and verified, or played; 1 failed; 2 wrong usage; 4 the link or license opens
    nothing; 5 it has expired; 6 it was revoked; 7 a limit of the link is reached; 8 the license is not good
    yet, or the clock was turned back; 130 interrupted.
    """
    if play and offline:
        raise click.UsageError("--play is for what --offline kept: one of them at a time.")
    if play:
        return play_offline(Path(url), player, user_folder(), tell)
    if player is not None:
        raise click.UsageError("A player is for --play.")
    patience_s = float(parsed(units.seconds, patience, "patience"))
    try:
        fetching = kept if offline else _fetch
        target = asyncio.run(fetching(url, output, edges, parts, patience_s, force))
    except KeyboardInterrupt:
        tell("Stopped. The same command goes on from there.")
        return INTERRUPTED
    except Problem as problem:
        tell(problem.message)
        return EXIT_CODES.get(problem.code, 1)
    click.echo(str(target))
    return 0


async def _fetch(
    url: str, output: Path, edges: tuple[str, ...], parts: int, patience_s: float, force: bool
) -> Path:
    async with link_source(url, edges) as source:
        about, _ = await patiently(source, patience_s)
        target = target_of(output, about)
        if target.exists() and not force:
            raise click.UsageError(f"{target} exists already: --force replaces it.")
        while True:
            try:
                await _into(target, source, about, parts, patience_s)
                return target
            except Changed:
                tell("The file is another now: starting anew.")
                about, _ = await patiently(source, patience_s)


async def _into(target: Path, source: Source, about: About, parts: int, patience_s: float) -> None:
    """The whole file under its name, verified. What is partial stays, unless it is wrong."""
    partial = target.with_name(target.name + ".part")
    saved = target.with_name(target.name + ".part.json")
    with disk_trouble():
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial_file(partial) as fd:
            state = begun(saved, fd, about)
            check_room(target, about.size - state.done.size())
            await transfer(source, state, fd, saved, parts, patience_s)
            _verify(fd, about, partial, saved)
        partial.replace(target)
    saved.unlink(missing_ok=True)


def _verify(fd: int, about: About, partial: Path, saved: Path) -> None:
    """Compares the file with the announced digest; a wrong one is thrown away. Problem bad_upstream."""
    if about.sha256 is None:
        tell("The edge announced no SHA-256: the file is not verified.")
        return
    digest = hashlib.sha256()
    with bar("verify", about.size) as progress:
        for at in range(0, about.size, HASH_BYTES):
            piece = os.pread(fd, HASH_BYTES, at)
            digest.update(piece)
            progress(len(piece))
    if digest.digest() != about.sha256:
        partial.unlink(missing_ok=True)
        saved.unlink(missing_ok=True)
        raise Problem("bad_upstream", WRONG)
    tell(f"Verified: SHA-256 {digest.hexdigest()}")
