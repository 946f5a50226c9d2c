"""`sluice nodes`: which edges, origins and consoles are enrolled, and striking one out."""

import time
from pathlib import Path
from typing import Final

import click
from rich.table import Table

from deploy import units
from deploy.commands.operator import Operator
from deploy.commands.options import data_option
from deploy.commands.output import print_table
from keys import secrets as secret_files
from keys.problems import Problem

_WARNING: Final = {
    "origin": "What it packaged plays nowhere any more. ",
    "edge": "It gets no keys and no media any more; who watches there goes on for 15 minutes at most. ",
    "shield": "It gets no media any more; edges ask others. ",
    "console": "",
}


@click.command()
@click.option("--remove", "removed", metavar="NAME", help="Believe this node no longer.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_option
def nodes(removed: str | None, yes: bool, data: Path) -> int:
    """List the nodes that are enrolled: edges, shields, origins, consoles.

    --remove strikes one out, within seconds, and makes the join token of its kind anew: those that are
    enrolled need none. A node that is to come back gets the new token and is started again.
    """
    with Operator(data) as operator:
        found = operator.keys("GET", "/v1/nodes")["nodes"]
        if removed is None:
            now = time.time()
            table = Table("node", "role", "enrolled", "last seen", "key", box=None)
            for node in found:
                enrolled = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(node["enrolled"]))
                table.add_row(
                    node["name"], node["role"], enrolled, _seen(node["last_seen"], now), node["key"]
                )
            print_table(table)
            return 0
        role = next((node["role"] for node in found if node["name"] == removed), None)
        if role is None:
            raise Problem("not_found", f"No node is enrolled as {removed}.")
        if not yes:
            click.confirm(f"{_WARNING[role]}Remove the {role} {removed}?", abort=True, err=True)
        operator.keys("DELETE", f"/v1/nodes/{removed}")
        name = secret_files.ORIGIN_TOKEN if role == "origin" else secret_files.JOIN_TOKEN
        click.echo(f"removed {role} {removed}; others enrol with the new secrets/{name}", err=True)
    return 0


def _seen(at: float | None, now: float) -> str:
    return "never" if at is None else units.human_ago(max(0.0, now - at))
