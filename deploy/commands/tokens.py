"""`sluice tokens`: who may use the control API, and for what."""

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
from rich.table import Table

from deploy import units
from deploy.commands.operator import Operator
from deploy.commands.options import data_option, parsed
from deploy.commands.output import print_table
from origin.control.scopes import MEANING, SCOPES
from origin.control.scopes import scopes as read_scopes

PATH = "/api/v1/tokens"


@click.group(invoke_without_command=False)
def tokens() -> None:
    """API tokens: add, list, revoke. Programs send one as `Authorization: Bearer TOKEN` (docs/api.md)."""


@tokens.command(epilog="Scopes: " + "; ".join(f"{scope}: {MEANING[scope]}" for scope in SCOPES) + ".")
@click.argument("name")
@click.option("--scope", "wanted", required=True, metavar="SCOPES", help="What it may do: words with commas.")
@click.option("--expires", metavar="DURATION", help="Good for so long, such as 90d. [it does not expire]")
@data_option
def add(name: str, wanted: str, expires: str | None, data: Path) -> int:
    """Make a token NAME and print it: it is shown this once.

    Only a hash of it is kept. `sluice tokens revoke NAME` takes it back at once.
    """
    allowed = parsed(read_scopes, [word.strip() for word in wanted.split(",") if word.strip()], "scope")
    body: dict[str, Any] = {"name": name, "scopes": list(allowed)}
    if expires is not None:
        body["expires_in_s"] = int(parsed(units.seconds, expires, "expires"))
    with Operator(data) as operator:
        made = operator.origin("POST", PATH, json=body)
    click.echo(
        f"{made['name']} may: {', '.join(made['scopes'])}. Keep it safe, it is not shown again:", err=True
    )
    click.echo(made["token"])
    return 0


@tokens.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON list on stdout.")
@data_option
def listed(as_json: bool, data: Path) -> int:
    """List the tokens there are and were, the newest first."""
    with Operator(data) as operator:
        found = operator.origin("GET", PATH)["items"]
    if as_json:
        click.echo(json.dumps(found))
        return 0
    if not found:
        click.echo("There is no API token: `sluice tokens add NAME --scope …` makes one.", err=True)
        return 0
    now = time.time()
    table = Table("name", "state", "scopes", "created", "last used", "expires", "id", box=None)
    for each in found:
        ends = "" if each["expires"] is None else f"in {units.human_ago(each['expires'] - now)[:-4]}"
        table.add_row(
            each["name"],
            each["state"],
            " ".join(each["scopes"]),
            units.human_ago(now - each["created"]),
            "never" if each["last_used"] is None else units.human_ago(now - each["last_used"]),
            ends if each["state"] == "good" else "",
            each["id"],
        )
    print_table(table)
    return 0


@tokens.command()
@click.argument("name")
@data_option
def revoke(name: str, data: Path) -> int:
    """Take back the token NAME (or its ID), at once and for ever."""
    with Operator(data) as operator:
        gone = operator.origin("POST", f"{PATH}/{quote(name, safe='')}/revoke")
    click.echo(f"revoked {gone['name']}", err=True)
    return 0
