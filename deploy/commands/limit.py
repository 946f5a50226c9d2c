"""`sluice limit`: how many may watch an asset at once, and how many streams of it each viewer may have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.table import Table

from deploy.commands.operator import Operator
from deploy.commands.options import data_option
from deploy.commands.output import print_table

F = TypeVar("F", bound=Callable[..., Any])

NONE: Final = "none"
_SENTENCES: Final = {
    "streams": "How many sessions of it may be in use at once, of all viewers.",
    "viewer_streams": "How many streams each viewer of it may have in use at once.",
}


class Number(click.ParamType[int | str]):
    """A whole number from 1, or `none`."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """The number, or NONE."""
        if value == NONE:
            return NONE
        if not str(value).isdecimal() or int(value) < 1:
            self.fail("a limit is a whole number from 1, or none", param, ctx)
        return int(value)


def limit_options(function: F) -> F:
    """Adds --streams and --viewer-streams; numbers, NONE, or None where they were not given."""
    for name, sentence in reversed(_SENTENCES.items()):
        flag = f"--{name.replace('_', '-')}"
        function = click.option(flag, name, type=Number(), metavar="N", help=sentence)(function)
    return function


def set_limits(operator: Operator, asset: str, **given: int | str | None) -> dict[str, int]:
    """The limits of an asset after those that were given changed. Problem when keys refuses."""
    wanted = {name: None if value == NONE else value for name, value in given.items() if value is not None}
    path = f"/v1/assets/{asset}/limits"
    found: dict[str, int] = (
        operator.keys("PATCH", path, json=wanted) if wanted else operator.keys("GET", path)
    )
    return found


@click.command()
@click.argument("asset")
@limit_options
@data_option
def limit(asset: str, streams: int | str | None, viewer_streams: int | str | None, data: Path) -> int:
    """Limit how many watch ASSET at once; without options, show its limits. `none` lifts one.

    What is set counts for sessions that begin from now on. A link's own limit counts as well: the smaller
    wins.
    """
    table = Table("limit", "", "meaning", box=None)
    with Operator(data) as operator:
        operator.origin("GET", f"/v1/assets/{asset}")  # a name mistyped is told so
        found = set_limits(operator, asset, streams=streams, viewer_streams=viewer_streams)
    for name, sentence in _SENTENCES.items():
        table.add_row(name.replace("_", "-"), str(found.get(name, NONE)), sentence)
    print_table(table)
    return 0
