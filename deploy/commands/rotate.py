"""`sluice rotate`: a new key in the place of one that is in use, and which keys there are."""

import json
import time
from pathlib import Path
from typing import Any, Final

import click
from rich.table import Table

from deploy import units
from deploy.commands.operator import Operator
from deploy.commands.options import data_option, parsed
from deploy.commands.output import print_table
from keys import secrets as secret_files

ROTATE_S: Final = 120.0  # every stored key is wrapped anew meanwhile
KINDS: Final = ("root", "tenant", "signing", "link", "region")


@click.command()
@click.argument("what", required=False, type=click.Choice(KINDS), metavar="[WHAT]")
@click.option("--overlap", metavar="DURATION", help="link: how long links of the old key still open. [30d]")
@click.option(
    "--now", "at_once", is_flag=True, help="signing: sign with the new key at once: the old leaked."
)
@click.option("--json", "as_json", is_flag=True, help="The keys as a JSON list on stdout.")
@data_option
def rotate(what: str | None, overlap: str | None, at_once: bool, as_json: bool, data: Path) -> int:
    """Put a new key in the place of WHAT; without WHAT, list the keys there are. Nothing is interrupted.

    \b
    root     wraps every stored key: they are wrapped anew
    tenant   wraps the keys of every asset: they are wrapped anew
    signing  signs session tokens: the new one is announced to every edge, and signs 15 s later
    link     signs the site's links, secrets/issuer.json: copy the new file to your site
    region   seals what zones keep in Redis

    Who watches, watches on: his session keeps its token and its keys. A key that leaked is rotated first,
    then revoked: `sluice revoke --signing-key ID`.
    """
    overlap_s = parsed(units.seconds, overlap, "overlap") if overlap else None
    if overlap_s is not None and what != "link":
        raise click.UsageError("--overlap is for `sluice rotate link`.")
    if at_once and what != "signing":
        raise click.UsageError("--now is for `sluice rotate signing`.")
    with Operator(data) as operator:
        if what is None:
            states = operator.keys("GET", "/v1/keys")["keys"]
        else:
            wish = {"kind": what, "overlap_s": overlap_s, "at_once": at_once}
            states = operator.keys("POST", "/v1/rotations", json=wish, timeout=ROTATE_S)["keys"]
            click.echo(_told(what, states, operator.running.data), err=True)
    if as_json:
        click.echo(json.dumps(states))
    else:
        _print(states)
    return 0


def _told(what: str, states: list[dict[str, Any]], data: Path) -> str:
    """What an operator has to know, or to do now."""
    new, before = states[0], next((each for each in states[1:] if each["until"]), None)
    until = _when(before["until"]) if before else ""
    if what == "link":
        path = data / "secrets" / secret_files.ISSUER
        told = f"The new key is in {path}: copy it to your site. Links of {before['id']} " if before else ""
        return f"{told}open until {until}; `sluice revoke --signing-key` ends them now."
    if what == "signing":
        starts = "at once" if new["state"] == "active" else f"from {_when(new['since'])} on"
        return f"{new['id']} signs session tokens {starts}. Running sessions keep theirs until they end."
    if what == "root":
        return (
            f"Every stored key is wrapped by version {new['id']} of the root key. Older versions open "
            "backups of the keys database from before, and nothing else: keep or delete them together."
        )
    if what == "tenant":
        return f"The keys of all assets are wrapped by {new['id']}."
    return f"{new['id']} seals from now on. What was sealed before opens until {until}."


def _print(states: list[dict[str, Any]]) -> None:
    table = Table("key", "name", "state", "since", "believed until", box=None)
    for each in states:
        since = _when(each["since"]) if each["since"] else ""
        table.add_row(
            each["kind"], each["id"], each["state"], since, _when(each["until"]) if each["until"] else ""
        )
    print_table(table)


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
