"""The command behind `make bench`: `python -m deploy.bench [--only NAME] [--rounds N] [--json FILE]`.

Exits with 0 also when a bar was not reached: figures are no tests. With 1 when a body was wrong, or something
did not run.
"""

import asyncio
import dataclasses
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import uvloop
from rich.console import Console

from deploy.bench import report
from deploy.bench.jobs import JOBS
from deploy.bench.load import Broken
from deploy.bench.rig import Size, running
from deploy.bench.rows import Row, short
from deploy.bench.viewers import WrongAnswer
from deploy.layers import SettingError
from deploy.supervise import ChildFailed
from keys.problems import Problem

ROOT: Final = Path(__file__).parent.parent.parent
RESULTS: Final = ROOT / "deploy" / "bench" / "RESULTS.md"


@click.command()
@click.option(
    "--only", "names", multiple=True, type=click.Choice(list(JOBS)), help="This job; may be repeated."
)
@click.option("--rounds", type=click.IntRange(1, 99), default=Size().rounds, help=f"[{Size().rounds}]")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Every figure of every round.")
@click.option("--port-base", type=int, help="First port; otherwise free ones.")
def main(names: tuple[str, ...], rounds: int, json_file: Path | None, port_base: int | None) -> None:
    """Measure Sluice beside a bare server. All jobs together write deploy/bench/RESULTS.md."""
    size = dataclasses.replace(Size(), rounds=rounds)
    command = "make bench" if not sys.argv[1:] else "python -m deploy.bench " + " ".join(sys.argv[1:])
    circumstances = report.machine(command, ROOT)
    console = Console()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            rows = runner.run(bench(names or tuple(JOBS), size, console, port_base))
    except (WrongAnswer, Broken, SettingError, ChildFailed, Problem, TimeoutError) as error:
        raise click.ClickException(str(error) or "Something did not answer in time.") from error
    console.print(report.table(rows))
    if json_file:
        json_file.write_text(report.as_json(rows, circumstances) + "\n")
    if not names:
        RESULTS.write_text(report.markdown(rows, circumstances))
        console.print(f"Written to {RESULTS.relative_to(ROOT)}.")
    missed = short(rows)
    console.print(f"SHORT: {'; '.join(missed)}." if missed else "Every bar was reached.")


async def bench(
    names: Sequence[str], size: Size, console: Console, port_base: int | None = None
) -> list[Row]:
    """The rows of these jobs."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        async with running(Path(folder), size, port_base) as rig:
            for name in names:
                with console.status(f"{name} …"):
                    rows += await JOBS[name](rig)
    return rows


if __name__ == "__main__":
    main()
