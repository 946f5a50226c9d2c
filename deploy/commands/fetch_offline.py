"""`sluice fetch --offline`: a protected file kept as it leaves, and its license; another link renews it.

What there may be already, and what becomes of it, is `offline_fetch`'s.
"""

import time
from pathlib import Path

import click

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
from deploy.commands.fetch_source import About, Source
from deploy.commands.fetch_transfer import Changed
from deploy.commands.offline_device import Device, user_folder
from deploy.commands.offline_fetch import Place, taken
from keys.offline import BadLicense
from keys.problems import Problem


async def kept(
    url: str,
    output: Path,
    edges: tuple[str, ...],
    parts: int,
    patience_s: float,
    force: bool,
    folder: Path | None = None,
) -> Path:
    """The same, encrypted and with its license. `folder` is where this user's key is."""
    try:
        device = Device.load(folder or user_folder(), make=True)
    except (OSError, BadLicense) as error:
        raise Problem("internal", f"{error}.") from error
    async with link_source(url, edges, keep=True) as source:
        while True:
            about, answer = await patiently(source, patience_s, device)
            target = target_of(output, about)
            try:
                place = Place(device, target)
                await into_kept(place, device, answer, source, about, parts, patience_s, force)
                return target
            except Changed:
                tell("The session is another now: going on under it.")


async def into_kept(
    place: Place,
    device: Device,
    answer: bytes,
    source: Source,
    about: About,
    parts: int,
    patience_s: float,
    force: bool,
) -> None:
    """The whole file and its license under their names. What is there is sealed anew, not fetched again."""
    new = taken(device, answer, about)
    until = time.strftime("%Y-%m-%d %H:%M", time.localtime(new.license.expires))
    if place.target.exists() and not force:
        if place.holds(new):
            with disk_trouble():
                place.renew(answer)
            tell(f"Renewed: the license is good until {until}.")
            return
        if not place.renews(new):
            raise click.UsageError(f"{place.target} exists already: --force replaces it.")
    with disk_trouble():
        place.target.parent.mkdir(parents=True, exist_ok=True)
        with partial_file(place.partial) as fd:
            with bar("seal", about.size) as progress:
                place.begin(fd, new, about, answer, anew=force, told=tell, progress=progress)
            state = begun(place.saved, fd, about)
            check_room(place.target, about.size - state.done.size())
            await transfer(source, state, fd, place.saved, parts, patience_s)
            with bar("verify", about.size) as progress:
                digest = place.verify(fd, new, progress)
            place.finish(answer)
    tell(f"Verified: SHA-256 {digest}")
    tell(f"The license is good until {until}. Play it with `sluice fetch --play {place.target}`.")
