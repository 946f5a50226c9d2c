"""`sluice link`, `sessions`: who may watch, and who watches."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.table import Table

from deploy import units
from deploy.commands.operator import Operator
from deploy.commands.options import data_option, parsed
from deploy.commands.output import print_table, width
from deploy.commands.zones import zone_here
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
    help="Keep a download's or zone's token short-lived, and renew it so while it is used.",
)
@click.option("--renew-for", default="1m", metavar="DURATION", help="How long each renewal lasts. [1m]")
@click.option(
    "--offline",
    metavar="DURATION",
    help="Grant offline use of a protected download: a license lasts so long, 30d at most.",
)
@click.option("--token-name", default=ATTRIBUTE, help="What the token stands under. [URISigningPackage]")
@click.option(
    "--watch", is_flag=True, help="Print the link of a page instead: the player, or the download's."
)
@click.option("--zone", is_flag=True, help="ASSET is a path of a signed zone, such as courses/week-1/a.mp4.")
@click.option("--below", is_flag=True, help="Good for all in the folder of a zone's path, and below it.")
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
    offline: str | None,
    token_name: str,
    watch: bool,
    zone: bool,
    below: bool,
    data: Path,
) -> int:
    """Print a signed link to ASSET.

    Streams are counted for the viewer, over all his links; without --viewer for the link.
    A download's link is for browsers, curl, or `sluice fetch`.
    With --zone it is for a path of a zone, good for as long as --for says, as often as it is used; with
    --renew it has to be opened within --start-within, and is good for as long as --for says from then on.
    """
    start_within_s = int(parsed(units.seconds, start_within, "start-within"))
    session_s = int(parsed(units.seconds, length, "for"))
    renew_s = int(parsed(units.seconds, renew_for, "renew-for"))
    offline_s = int(parsed(units.seconds, offline, "offline")) if offline else None
    if offline and not download:
        raise click.UsageError("Offline use is of a protected download: add --download.")
    if zone:
        if any((once, streams, opens, budget, speed, country, device, ip, download, watch)):
            raise click.UsageError(
                "A zone's link opens no session: only --for, --below, --viewer, --renew and --edge bind it."
            )
        how = {
            "start_within_s": start_within_s if renew else session_s,
            "session_s": session_s,
            "viewer": viewer,
            "renew": renew,
            "renew_s": renew_s,
            "attribute": token_name,
            "below": below,
        }
        edges = [edge] if edge else list(find(data).edges)
        named = None if edge else zone_here(asset.lstrip("/").partition("/")[0], data)
        if named is not None and not named.signed:
            raise click.UsageError(f"Zone {named.name} is public: its URLs need no link.")
        click.echo(zone_link(data, asset, edges, **how))
        return 0
    if below:
        raise click.UsageError("Only a zone's link is for what lies below a path: add --zone.")
    if renew and not download:
        raise click.UsageError("Only a download's or a zone's token is renewed: add --download or --zone.")
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
        offline_s=offline_s,
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
    click.echo(page_link(edges[0], signed, download=bool(download)) if watch else signed)
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


def zone_link(data: Path, path: str, edges: Sequence[str], **how: Any) -> str:
    """A link to a path of a zone at the first of these edges, good at all; `how` as `keys.sign_url` takes."""
    bases = [edge.rstrip("/") for edge in edges]
    if not bases:
        raise click.UsageError("No edge runs here: name one with --edge.")
    try:
        issuer = secret_files.read_issuer(data / "secrets" / secret_files.ISSUER)
        url = f"{bases[0]}/z/{path.lstrip('/')}"
        return sign_url(url, issuer, hosts=bases[1:], **how)
    except (ValueError, secret_files.BadSecret) as error:
        raise Problem("bad_request", f"This link cannot be made: {error}".rstrip(".") + ".") from error


def page_link(edge: str, signed: str, *, download: bool = False) -> str:
    """The player or download page with the link in its fragment, which never leaves the browser."""
    return f"{edge}/watch/{'download.html' if download else ''}#{signed}"


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
    """How the session stands; of a viewer who is slowed that too, and whether it has a license offline."""
    slowed = session["state"] == "live" and session["ripper"]["acted"] == "slow"
    state = "slowed" if slowed else str(session["state"])
    return f"{state}, offline" if session.get("offline_until") else state


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
    """The place of the download that is meant: its name, in `ece/` when it leaves encrypted only.

    Problem not_found, with what there is, when there is none of that name.
    """
    if found is None:
        if wanted:
            return wanted
        raise Problem("unavailable", "Without the origin, name the download: --download=NAME.")
    names = [_place(each) for each in found["downloads"]]
    if not names:
        raise Problem("not_found", f"{asset} may not be downloaded: it was added without --download.")
    meant = [name for name in names if wanted in (None, name, name.removeprefix("ece/"))]
    if not meant:
        raise Problem("not_found", f"{asset} has no download {wanted}. There is {', '.join(names)}.")
    return meant[0]


def _place(row: Mapping[str, Any]) -> str:
    name, protection = str(row["name"]), row.get("protection", "clear")
    return name if protection == "clear" else f"{protection}/{name}"
