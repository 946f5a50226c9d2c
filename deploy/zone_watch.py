"""What a worker of an edge counts, sees and tells of its zones, put together."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from deploy.zone_counters import ZoneCounters
from deploy.zone_tops import Said, Tellings, telling
from edge.zone.origins import Outages
from edge.zone.parts import Parts
from edge.zone.second_level import SecondLevel
from edge.zone.seen import NONE, Seen
from edge.zone.upstream import Upstream
from edge.zone.zone import Zone


class Watched:
    """Of one worker; `directory` is where those of this edge have their counters."""

    def __init__(self, directory: Path, worker: int, zones: Sequence[Zone]) -> None:
        names = [zone.name for zone in zones]
        self.counters = ZoneCounters(
            directory / "zones", worker, [*names, NONE] if names else [], "sluice_edge_"
        )
        self._tellings = Tellings(directory / "told")
        self._seen = Seen(
            names,
            count=self.counters.count,
            first_byte=self.counters.first_byte,
            hit=self.counters.hit,
        )

    def parts(
        self, memory_bytes: int, outage: Outages, second: SecondLevel | None, upstream: Upstream
    ) -> Parts:
        """What the zones of this worker are given."""
        return Parts(memory_bytes, outage, second, upstream, self._seen, self._tellings.together)

    def telling(self, told: Callable[[], Said]) -> AbstractAsyncContextManager[None]:
        """Keeps gauges, and what this worker tells, up to date while entered."""

        def said() -> Said:
            found = told()
            for zone, each in found.items():
                away = sum(state == "away" for state in each["origins"].values())
                self.counters.set("zone_origins_away", away, zone)
                self.counters.set("zone_memory_bytes", each["memory_bytes"], zone)
            return found

        return telling(self._tellings, said)
