"""What the limits of a link, and of its asset, mean for one request of a session, around what answers it.

Only sessions whose link, asset or site sets limits come here (`keys.limits`, `keys.asset_limits`); the others
pay nothing for them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from starlette.types import Send

from edge.deliver.answer import Request
from edge.deliver.clients import nowhere
from edge.deliver.device import check_device
from edge.deliver.meter import Meter, MeterStore
from edge.deliver.path import Kind, Route
from edge.deliver.streams import PlaceStore, Streams
from keys.leases import Lease
from keys.problems import Problem

BEGINS: Final = (Kind.MULTIVARIANT, Kind.MANIFEST)  # what a player asks for first
METERED: Final = (Kind.SEGMENT, Kind.DOWNLOAD)

Serve = Callable[[Send], Awaitable[int]]


class LimitStore(PlaceStore, MeterStore, Protocol):
    """Where all of it is counted; `edge.deliver.limit_stores` has two."""


class LinkLimits:
    """The limits of all sessions one worker serves."""

    def __init__(
        self,
        streams: Streams,
        asset_streams: Streams,
        meter: Meter,
        country_of: Callable[[str], str] = nowhere,
    ) -> None:
        """`streams` counts by viewer, `asset_streams` by asset.

        `country_of` says where an address is, "" when it does not know.
        """
        self._country_of = country_of
        self._streams = streams
        self._asset_streams = asset_streams
        self._meter = meter

    async def serve(self, lease: Lease, route: Route, request: Request, send: Send, answer: Serve) -> int:
        """What `answer` gives, within the limits. Problem limit when one of them is reached."""
        if lease.limits.device:
            check_device(request.headers, lease.cookie)
        if lease.limits.countries:
            self._check_country(lease, request)
        await self._heartbeat(lease, begins=route.kind in BEGINS)
        with self._streams.under_way(lease), self._asset_streams.under_way(lease):
            if route.kind not in METERED or (lease.limits.budget is None and lease.limits.speed is None):
                return await answer(send)
            async with self._meter.measured(lease, send) as measured:
                return await answer(measured)

    async def _heartbeat(self, lease: Lease, *, begins: bool) -> None:
        """The viewer's place first: who is over his own limit takes none of the asset's."""
        await self._streams.heartbeat(lease, begins=begins)
        if lease.asset_streams is None:
            return
        try:
            await self._asset_streams.heartbeat(lease, begins=begins)
        except Problem:
            await self._streams.leave(lease)  # he does not play: the place is for another of his
            raise

    def _check_country(self, lease: Lease, request: Request) -> None:
        country = self._country_of(request.client)
        if country not in lease.limits.countries:
            raise Problem("limit", limit="country", detail=f"from {country or 'an unknown country'}")

    async def leave(self, lease: Lease) -> None:
        """The player of this session says that it stops."""
        await self._streams.leave(lease)
        await self._asset_streams.leave(lease)

    async def run(self) -> None:
        """Background work until cancelled."""
        await asyncio.gather(self._streams.run(), self._asset_streams.run())
