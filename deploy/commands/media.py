"""`sluice add`, `assets`, `rm`: films into the running system, what there is, and away with it."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from deploy import units
from deploy.commands.captions import given_captions, send_captions
from deploy.commands.drm import drm_source, provide
from deploy.commands.limit import limit_options, set_limits
from deploy.commands.operator import Operator
from deploy.commands.options import data_option
from deploy.commands.output import print_table
from deploy.running import NotRunning
from keys.problems import Problem
from origin.downloads import FILES, offered

PIECE: Final = 1 << 20
POLL_S: Final = 0.4
_UNFINISHED: Final = ("uploading", "queued", "ingesting")


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--id", "asset", help="Asset ID of the one file; otherwise made from its name.")
@click.option("--title", default="", help="Title shown to people; otherwise the file's name.")
@click.option(
    "--download",
    type=click.Choice(FILES),
    help="Let viewers take away the file itself, an MP4 of each rendition, or both. [nothing]",
)
@click.option(
    "--protect-downloads",
    "protect",
    is_flag=True,
    help="What they take away leaves encrypted only, under a key of each session: `sluice fetch` opens it.",
)
@click.option(
    "--drm",
    metavar="SOURCE",
    help="Encrypt once for everybody, with content keys of a DRM provider: a CPIX file; a SPEKE v2 address "
    "(https://…), which is asked at ingest; or `new`, for keys that `sluice drm` tells a provider. "
    "Whoever has such a key opens the film of every session: see docs/drm.md.",
)
@click.option(
    "--captions",
    "captions",
    multiple=True,
    metavar="LANG=FILE",
    help="Captions of the one film: SubRip, WebVTT or TTML, such as en=film.en.srt; de,forced=signs.srt or "
    "en,default=film.vtt say more. May be given again.",
)
@limit_options
@click.option("--wait/--no-wait", default=True, help="Wait until it is published. [wait]")
@data_option
def add(
    files: tuple[Path, ...],
    asset: str | None,
    title: str,
    download: str | None,
    protect: bool,
    drm: str | None,
    captions: tuple[str, ...],
    streams: int | str | None,
    viewer_streams: int | str | None,
    wait: bool,
    data: Path,
) -> int:
    """Upload FILES to the running system and ingest them. Prints the asset of each, last on its line."""
    if asset and len(files) > 1:
        raise click.UsageError("--id is for one file only.")
    if protect and not download:
        raise click.UsageError("--protect-downloads says how they leave: add --download for what may.")
    if drm and len(files) > 1 and "://" not in drm:
        raise click.UsageError("--drm: a CPIX document is for one film. Add them one by one.")
    if captions and len(files) > 1:
        raise click.UsageError("--captions are of one film. Add the films one by one.")
    texts = [given_captions(text) for text in captions]
    provided, document = drm_source(drm)
    for file in files:
        _readable(file)
    with Operator(data) as operator:
        for file in files:
            name = upload(operator, file, asset, title, offered(download or "", protect=protect), provided)
            with _dropped_unless_limited(operator, name if document else ""):
                limit_new(operator, name, streams, viewer_streams)
                send_captions(operator, name, texts)
            if document:
                provide(operator, name, document)
            if wait:
                ingest(operator, name)
            click.echo(name)
    return 0


@contextlib.contextmanager
def _dropped_unless_limited(operator: Operator, asset: str) -> Iterator[None]:
    """Takes an asset that waits for its document away again when the block fails: nobody would hand it in."""
    try:
        yield
    except BaseException:
        if asset:
            operator.origin("DELETE", f"/v1/assets/{asset}")
        raise


def _readable(file: Path) -> None:
    """Returns for a file that can be sent. UsageError otherwise."""
    try:
        if file.is_dir():
            raise click.UsageError(f"{file} is a directory: name the files in it.")
        if not file.is_file():
            raise click.UsageError(f"There is no file {file}.")
        file.open("rb").close()
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {error.strerror}.") from error


def upload(
    operator: Operator,
    file: Path,
    asset: str | None = None,
    title: str = "",
    download: str = "",
    drm: str = "",
) -> str:
    """Sends the file with a progress bar on stderr; the asset it became. Problem as the origin refuses it."""
    size = file.stat().st_size
    wishes = {"id": asset, "title": title, "download": download, "drm": drm}
    query = {"name": file.name} | {name: wish for name, wish in wishes.items() if wish}
    with progress_bar(DownloadColumn(), TransferSpeedColumn()) as progress, file.open("rb") as source:
        task = progress.add_task(f"upload {file.name}", total=size)
        body = _pieces(source, progress, task)
        headers = {"content-length": str(size)}
        answer = operator.origin(
            "POST", "/v1/uploads", params=query, content=body, headers=headers, timeout=3600
        )
    return str(answer["asset"])


def limit_new(
    operator: Operator, asset: str, streams: int | str | None, viewer_streams: int | str | None
) -> None:
    """Sets the limits that were given, before the asset can be published. Problem when that fails."""
    if streams is None and viewer_streams is None:
        return
    try:
        set_limits(operator, asset, streams=streams, viewer_streams=viewer_streams)
    except (Problem, NotRunning) as error:
        operator.origin("POST", f"/v1/assets/{asset}/cancel")  # rather none than one without its limits
        raise Problem(
            "unavailable",
            f"{asset} was uploaded and not ingested: its limits could not be set ({error}). "
            f"When keys answers, set them with `sluice limit {asset}` and retry it on the admin page.",
        ) from error


def ingest(operator: Operator, asset: str) -> dict[str, Any]:
    """Shows the ingest of an asset until it is published. Problem when it fails or is cancelled."""
    with progress_bar(TextColumn("{task.percentage:>3.0f} %"), TextColumn("{task.fields[rate]}")) as progress:
        task = progress.add_task(f"ingest {asset}", total=1.0, rate="")
        while True:
            found: dict[str, Any] = operator.origin("GET", f"/v1/assets/{asset}")
            if found["state"] not in _UNFINISHED:
                break
            rate = f"{found['rate']:.1f} × real time" if found["rate"] else found["state"]
            progress.update(task, completed=found["progress"], rate=rate)
            time.sleep(POLL_S)
        if found["state"] == "published":
            progress.update(task, completed=1.0, rate="")
    if found["state"] != "published":
        raise Problem("conflict", found.get("error") or f"The ingest of {asset} was {found['state']}.")
    return found


@click.command()
@data_option
def assets(data: Path) -> int:
    """List the assets of the running system."""
    table = Table("asset", "state", "duration", "picture", "renditions", "size", "title", box=None)
    with Operator(data) as operator:
        for each in operator.origin("GET", "/v1/assets")["assets"]:
            state = each["state"]
            if state in _UNFINISHED:
                state += f" {each['progress']:.0%}"
            table.add_row(
                each["id"],
                state,
                units.human_clock(each["duration"]) if each["duration"] else "",
                f"{each['width']}×{each['height']}" if each["width"] else "",
                " ".join(each["renditions"]),
                units.human_bytes(each["bytes"]) if each["bytes"] else "",
                each["error"] or each["title"],
            )
    print_table(table)
    return 0


@click.command()
@click.argument("asset")
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_option
def rm(asset: str, yes: bool, data: Path) -> int:
    """Remove ASSET: its media, its keys, its sessions. There is no way back."""
    with Operator(data) as operator:
        title = operator.origin("GET", f"/v1/assets/{asset}")["title"]
        if not yes:
            click.confirm(f"Remove {asset} ({title}) for good?", abort=True, err=True)
        operator.origin("DELETE", f"/v1/assets/{asset}")
    return 0


def _pieces(source: BinaryIO, progress: Progress, task: Any) -> Iterator[bytes]:
    while piece := source.read(PIECE):
        yield piece
        progress.advance(task, len(piece))


def progress_bar(*columns: Any) -> Progress:
    """A bar on stderr that says how long it will take."""
    left = (TimeRemainingColumn(), TextColumn("left"))
    console = Console(stderr=True)
    what = TextColumn("{task.description}", markup=False)  # a file's name may hold brackets
    return Progress(what, BarColumn(), *columns, *left, console=console)
