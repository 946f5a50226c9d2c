"""docs/operations.md and the code tell of the same metrics, log fields and files."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from deploy import metrics_table
from deploy.assemble import edge_counters, shield_counters
from edge.zone.counters import COUNTERS as ZONE
from keys.counters import COUNTERS as KEYS
from origin.metrics import COUNTERS as ORIGIN

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
NAMES = {row.name for row in metrics_table.rows()}


def test_the_table_of_metrics_is_the_one_of_the_code() -> None:
    written = PAGE.split(metrics_table.BEGIN)[1].split(metrics_table.END)[0].strip()
    assert written == metrics_table.markdown(), "run: sluice metrics --page docs/operations.md"


def test_every_metric_the_page_names_exists() -> None:
    kinds = {row.name: row.kind for row in metrics_table.rows()}
    parts = {f"{name}_bucket" for name, kind in kinds.items() if kind == "histogram"}
    assert set(re.findall(r"\bsluice_[a-z0-9_]+", PAGE)) <= NAMES | parts
    assert all(row.meaning for row in metrics_table.rows())
    assert set(kinds.values()) == {"counter", "gauge", "histogram"}


def counted(package: str) -> Iterator[tuple[str, str]]:
    """(place, name) of every counter the code of a package counts by a name written down there."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("count", "_count", "_counting_refusals") and isinstance(node.args[0].value, str):
                yield f"{path.name}:{node.lineno}", node.args[0].value


def test_every_counter_the_code_counts_is_in_a_table_and_so_on_the_page() -> None:
    tables = {
        "keys": set(KEYS),
        "origin": set(ORIGIN),
        "edge": {*edge_counters(), *shield_counters(), *ZONE},
    }
    for package, table in tables.items():
        found = list(counted(package))
        assert len(found) >= 3, f"nothing of {package} was looked at"
        assert {f"{name} in {place}" for place, name in found if name not in table} == set()


def test_every_log_field_of_a_real_line_is_explained() -> None:
    explained = set(re.findall(r"^\| `([a-z]+)` \|", PAGE.split("## Logs")[1], re.MULTILINE))
    assert {"timestamp", "level", "service", "logger", "event", "exception"} <= explained
