"""`sluice demo`: everything on this machine, a film in it, links to try it; stays up until told to end."""

import asyncio
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.rule import Rule
from rich.text import Text

from deploy import launch, up
from deploy.commands import links, media
from deploy.commands.operator import Operator
from deploy.commands.options import settings_from
from deploy.commands.start import ended_by_signals
from deploy.demo import film
from deploy.demo.check.report import FIELDS, PARTS, SESSIONS
from deploy.ffmpeg import ffmpeg_path
from deploy.settings import Settings
from deploy.supervise import Stopped
from deploy.up import System
from keys import secrets as secret_files

T = TypeVar("T")

DEFAULTS: Final = {
    "data": "demo-data",
    "edges": 2,  # so that a session is seen to play on either
    "workers": 2,
    "key_period": "12s",  # short, so that keys are seen to change
    "pace_burst": "20s",  # short, so that pacing is seen
}
SAMPLE: Final = "a-day-at-sea"
SAMPLE_TITLE: Final = "A day at sea"


JSON_FIELDS: Final = "\n".join(
    ["\b", "Fields of --json (null: not measured), beside ok, failed, trouble, seconds and some more:"]
    + [f"  {name}: {meaning}" for name, meaning in FIELDS.items()]
)


@click.command(epilog=JSON_FIELDS)
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--data", metavar="PATH", help="Data directory; kept, and used again. [demo-data]")
@click.option("--port-base", metavar="PORT", help="First port; otherwise 8000, or free ones.")
@click.option("--edges", metavar="NUMBER", help="How many edges. [2]")
@click.option("--workers", metavar="NUMBER", help="Worker processes of each edge. [2]")
@click.option("--verbose", is_flag=True, default=None, help="Show the logs of all services.")
@click.option("--check", "checked", is_flag=True, help="Prove what is promised, then exit 0 or 1.")
@click.option("--json", "as_json", is_flag=True, help="With --check: one JSON object on stdout.")
@click.option("--sessions", type=click.IntRange(2, 200), help=f"With --check: how many play. [{SESSIONS}]")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="With --check: these parts only.")
def demo(
    file: Path | None,
    checked: bool,
    as_json: bool,
    sessions: int | None,
    only: tuple[str, ...],
    **given: Any,
) -> int:
    """Start everything on this machine, ingest FILE or a sample film, print links, and stay up.

    Keys change every 12 s of media and only 20 s of it are handed out ahead, so that both can be seen. A
    second run finds what the first one made.

    With --check the system that runs in the data directory (none: one started for it) is put to the proof:
    sessions play FILE or the sample film, in 360 lines, at reading pace with ffmpeg, and every decoded frame
    is compared with the packaged film; links are altered, expired and revoked; rippers take all they can;
    the workers of an edge are killed and the origin is stopped in mid-play. What it puts in is taken out
    again. It takes about four minutes and wants the system for itself: other viewers of uncached films
    would count among the origin's requests.
    """
    if not checked and (as_json or sessions or only):
        raise click.UsageError("--json, --sessions and --only belong to --check.")
    settings = _with_ports(settings_from(given, DEFAULTS), given)
    if checked:
        return asyncio.run(_check(settings, file, sessions or SESSIONS, only or PARTS, as_json))
    return asyncio.run(_demo(settings, file, Console()))


def _with_ports(settings: Settings, given: dict[str, Any]) -> Settings:
    """Free ports instead of the usual ones, when those are in use and nobody asked for them."""
    usual = Settings.model_fields["port_base"].default
    if given.get("port_base") or settings.port_base != usual:
        return settings
    return settings.model_copy(update={"port_base": up.free_port_base(settings.edges, first=usual)})


async def _demo(settings: Settings, file: Path | None, console: Console) -> int:
    ended = ended_by_signals()
    try:
        source = file or await _sample(settings, console, ended)
        with console.status("Starting keys, origin, console, edge and Redis …"):
            running = up.started(settings, launch.ALL_SERVICES, ended)
            system = await running.__aenter__()
        try:
            console.print(f"Everything answers after {system.started_s:.1f} s.")
            asset = await _until_ended(asyncio.to_thread(_ingested, system, source), ended)
            _show(system, asset, console)
            await ended.wait()
            console.print("Ending …")
        finally:
            await running.__aexit__(None, None, None)
    except Stopped:
        return 0
    if system.supervisor.failed:
        click.echo(f"sluice: {system.supervisor.failed}", err=True)
        return 1
    return 0


async def _check(
    settings: Settings, file: Path | None, sessions: int, parts: Sequence[str], as_json: bool
) -> int:
    """Runs the check; ends it, and what it started, when told to."""
    from deploy.commands.check import check  # it loads much that no other command needs

    ended = ended_by_signals()
    try:
        source = file or await _sample(settings, Console(stderr=True), ended)
        report = check(
            settings,
            source,
            ended,
            own_film=file is not None,
            sessions=sessions,
            parts=parts,
            as_json=as_json,
        )
        return await _until_ended(report, ended)
    except Stopped:
        return 1


async def _sample(settings: Settings, console: Console, ended: asyncio.Event) -> Path:
    """The sample film, made once for a data directory."""
    target = settings.data.absolute() / "sample" / f"{SAMPLE}.mp4"
    if target.exists():
        return target
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("left"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("Making a sample film", total=1.0)
        making = film.make(
            str(ffmpeg_path(settings)), target, lambda done: progress.update(task, completed=done)
        )
        await _until_ended(making, ended)
    return target


def _ingested(system: System, source: Path) -> str:
    """The asset of this file: the one there is, else ingested now."""
    title = SAMPLE_TITLE if source.stem == SAMPLE else source.stem
    with Operator(system.layout.data) as operator:
        for each in operator.origin("GET", "/v1/assets")["assets"]:
            same = each["title"] == title and each["upload_bytes"] == source.stat().st_size
            if same and each["state"] == "published":
                return str(each["id"])
            if same and each["state"] in ("queued", "ingesting"):
                media.ingest(operator, each["id"])
                return str(each["id"])
        asset = media.upload(operator, source, title=title)
        media.ingest(operator, asset)
        return asset


def _show(system: System, asset: str, console: Console) -> None:
    data = system.layout.data
    usual = Path(".venv/bin/sluice")
    sluice = str(usual) if usual.exists() else "sluice"
    edges = list(system.settings.public_bases)
    signed = links.make_link(data, asset, edges, viewer="demo")
    token = secret_files.read_token(system.layout.secrets / secret_files.ADMIN_TOKEN)
    where = data.relative_to(Path.cwd()) if data.is_relative_to(Path.cwd()) else data
    rows = (
        ("Watch in a browser", links.page_link(edges[0], signed)),
        ("For VLC, mpv or ffmpeg", signed),
        ("Admin: films, viewers, links", f"{system.addresses['admin']}/#token={token}"),
        ("Upload a film of yours", f"{system.addresses['origin']}/upload (signed in by the admin page)"),
        ("Another link", f"{sluice} link {asset} --data {where} --viewer you --watch"),
        ("Who watches", f"{sluice} sessions --data {where}"),
    )
    console.print(Rule(Text(f"Sluice plays “{asset}”")))
    for name, value in rows:
        console.print(f"\n[bold]{name}[/bold]")
        # links go out as they are: no wrapping, no markup, so that they can be clicked and copied
        console.print(value, soft_wrap=True, markup=False, highlight=False, style="cyan")
    console.print("\nCtrl-C ends it; what was made is kept for the next time.")


async def _until_ended(work: Awaitable[T], ended: asyncio.Event) -> T:
    """What the work gives; Stopped when the end is asked for first."""
    task = asyncio.ensure_future(work)
    end = asyncio.create_task(ended.wait())
    await asyncio.wait((task, end), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        end.cancel()
        return await task
    task.cancel()
    await asyncio.wait((task,))  # it may have something to put in order
    raise Stopped
