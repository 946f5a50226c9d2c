"""An edge that is a cache alone, as an ASGI application: zones, no keys service, no tokens.

ZoneApp([Zone.parse("/=http://127.0.0.1:8000")], name="edge", memory_bytes=512 << 20, now=time.time)
"""

from collections.abc import Callable, Sequence
from typing import Final

from starlette.types import Receive, Scope, Send

from edge.deliver.clients import Network
from edge.http.entry import PLAIN, Rules
from edge.zone.filling import Filling
from edge.zone.serving import Serving
from edge.zone.store import Store
from edge.zone.upstream import Upstream
from edge.zone.zone import Zone

LARGEST_SHARE: Final = 8  # of the memory, the part one body may take


class ZoneApp:
    """Zones and one worker's store."""

    def __init__(
        self,
        zones: Sequence[Zone],
        *,
        name: str,
        memory_bytes: int,
        now: Callable[[], float],
        rules: Rules = PLAIN,
        trusted: Sequence[Network] = (),
        upstream: Upstream | None = None,
    ) -> None:
        self._upstream = upstream or Upstream()
        self.store = Store(memory_bytes, memory_bytes // LARGEST_SHARE)
        self._filling = Filling(self._upstream, self.store, rules, now)
        self._serving = Serving(zones, self._filling, self.store, rules, name=name, now=now, trusted=trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._serving(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._serving.close()
        await self._filling.close()
        await self._upstream.close()
        await send({"type": "lifespan.shutdown.complete"})
