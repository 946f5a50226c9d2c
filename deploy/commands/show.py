"""`sluice settings`, `sluice metrics`: tables of what there is, for people or for the pages of the docs."""

from pathlib import Path

import click
from rich.table import Table

from deploy import metrics_table, settings_table
from deploy.commands.output import print_table
from deploy.settings import ALL


@click.command()
@click.option("--readme", type=click.Path(path_type=Path, exists=True), help="Put the table into this file.")
def settings(readme: Path | None) -> int:
    """List every setting: type, default, who reads it, what it means.

    A flag wins over the SLUICE_* variable, that over sluice.toml in the data directory, that over the
    default.
    """
    if readme:
        settings_table.write_into(readme)
        return 0
    table = Table("setting", "type", "default", "read by", "meaning", box=None, padding=(0, 2, 0, 0))
    for row in settings_table.rows():
        read_by = "all" if len(row.services) == len(ALL) else " ".join(row.services)
        table.add_row(row.name, row.type, row.default, read_by, row.meaning)
    print_table(table)
    return 0


@click.command()
@click.option("--page", type=click.Path(path_type=Path, exists=True), help="Put the table into this file.")
def metrics(page: Path | None) -> int:
    """List every metric that keys, origin and the edges show at /metrics, and what it means."""
    if page:
        metrics_table.write_into(page)
        return 0
    table = Table("metric", "kind", "meaning", box=None, padding=(0, 2, 0, 0))
    for row in metrics_table.rows():
        table.add_row(row.name, row.kind, row.meaning)
    print_table(table)
    return 0
