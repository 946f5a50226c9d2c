"""An edge that is a cache alone, as an ASGI application: zones, no keys service, no tokens.

ZoneApp([Zone.parse("/=http://127.0.0.1:8000")], name="edge", memory_bytes=512 << 20, now=time.time)
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from edge.deliver.clients import Network
from edge.zone.at_once import AtOnce, Head, Ready
from edge.zone.checking import Checks
from edge.zone.filling import Filling
from edge.zone.origins import Origins, Outages, alone
from edge.zone.second_level import SecondLevel
from edge.zone.seen import Seen
from edge.zone.serving import Serving
from edge.zone.store import Store
from edge.zone.upstream import Upstream
from edge.zone.zone import Zone
from keys.purge import Purge

LARGEST_SHARE: Final = 8  # of the memory, the part one body may take
_WRONG: Final = {"away": "gives no answer", "resting": "rests after errors"}  # by Origins.state


class ZoneApp:
    """Zones and one worker's store."""

    def __init__(
        self,
        zones: Sequence[Zone],
        *,
        name: str,
        memory_bytes: int,
        now: Callable[[], float],
        trusted: Sequence[Network] = (),
        upstream: Upstream | None = None,
        seen: Seen | None = None,
        second: SecondLevel | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        outage: Outages = alone,
    ) -> None:
        """`now` is the time of day in seconds since the epoch, `monotonic` what durations are measured by;
        `outage` gives what the workers of a node know together of an origin.
        """
        self._zones = tuple(zones)
        self.seen = seen or Seen()
        self.origins = Origins(upstream or Upstream(), seen=self.seen, now=monotonic, outage=outage)
        self._checks = Checks(zones, self.origins)
        self.store = Store(memory_bytes, memory_bytes // LARGEST_SHARE)
        self.ready = AtOnce(self.store, now)
        self._now = now
        self._filling = Filling(self.origins, self.store, now, second)
        self.serving = Serving(
            zones, self._filling, self.store, name=name, now=now, trusted=trusted, seen=self.seen
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        target = (scope["raw_path"], scope["query_string"])
        kept = self.ready.recording(send, scope["method"], target, scope["headers"], scope["scheme"])
        await self.serving(scope, receive, kept)

    def at_once(self, head: Head, scheme: str) -> Ready | None:
        """The answer to a request that is ready (`deploy.http_at_once`)."""
        found = self.ready.find(head, scheme)
        if found is not None:
            self.seen.hit(found.zone, found.shown, found.kept + found.left)
        return found

    async def purge(self, purges: Sequence[Purge] | None) -> int:
        """Does what these purges say to what is kept, and to what is on its way; how many they concerned.

        None makes everything stale. `edge.zone.purges.PurgeFeed` calls it.
        """
        concerned = 0
        for found in self.store.purge(purges, self._now()):
            concerned += found
            await asyncio.sleep(0)
        return concerned

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    def start(self) -> None:
        """Begins what goes on by itself: health checks."""
        self._checks.start()

    def told(self) -> dict[str, dict[str, Any]]:
        """What there is to tell of each zone besides numbers, as JSON (`deploy.zone_tops`)."""
        tops = self.seen.tops()
        for zone in self._zones:
            states = {each.url: self.origins.state(each) for each in zone.origins}
            tops.setdefault(zone.name, {}).update(
                access="signed" if zone.signed else "public",
                origins=states,
                memory_bytes=self.store.bytes_of(zone.name),
            )
        return tops

    def missing(self) -> str | None:
        """For health: of which zones origins are not well, and what that means there; None when all are.

        As this worker knows it. It is said, and makes no edge unhealthy: what is cached is served, and so are
        the other zones and media.
        """
        return ". ".join(said for zone in self._zones if (said := self._missing(zone))) or None

    def _missing(self, zone: Zone) -> str:
        states = [(each.url, self.origins.state(each)) for each in zone.origins]
        wrong = [
            f"{', '.join(named)} {words}"
            for state, words in _WRONG.items()
            if (named := [url for url, known in states if known == state])
        ]
        if not wrong:
            return ""
        well = any(state not in _WRONG for _, state in states)
        wrong.append("the others are asked" if well else "what is cached is served")
        return f"{zone.name}: {'; '.join(wrong)}"

    async def close(self) -> None:
        """Ends what still goes on, and the connections to origins."""
        await self._checks.close()
        await self.serving.close()
        await self._filling.close()
        await self.origins.close()
