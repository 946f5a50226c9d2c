"""How many leases an edge asks for, of how many assets, and when that is far more than its usual.

A captured edge can read what its live sessions watch; one that asks for all it can is noticed (SECURITY 3.5).
Counted a minute at a time, by edge; the usual is a moving average of the minutes before, never below what
any edge may ask for. Pure: the time comes in, an alarm goes out, once a minute and edge.
"""

from dataclasses import dataclass, field
from typing import Final

MINUTE_S: Final = 60.0
TIMES: Final = 3.0  # the usual: beyond it is an alarm
WEIGHT: Final = 1 / 30  # of a minute in the moving average
LEAST_LEASES: Final = 100.0  # a minute, taken for usual of any edge: restarts and crowds
LEAST_ASSETS: Final = 20.0


@dataclass(slots=True)
class _Edge:
    minute: int
    leases: int = 0
    assets: set[str] = field(default_factory=set)
    usual_leases: float = LEAST_LEASES
    usual_assets: float = LEAST_ASSETS
    alarmed: bool = False


class Fanout:
    """The counts of all edges."""

    def __init__(self) -> None:
        self._edges: dict[str, _Edge] = {}

    def note(self, edge: str, asset: str, now: float) -> str | None:
        """One lease given. What is to be told when it is the one too many of its minute, else None."""
        minute = int(now // MINUTE_S)
        seen = self._edges.setdefault(edge, _Edge(minute))
        if minute != seen.minute:
            self._turn(seen, minute)
        seen.leases += 1
        seen.assets.add(asset)
        much = seen.leases > TIMES * seen.usual_leases or len(seen.assets) > TIMES * seen.usual_assets
        if not much or seen.alarmed:
            return None
        seen.alarmed = True
        return (
            f"edge {edge} took {seen.leases} leases of {len(seen.assets)} assets within a minute; "
            f"usual are {seen.usual_leases:.0f} of {seen.usual_assets:.0f} at most"
        )

    @staticmethod
    def _turn(seen: _Edge, minute: int) -> None:
        """The minute is over: what was seen becomes part of the usual. A clock set back begins anew too."""
        leases, assets = float(seen.leases), float(len(seen.assets))
        seen.usual_leases = max(LEAST_LEASES, seen.usual_leases + WEIGHT * (leases - seen.usual_leases))
        seen.usual_assets = max(LEAST_ASSETS, seen.usual_assets + WEIGHT * (assets - seen.usual_assets))
        seen.minute, seen.leases, seen.assets, seen.alarmed = minute, 0, set(), False
