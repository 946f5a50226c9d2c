"""What the check tells while it runs, on stderr: a bar for each part, or a line where nobody watches."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

Tell = Callable[[float], None]


@contextmanager
def step(console: Console, title: str) -> Iterator[Tell]:
    """Shows a part of the check while entered; the function given tells how much of it is done, 0 to 1."""
    if not console.is_terminal:
        console.print(f"{title} …", soft_wrap=True, markup=False, highlight=False)
        yield lambda done: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=1.0)
        yield lambda done: progress.update(task, completed=done)
        progress.update(task, completed=1.0)
