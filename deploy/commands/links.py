"""`sluice link`, `sessions`: who may watch, and who watches."""

import json
import time
from pathlib import Path
from typing import Any, Final

import click
from rich.table import Table

from deploy import units
from deploy.commands.operator import Operator
from deploy.commands.options import data_option, parsed
from deploy.commands.output import print_table, width
from deploy.running import NotRunning, find
from keys import secrets as secret_files
from keys.container import ATTRIBUTE
from keys.limits import Limits
from keys.names import asset_id
from keys.problems import Problem
from keys.renewal import WAYS
from keys.signing import sign_url

LIVE_S: Final = 120.0
CHECK_S: Final = 3.0
FIRST: Final = "*"  # --download without a name
NARROW: Final = 140  # columns below which `sluice sessions` leaves out what can be missed
LOOK_BACK_S: Final = 7 * 24 * 3600


@click.command()
@click.argument("asset")
@click.option("--start-within", default="2h", metavar="DURATION", help="How long it can be opened. [2h]")
@click.option("--for", "length", default="6h", metavar="DURATION", help="How long it then plays. [6h]")
@click.option("--viewer", help="Who watches: an ID of yours, hidden in the link.")
@click.option("--once", is_flag=True, help="Good for one opening.")
@click.option(
    "--streams", type=int, metavar="N", help="Plays on so many devices at once. [the site's setting]"
)
@click.option("--opens", type=int, metavar="N", help="Opens at most so many sessions a minute. [the site's]")
@click.option("--budget", metavar="SIZE", help="Delivers at most so many bytes in all, such as 20G.")
@click.option("--speed", metavar="SIZE", help="Delivers at most so many bytes a second, such as 2M.")
@click.option("--country", metavar="CODES", help="Good in these countries only, such as DE,AT. [needs geoip]")
@click.option("--device", is_flag=True, help="Good only in the browser that opens it first.")
@click.option("--ip", metavar="CIDR", help="Good from this network only.")
@click.option("--edge", metavar="URL", help="Edge to use; otherwise the first that runs.")
@click.option(
    "--download",
    metavar="[=NAME]",
    is_flag=False,
    flag_value=FIRST,
    help="Link to the download of that name, or to the first there is, instead of the stream.",
)
@click.option(
    "--renew",
    type=click.Choice(tuple(WAYS)),
    help="Keep a download's token short-lived, and renew it so while it is used.",
)
@click.option("--renew-for", default="1m", metavar="DURATION", help="How long each renewal lasts. [1m]")
@click.option("--token-name", default=ATTRIBUTE, help="What the token stands under. [URISigningPackage]")
@click.option("--watch", is_flag=True, help="Print the player page's link instead of the stream's.")
@data_option
def link(
    asset: str,
    start_within: str,
    length: str,
    viewer: str | None,
    once: bool,
    streams: int | None,
    opens: int | None,
    budget: str | None,
    speed: str | None,
    country: str | None,
    device: bool,
    ip: str | None,
    edge: str | None,
    download: str | None,
    renew: str | None,
    renew_for: str,
    token_name: str,
    watch: bool,
    data: Path,
) -> int:
    """Print a signed link to ASSET.

    Streams are counted for the viewer, over all his links; without --viewer for the link.
    A download's link is for browsers, curl, or `sluice fetch`.
    """
    if download and watch:
        raise click.UsageError("A link is to the player page or to a download, not to both.")
    start_within_s = int(parsed(units.seconds, start_within, "start-within"))
    session_s = int(parsed(units.seconds, length, "for"))
    if renew and not download:
        raise click.UsageError("Only a download's token is renewed: add --download.")
    renew_s = int(parsed(units.seconds, renew_for, "renew-for"))
    edges = [edge.rstrip("/")] if edge else list(find(data).edges)
    if not edges:
        raise click.UsageError("No edge runs here: name one with --edge.")
    name = None if download in (None, FIRST) else download
    if not edge or (download and not name):
        found = _published(data, asset_id(asset))
        name = _download_name(found, asset, name) if download else None
    signed = make_link(
        data,
        asset,
        edges,
        download=name,
        start_within_s=start_within_s,
        session_s=session_s,
        viewer=viewer,
        once=once,
        network=ip,
        renew=renew,
        renew_s=renew_s,
        attribute=token_name,
        limits=_limits(
            streams=streams,
            opens=opens,
            budget=parsed(units.size_bytes, budget, "budget") if budget else None,
            speed=parsed(units.size_bytes, speed, "speed") if speed else None,
            countries=tuple(country.upper().split(",")) if country else (),
            device=device,
        ),
    )
    click.echo(page_link(edges[0], signed) if watch else signed)
    return 0


def _limits(**wanted: Any) -> Limits:
    try:
        return Limits(**wanted)
    except ValueError as error:
        raise Problem("bad_request", f"This link cannot be made: {error}.") from error


def make_link(data: Path, asset: str, edges: list[str], *, download: str | None = None, **how: Any) -> str:
    """A link to the asset, or to a download of it, at the first edge, good at all of them.

    `how` is what `keys.sign_url` takes.
    """
    try:
        issuer = secret_files.read_issuer(data / "secrets" / secret_files.ISSUER)
        place = f"d/{asset_id(asset)}/{download}" if download else f"v/{asset_id(asset)}/main.m3u8"
        return sign_url(f"{edges[0]}/{place}", issuer, hosts=edges[1:], **how)
    except (ValueError, secret_files.BadSecret) as error:
        raise Problem("bad_request", f"This link cannot be made: {error}".rstrip(".") + ".") from error


def page_link(edge: str, signed: str) -> str:
    """The player page with the link in its fragment, which never leaves the browser."""
    return f"{edge}/watch/#{signed}"


@click.command()
@click.option("--viewer", help="Of this viewer only.")
@click.option("--all", "everything", is_flag=True, help="Sessions of the last week too, not only live ones.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list on stdout.")
@data_option
def sessions(viewer: str | None, everything: bool, as_json: bool, data: Path) -> int:
    """List who watches what. An edge tells of a session within five seconds.

    A narrow terminal leaves out addresses and requests; --json has everything.
    """
    within = LOOK_BACK_S if everything else LIVE_S
    now = time.time()
    with Operator(data) as operator:
        asked = {"live_within_s": within} | ({"viewer": viewer} if viewer is not None else {})
        found = operator.keys("GET", "/v1/sessions", params=asked)["sessions"]
        if as_json:
            click.echo(json.dumps(found))
            return 0
    if not found:
        click.echo("Nobody was watching." if everything else "Nobody is watching.", err=True)
        return 0
    print_table(sessions_table(found, now, narrow=width() < NARROW))
    return 0


def sessions_table(found: list[dict[str, Any]], now: float, *, narrow: bool) -> Table:
    """The sessions for people. IDs are never cut: they are what `sluice revoke` takes."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in (
        "session",
        "asset",
        "viewer",
        "from",
        "seen",
        "requests",
        "sent",
        "media",
        "ripper",
        "state",
    ):
        if not narrow or title not in ("from", "requests"):
            right = title in ("requests", "sent", "media", "ripper")
            cut = title in ("asset", "viewer")  # these alone give way where it is tight
            table.add_column(
                title, justify="right" if right else "left", no_wrap=not cut, overflow="ellipsis"
            )
    for each in found:
        seen = units.human_ago(now - each["last_seen"]) if each["last_seen"] else ""
        further = () if narrow else (each["client_ip"],)
        requests = () if narrow else (str(each["requests"]),)
        table.add_row(
            each["sid"],
            each["asset"],
            each["viewer"] or "",
            *further,
            seen,
            *requests,
            units.human_bytes(each["bytes"]),
            units.human_clock(each["media_s"]),
            str(each["ripper"]["score"] or ""),
            _state(each),
        )
    return table


def _state(session: dict[str, Any]) -> str:
    """How the session stands; of a viewer who is slowed that too."""
    slowed = session["state"] == "live" and session["ripper"]["acted"] == "slow"
    return "slowed" if slowed else str(session["state"])


def _published(data: Path, asset: str) -> dict[str, Any] | None:
    """What the origin says of the asset, None when it does not answer: signing itself needs no origin.

    Saves a publisher from handing out a dead link: Problem conflict when it is not published.
    """
    try:
        with Operator(data) as operator:
            found: dict[str, Any] = operator.origin("GET", f"/v1/assets/{asset}", timeout=CHECK_S)
    except (Problem, NotRunning) as trouble:
        if isinstance(trouble, Problem) and trouble.code != "unavailable":
            raise
        click.echo("The origin does not answer: not checked whether the asset is published.", err=True)
        return None
    if found["state"] != "published":
        raise Problem("conflict", f"{asset} is not published: it is {found['state']}.")
    return found


def _download_name(found: dict[str, Any] | None, asset: str, wanted: str | None) -> str:
    """The download that is meant. Problem not_found, with what there is, when there is none of that name."""
    if found is None:
        if wanted:
            return wanted
        raise Problem("unavailable", "Without the origin, name the download: --download=NAME.")
    names = [str(each["name"]) for each in found["downloads"]]
    if not names:
        raise Problem("not_found", f"{asset} may not be downloaded: it was added without --download.")
    if wanted and wanted not in names:
        raise Problem("not_found", f"{asset} has no download {wanted}. There is {', '.join(names)}.")
    return wanted or names[0]
