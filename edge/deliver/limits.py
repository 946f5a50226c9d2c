"""What a link's own limits mean for one request of its session, around the endpoint that answers it.

Only sessions whose link (or site) sets limits come here (`keys.limits`); the others pay nothing for them.
"""

from collections.abc import Awaitable, Callable

from starlette.types import Send

from edge.deliver.path import Kind, Route
from edge.deliver.streams import PlaceStore, Streams
from keys.leases import Lease

LimitStore = PlaceStore
Serve = Callable[[Send], Awaitable[int]]


class LinkLimits:
    """The limits of all sessions one worker serves."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def serve(self, lease: Lease, route: Route, send: Send, answer: Serve) -> int:
        """What `answer` gives, within the limits. Problem limit when one of them is reached."""
        await self._streams.heartbeat(lease, begins=route.kind is Kind.MULTIVARIANT)
        with self._streams.under_way(lease):
            return await answer(send)

    async def leave(self, lease: Lease) -> None:
        """The player of this session says that it stops."""
        await self._streams.leave(lease)

    async def run(self) -> None:
        """Background work until cancelled."""
        await self._streams.run()
