"""Command-line options: one for every setting a service reads, made from the table; and --data for the
others.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from deploy.layers import SettingError, load
from deploy.settings import Settings
from deploy.settings_table import Row, rows_for

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


STORED: Final = ("data", "config", "catalogue-database", "keys-database", "blobs")


def setting_options(service: str | None, *, but: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Adds an option for every setting of this service (None: all); they arrive as keyword arguments."""

    def add(function: F) -> F:
        for row in reversed(rows_for(service)):
            if row.name not in but:
                function = _option(row)(function)
        return function

    return add


def storage_options(function: F) -> F:
    """Adds an option for every setting that says where things lie; they arrive as keyword arguments."""
    for row in reversed(rows_for(None)):
        if row.name in STORED:
            function = _option(row)(function)
    return function


def settings_from(given: dict[str, Any], defaults: dict[str, Any] | None = None) -> Settings:
    """The settings in force for what was given on the command line. SettingError."""
    return load(given, os.environ, defaults)


def data_option(function: F) -> F:
    """Adds --data; it arrives as `data`, a Path."""

    def chosen(_: click.Context, __: click.Parameter, value: str | None) -> Path:
        # Commands need only this one setting, and must work beside settings meant for others.
        return Path(value or os.environ.get("SLUICE_DATA") or Settings.model_fields["data"].default)

    return click.option(
        "--data", metavar="PATH", callback=chosen, help="Data directory. [SLUICE_DATA; data]"
    )(function)


def parsed(parse: Callable[[T], Any], text: T, name: str) -> Any:
    """What `parse` makes of an option's text; its ValueError becomes a sentence that names the option."""
    try:
        return parse(text)
    except ValueError as error:
        raise SettingError(f"--{name}: {error}.") from error


def _option(row: Row) -> Callable[[F], F]:
    shown = f"{row.meaning[:1].upper()}{row.meaning[1:]}." + (f" [{row.default}]" if row.default else "")
    if row.type == "yes/no":
        return click.option(f"--{row.name}/--no-{row.name}", row.attribute, default=None, help=shown)
    kind = row.type.upper().replace(" ", "-")
    return click.option(f"--{row.name}", row.attribute, metavar=kind, help=shown)
