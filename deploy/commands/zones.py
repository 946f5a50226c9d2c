"""`sluice zones`: which zones are configured, and whether their file can be used."""

import json
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from deploy.commands.options import settings_from
from deploy.commands.output import print_table
from deploy.layers import SettingError
from deploy.zones_file import zones_of
from edge.zone.zone import Origin, Zone


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--data", metavar="PATH", help="Data directory, whose sluice.toml may name the file.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list on stdout.")
def zones(file: Path | None, data: str | None, as_json: bool) -> int:
    """Check a file of zones, and list what is in it: FILE, or the one the setting `zones` names.

    Exits with 2 and says what is wrong where it cannot be used. Edges read it when their workers start:
    `sluice restart` has them read it again.
    """
    settings = settings_from({"data": data, "zones": str(file) if file else None})
    if settings.zones is None:
        raise SettingError(
            "zones: no file is named; give one, or set `zones` (docs/zones.md has an example)."
        )
    found = zones_of(settings)
    if as_json:
        click.echo(json.dumps([_row(zone) for zone in found]))
        return 0
    table = Table("zone", "access", "at", "origins", "query", "passed on", box=None, padding=(0, 2, 0, 0))
    for row in map(_row, found):
        table.add_row(
            row["name"],
            row["access"],
            " ".join(row["at"]),
            " ".join([*row["origins"], *(f"through {url}" for url in row["through"])]),
            row["query"] if isinstance(row["query"], str) else " ".join(row["query"]),
            " ".join([*row["methods"], *row["forward"]]),
        )
    print_table(table)
    return 0


def zone_here(name: str, data: Path) -> Zone | None:
    """The zone of that name. UsageError where the zones of this machine are known, and this is none of them.

    Where they are not, keys has what edges say (`keys.zone_names`). A broken file stops nothing.
    """
    try:
        settings = settings_from({"data": str(data)})
        found = {zone.name: zone for zone in zones_of(settings)}
    except SettingError:
        return None
    if found and name not in found:
        raise click.UsageError(f"{settings.zones} has no zone {name}; there are {', '.join(found)}.")
    return found.get(name)


def _row(zone: Zone) -> dict[str, Any]:
    query: str | list[str] = "all" if zone.query is None else list(zone.query) or "none"
    return {
        "name": zone.name,
        "access": "signed" if zone.signed else "public",
        "at": [zone.prefix, *zone.hosts],
        "origins": [_url(origin) for origin in zone.origins if not origin.shield_of],
        "through": [_url(origin) for origin in zone.origins if origin.shield_of],
        "query": query,
        "methods": sorted(zone.methods),
        "forward": sorted(field.decode() for field in zone.forward),
    }


def _url(origin: Origin) -> str:
    return f"{origin.scheme}://{origin.authority.decode()}"
