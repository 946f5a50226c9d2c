"""What commands show of files and titles is what they are called, whatever brackets they hold."""

import io
import re

import pytest
from rich.console import Console

from deploy.commands.media import progress_bar
from deploy.demo.check.progress import step

NAME = "[bold]a[/bold] [/] [link=x].mp4"


def test_a_bar_shows_a_name_with_brackets_as_it_is() -> None:
    shown = Console(width=200, file=io.StringIO())
    bar = progress_bar()
    bar.add_task(f"upload {NAME}", total=1)
    shown.print(bar.get_renderable())
    assert isinstance(shown.file, io.StringIO)
    assert f"upload {NAME}" in shown.file.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_step_shows_a_title_with_brackets_as_it_is(terminal: bool) -> None:
    written = io.StringIO()
    console = Console(width=200, file=written, force_terminal=terminal, color_system=None)
    with step(console, NAME) as tell:
        tell(0.5)
    assert NAME in re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", written.getvalue())
