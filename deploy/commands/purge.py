"""`sluice purge`: what edges keep of a zone's answers goes, or is asked for anew."""

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from deploy.commands.operator import Operator
from deploy.commands.options import data_option
from deploy.commands.zones import zone_here
from keys.purge import KEY, PREFIX, URL, ZONE

_UNDER: Final = "/z/"  # where edges have zones with a name: /z/press/a.jpg
_TOKEN: Final = re.compile(r"^/z;[^/]*/")  # a link's token, which stands there as `sluice link` prints it


@click.command()
@click.argument("url", required=False)
@click.option("--prefix", metavar="URL", help="All whose URL begins so; end it with a slash for a folder.")
@click.option("--key", metavar="KEY", help="All with this surrogate key (Surrogate-Key, Cache-Tag).")
@click.option("--zone", metavar="ZONE", help="The zone; alone: everything of it.")
@click.option(
    "--soft", is_flag=True, help="Only make it stale: it is validated, or served while it is renewed."
)
@data_option
def purge(
    url: str | None, prefix: str | None, key: str | None, zone: str | None, soft: bool, data: Path
) -> int:
    """Take what URL, --prefix, --key or --zone names out of every edge, within a second.

    A URL is one of an edge, https://edge.example/z/press/a.jpg, in all its variants; of its query that counts
    which counts for the zone.
    With --zone press it may also be a URL at a host of the zone's own, or a path alone: /a.jpg.

    An edge that does not hear from keys meanwhile does it as soon as it does.
    """
    named = [(kind, value) for kind, value in ((URL, url), (PREFIX, prefix), (KEY, key)) if value]
    if len(named) > 1 or not (named or zone):
        raise click.UsageError("Say what is to be purged: a URL, or one of --prefix, --key and --zone alone.")
    kind, value = named[0] if named else (ZONE, "")
    if kind in (URL, PREFIX):
        zone, value = place(value, zone)
    elif zone is None:
        raise click.UsageError("A surrogate key is looked for in one zone: give --zone.")
    zone_here(zone, data)
    with Operator(data) as operator:
        body = {"zone": zone, "kind": kind, "value": value, "soft": soft}
        told = operator.keys("POST", "/v1/purges", json=body)
    what = f"{kind} {value} of {zone}" if value else f"all of {zone}"
    click.echo(f"purged {what}{', softly' if soft else ''}", err=True)
    if told.get("warning"):
        click.echo(told["warning"], err=True)
    return 0


def place(text: str, zone: str | None) -> tuple[str, str]:
    """(zone, path and query) that a URL or path names. UsageError."""
    parts = urlsplit(text)
    path = _TOKEN.sub("/z/", parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not text.startswith("/") and not (parts.scheme in ("http", "https") and parts.netloc):
        raise click.UsageError("Give a URL like https://edge.example/z/press/a.jpg, or --zone and a path.")
    if path.startswith(_UNDER):
        found, slash, rest = path.removeprefix(_UNDER).partition("/")
        if zone not in (None, found):
            raise click.UsageError(f"This URL is in zone {found}, not in {zone}.")
        if slash:
            return found, "/" + rest
    if zone is None:
        raise click.UsageError("This URL does not say in which zone it is: give --zone.")
    return zone, path
