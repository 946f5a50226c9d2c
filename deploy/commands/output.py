"""How commands print: tables as wide as the terminal, or unwrapped where a program reads them."""

from typing import Final

from rich.console import Console
from rich.table import Table

FOR_PROGRAMS: Final = 400  # columns: no line of ours is longer


def width() -> int:
    """Columns there are for a line on stdout."""
    console = Console()
    return console.width if console.is_terminal else FOR_PROGRAMS


def print_table(table: Table) -> None:
    """Prints it on stdout."""
    console = Console(markup=False)  # a title or a viewer's ID may hold brackets
    (console if console.is_terminal else Console(width=FOR_PROGRAMS, markup=False)).print(table)
