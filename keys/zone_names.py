"""Which zones nodes have, as each says with every poll of the log of purges. Pure.

Keys has no zones. So that a purge of one that nobody has does not pass for a purge, it remembers what those
said who asked lately; who has not said leaves it open. Nothing depends on it but a sentence.
"""

import re
from typing import Final

HEARD_S: Final = 60.0  # nodes poll every few seconds
MOST_SAID: Final = 4000  # characters of all names; a node with more does not say
LISTED: Final = 20  # names in a sentence

_ZONE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


def is_name(text: str) -> bool:
    """Whether a zone can have this name."""
    return _ZONE.fullmatch(text) is not None


class ZoneNames:
    """What nodes said. Times are seconds since the epoch."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[float, frozenset[str] | None]] = {}  # None: it does not say

    def said(self, node: str, names: str | None, now: float) -> None:
        """An enrolled node that has these, `a,b,c`, asked; None: it did not say."""
        found = None if names is None or len(names) > MOST_SAID else frozenset(names.split(","))
        self._of[node] = now, found if found and all(map(is_name, found)) else None

    def listed(self, now: float) -> list[dict[str, object]]:
        """Each zone somebody said lately that it has: `{name, nodes}`, sorted."""
        by_zone: dict[str, list[str]] = {}
        for node, (at, names) in sorted(self._of.items()):
            for name in names or () if now - at <= HEARD_S else ():
                by_zone.setdefault(name, []).append(node)
        return [{"name": name, "nodes": by_zone[name]} for name in sorted(by_zone)]

    def warning(self, zone: str, now: float) -> str:
        """A sentence when all that ask have said, and none has this zone; else nothing."""
        self._of = {node: each for node, each in self._of.items() if now - each[0] <= HEARD_S}
        known: set[str] = set()
        for _, names in self._of.values():
            if names is None or zone in names:
                return ""
            known |= names
        if not known:
            return ""
        listed = sorted(known)
        more = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
        return f"No edge has a zone of that name; there are {', '.join(listed[:LISTED])}{more}."
