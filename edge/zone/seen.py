"""What one worker sees of its zones: counts, how long origins take, and what is asked for most.

An object is named by its path below the zone, and by its query only where the zone is public and lists the
parameters that count: no token, and nothing a client wrote of its own accord, is ever told on.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from edge.zone.top import Lately
from edge.zone.zone import Zone

HALF_S: Final = 300.0  # what is asked for most is of the last five to ten minutes
LONGEST: Final = 256  # characters of an object's name; those of longer ones that begin alike are one
TOLD: Final = 50  # objects of a zone that a worker tells of, by requests and by bytes
NONE: Final = "-"  # what no zone was found for; no zone is called so

ZoneCount = Callable[[str, int, str], None]  # name, by how much, of which zone
FirstByte = Callable[[str, float], None]  # zone, seconds

Hit = Callable[[str, int], None]  # zone, bytes


def ignore(name: str, by: int, zone: str) -> None:
    """Counts nothing: for tools and tests that do not ask."""


def ignore_time(zone: str, seconds: float) -> None:
    """Observes nothing."""


class Seen:
    """One worker's view. `now` is monotonic seconds."""

    def __init__(
        self,
        zones: Iterable[str] = (),
        *,
        count: ZoneCount = ignore,
        first_byte: FirstByte = ignore_time,
        hit: Hit | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`zones` are those whose objects are told apart; of others there are counts alone.

        `hit` counts an answer that was ready, in one go; without one it is counted as any other.
        """
        self.count, self.first_byte, self._now = count, first_byte, now
        self._hit = hit or self._counted
        self._requests = {zone: Lately(HALF_S, now()) for zone in zones}
        self._bytes = {zone: Lately(HALF_S, now()) for zone in self._requests}

    def came(self, zone: str, size: int) -> None:
        """So many bytes of a body came from an origin."""
        self.count("zone_origin_bytes", size, zone)

    def sent(self, zone: str, shown: str, size: int) -> None:
        """An answer about an object is out, with a body of so many bytes."""
        requests = self._requests.get(zone)
        if requests is not None:
            requests.now.add(shown)
            self._bytes[zone].now.add(shown, size)

    def hit(self, zone: str, shown: str, size: int) -> None:
        """All there is to be seen of an answer that was ready."""
        self._hit(zone, size)
        self.sent(zone, shown, size)

    def _counted(self, zone: str, size: int) -> None:
        self.count("zone_requests", 1, zone)
        self.count("zone_hits", 1, zone)
        self.count("zone_bytes", size, zone)

    def tops(self) -> dict[str, dict[str, Any]]:
        """What is asked for most of each zone, as JSON: `objects` are [name, at least, off by at most]."""
        now, told = self._now(), {}
        for zone, requests in self._requests.items():
            told[zone] = {"requests": _told(requests, now), "bytes": _told(self._bytes[zone], now)}
        return told


def shown(zone: Zone, path: str, query: str) -> str:
    """What an object is called to operators."""
    named = f"{path}?{query}" if query and not zone.signed and zone.query is not None else path
    return named if len(named) <= LONGEST else f"{named[: LONGEST - 1]}…"


def _told(lately: Lately, now: float) -> dict[str, int | Sequence[Sequence[object]]]:
    lately.turn(now)
    return {"total": lately.total, "objects": [list(each) for each in lately.heaviest(TOLD)]}
