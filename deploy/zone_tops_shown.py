"""What zones are asked for most, and how their origins are, for people on a terminal. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from deploy.units import human_bytes

TOP: Final = 6  # objects of a zone
GAP: Final = 2
UNREADABLE: Final = "\N{REPLACEMENT CHARACTER}"

Heaviest = tuple[str, str, Callable[[float], str]]

_KINDS: Final[tuple[Heaviest, ...]] = (
    ("requests", "asked for most lately", lambda weight: f"{weight:,.0f}"),
    ("bytes", "most bytes lately", human_bytes),
)


def shown(told: Mapping[str, Mapping[str, Any]]) -> Iterator[Text | Table]:
    """Of each zone a line with its origins, and tables of its heaviest objects, `told` as by zone_tops."""
    for zone, said in told.items():
        origins = "  ".join(f"{url} {state}" for url, state in said["origins"].items())
        yield Text("")
        yield Text(readable(f"{zone} ({said['access']})  {origins}"), style="bold")
        objects = [each for each in _KINDS if said[each[0]]["objects"]]
        if not objects:
            yield Text("nothing in the last minutes")
        for kind in objects:
            yield _table(kind, said[kind[0]])


def readable(text: str) -> str:
    """The text without what a terminal would take for a command."""
    return "".join(each if each.isprintable() else UNREADABLE for each in text)


def _table(kind: Heaviest, said: Mapping[str, Any]) -> Table:
    _, title, number = kind
    found = Table(box=None, padding=(0, GAP, 0, 0))
    found.add_column("", justify="right", no_wrap=True, min_width=9)
    found.add_column("", justify="right", no_wrap=True, min_width=7)
    found.add_column(title, no_wrap=True, overflow="ellipsis")
    for name, least, _ in said["objects"][:TOP]:
        share = f"{100 * least / said['total']:.1f} %" if said["total"] else "–"
        found.add_row(number(least), share, Text(readable(name)))
    return found
