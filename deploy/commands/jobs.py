"""`sluice jobs`: the queue of ingest, and cancelling and retrying what is in it."""

import json
from pathlib import Path
from typing import Any, Final

import click
from rich.table import Table

from deploy import units
from deploy.commands.operator import Operator
from deploy.commands.options import data_option
from deploy.commands.output import print_table
from keys.names import asset_id

_ASK: Final = {"cancel": "cancelled", "retry": "queued again"}
_own_data = click.option(
    "--data",
    "own_data",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Data directory, as before it.",
)


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one line.")
@data_option
@click.pass_context
def jobs(context: click.Context, as_json: bool, data: Path) -> int:
    """List what is being ingested, waits for it, failed or was cancelled, the one that waits longest first.

    `sluice jobs cancel ID` stops one, wherever it is worked on; `sluice jobs retry ID` puts it in line again.
    """
    context.obj = data
    if context.invoked_subcommand is not None:
        return 0
    with Operator(data) as operator:
        found = operator.origin("GET", "/v1/jobs")
    if as_json:
        click.echo(json.dumps(found))
        return 0
    table = Table("asset", "state", "progress", "speed", "left", "attempts", "worker", "error", box=None)
    for job in found["jobs"]:
        table.add_row(*_cells(job))
    print_table(table)
    return 0


@jobs.command()
@click.argument("asset", metavar="ID")
@_own_data
@click.pass_obj
def cancel(data: Path, asset: str, own_data: Path | None) -> int:
    """Stop the ingest of asset ID. Its uploaded file stays until the asset is removed."""
    return _asked(own_data or data, asset, "cancel")


@jobs.command()
@click.argument("asset", metavar="ID")
@_own_data
@click.pass_obj
def retry(data: Path, asset: str, own_data: Path | None) -> int:
    """Put asset ID, which failed or was cancelled, in line again."""
    return _asked(own_data or data, asset, "retry")


def _asked(data: Path, asset: str, what: str) -> int:
    with Operator(data) as operator:
        operator.origin("POST", f"/v1/assets/{asset_id(asset)}/{what}")
    click.echo(f"{asset} is {_ASK[what]}", err=True)
    return 0


def _cells(job: dict[str, Any]) -> tuple[str, ...]:
    running = job["state"] == "ingesting"
    return (
        job["asset"],
        job["state"],
        f"{job['progress']:.0%}" if running else "",
        f"{job['rate']:.1f} × real time" if running and job["rate"] else "",
        units.human_clock(job["eta_s"]) if running and job["eta_s"] is not None else "",
        str(job["attempts"]) if job["attempts"] else "",
        job["worker"],
        job["error"],
    )
