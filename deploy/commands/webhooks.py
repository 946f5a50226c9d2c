"""`sluice webhooks`: URLs that are told what becomes of assets."""

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
from origin.hooks.events import EVENTS
from origin.hooks.events import events as read_events

PATH = "/api/v1/webhooks"
_USUAL = "asset.published,asset.failed"


@click.group()
def webhooks() -> None:
    """Webhooks: add, list, rm, test, enable. Each message is signed, and retried for a day (docs/api.md)."""


@webhooks.command(epilog=f"Events: {', '.join(EVENTS)}.")
@click.argument("url")
@click.option("--events", "wanted", default=_USUAL, metavar="EVENTS", help=f"Words with commas. [{_USUAL}]")
@data_option
def add(url: str, wanted: str, data: Path) -> int:
    """Tell URL of events, and print the secret that its messages are signed with: it is shown this once."""
    words = [word.strip() for word in wanted.split(",") if word.strip()]
    asked = parsed(read_events, words, "events")
    with Operator(data) as operator:
        made = operator.origin("POST", PATH, json={"url": url, "events": list(asked)})
    click.echo(f"added {made['id']}. Its secret is not shown again:", err=True)
    click.echo(made["secret"])
    return 0


@webhooks.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON list on stdout.")
@data_option
def listed(as_json: bool, data: Path) -> int:
    """List the webhooks there are, and why one is disabled."""
    with Operator(data) as operator:
        found = operator.origin("GET", PATH)["items"]
    if as_json:
        click.echo(json.dumps(found))
        return 0
    if not found:
        click.echo("There is no webhook: `sluice webhooks add URL` adds one.", err=True)
        return 0
    now = time.time()
    table = Table("id", "state", "url", "events", "", box=None)
    for each in found:
        since = each["failing_since"]
        why = each["reason"] or (f"since {units.human_ago(now - since)}" if since else "")
        table.add_row(each["id"], each["state"], each["url"], " ".join(each["events"]), why)
    print_table(table)
    return 0


@webhooks.command()
@click.argument("id")
@data_option
def rm(id: str, data: Path) -> int:
    """Remove the webhook ID; what was still to be sent to it is not."""
    _ask(data, "DELETE", id)
    click.echo(f"removed {id}", err=True)
    return 0


@webhooks.command()
@click.argument("id")
@data_option
def enable(id: str, data: Path) -> int:
    """Let messages go to a webhook that was disabled again."""
    _ask(data, "POST", id, "/enable")
    click.echo(f"enabled {id}", err=True)
    return 0


@webhooks.command()
@click.argument("id")
@data_option
def test(id: str, data: Path) -> int:
    """Send the webhook ID a message now, and say how it went."""
    told = _ask(data, "POST", id, "/test")
    if told["error"]:
        click.echo(f"sluice: {told['error']}", err=True)
        return 1
    click.echo(f"{told['id']} was answered {told['status']}", err=True)
    return 0


def _ask(data: Path, method: str, id: str, action: str = "") -> Any:
    with Operator(data) as operator:
        return operator.origin(method, f"{PATH}/{quote(id, safe='')}{action}")
