"""`sluice settings`: the table of settings, for people or for the README."""

from pathlib import Path

import click
from rich.table import Table

from deploy import settings_table
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
