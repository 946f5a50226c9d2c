"""What was measured, for people and programs: a table on the terminal, RESULTS.md, JSON. Pure but for
`machine`, which asks what this machine is.
"""

import json
import os
import platform
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from rich.table import Table

from deploy.bench.figures import Spread
from deploy.bench.rows import Row

LIBRARIES: Final = ("cryptography", "uvicorn", "uvloop", "httptools", "redis")

HEADS: Final = ("what", "unit", "edge", "floor", "ratio", "bar", "")


def cells(row: Row) -> tuple[str, ...]:
    """A row's cells under HEADS."""
    digits = 3 if row.unit == "CPU s/GB" else 1
    ratio = row.ratio()
    judged = row.bar is not None and row.bar.ratio_at_least is not None
    return (
        row.what,
        row.unit,
        Spread.of(row.edge).text(digits),
        Spread.of(row.floor).text(digits) if row.floor else "–",
        ratio.text(2) if ratio and (judged or row.bar is None) else "–",
        row.bar.text() if row.bar else "–",
        row.verdict(),
    )


def table(rows: Sequence[Row]) -> Table:
    """The rows for a terminal."""
    found = Table(*HEADS, box=None)
    for row in rows:
        found.add_row(*cells(row))
    return found


def markdown(rows: Sequence[Row], circumstances: Mapping[str, str]) -> str:
    """RESULTS.md."""
    lines = [
        "# Benchmark results",
        "",
        "Written by `make bench`; docs/benchmarks.md says how to read it.",
        "",
    ]
    lines += [f"* {name}: {value}" for name, value in circumstances.items()]
    lines += ["", "| " + " | ".join(HEADS) + " |", "|" + "---|" * len(HEADS)]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows]
    remarks = [f"* {row.what}: {row.remark}" for row in rows if row.remark]
    return "\n".join([*lines, "", *remarks, ""])


def as_json(rows: Sequence[Row], circumstances: Mapping[str, str]) -> str:
    """Everything, every round included."""
    return json.dumps(
        {**circumstances, "rows": [row.to_json() for row in rows]}, indent=2, ensure_ascii=False
    )


def machine(command: str, root: Path) -> dict[str, str]:
    """Date, commit, machine, versions and command."""
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    one_minute = os.getloadavg()[0]
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": _commit(root),
        "machine": f"{cpu[1] if cpu else platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"Linux {platform.release()}, load {one_minute:.1f} before the start",
        "versions": ", ".join(
            [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in LIBRARIES)]
        ),
        "command": command,
    }


def _commit(root: Path) -> str:
    told = subprocess.run(
        ["git", "-C", str(root), "describe", "--always", "--dirty"],
        check=False,
        capture_output=True,
        text=True,
    )
    return told.stdout.strip() or "unknown"
