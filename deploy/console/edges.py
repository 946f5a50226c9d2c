"""What the console tells of every edge and zone: `deploy.stats` over readings taken when somebody looks.

However many browsers ask, edges are read once a second at most. Rates are of the time since the reading
before; after a pause there are none until the next. Nothing here is secret, and an edge of another machine
tells its health alone (`deploy.edge_reading`).
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

from deploy import stats, zone_tops
from deploy.edge_reading import Health, by_edge, client, read_edge_and_health, read_tops
from deploy.gauges import LIVE_S
from keys.client import KeysClient
from keys.problems import Problem

FRESH_S: Final = 1.0
TOP: Final = 6  # objects of a zone
PAUSE_S: Final = 15.0  # a reading older than this is no good for rates

Row = dict[str, Any]


class Edges:
    """The edges at these public addresses; `port_base` is the port base of those on this machine."""

    def __init__(
        self, keys: KeysClient, urls: Sequence[str], port_base: int | None, clock: Callable[[], float]
    ) -> None:
        self._keys = keys
        self._urls = urls
        self._port = port_base
        self._clock = clock
        self._http = client()
        self._reading: stats.Reading | None = None
        self._rows: list[Row] = []
        self._zones: list[Row] = []
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def rows(self) -> list[Row]:
        """One row an edge, as the page shows it; None stands for what is not known."""
        return (await self.rows_and_zones())[0]

    async def rows_and_zones(self) -> tuple[list[Row], list[Row]]:
        """The same, and one row a zone, over all edges that tell of it."""
        async with self._lock:
            last = self._reading
            if last is None or self._clock() - last.at >= FRESH_S:
                await self._read(last)
            return self._rows, self._zones

    async def _read(self, last: stats.Reading | None) -> None:
        places = list(enumerate(self._urls))
        sessions, read, tops = await asyncio.gather(
            self._sessions(),
            asyncio.gather(*(read_edge_and_health(self._http, url, at, self._port) for at, url in places)),
            asyncio.gather(*(read_tops(self._http, url, at, self._port) for at, url in places)),
        )
        now = stats.Reading(self._clock(), [edge for edge, _ in read], None, None, sessions or {})
        before = (
            last if last is not None and now.at - last.at <= PAUSE_S else stats.Reading(0, (), None, None, {})
        )
        edges = stats.edges_now(before, now)
        self._reading = now
        self._rows = [
            row(edge, health, None if sessions is None else sessions.get(health.node, 0))
            for edge, (_, health) in zip(edges, read, strict=True)
        ]
        told = zone_tops.together(tops, TOP)
        self._zones = [{**asdict(zone), "told": told.get(zone.zone)} for zone in stats.zones(before, now)]

    async def _sessions(self) -> dict[str, int] | None:
        try:
            return by_edge(await self._keys.sessions(LIVE_S))
        except Problem:
            return None


def row(edge: stats.EdgeNow, health: Health, sessions: int | None) -> Row:
    """What the page shows of one edge."""
    known = [share for share in (edge.l1_share, edge.l2_share) if share is not None]
    segments = edge.first_byte_s.get("segment", stats.Quantiles(None, None))
    return {
        "address": edge.edge,
        "status": health.status,
        "new_sessions": health.new_sessions,
        "wrong": list(health.wrong),
        "workers": edge.workers,
        "workers_wanted": edge.workers_wanted,
        "sessions": sessions,
        "bytes_per_s": edge.bytes_per_s,
        "hit_ratio": round(sum(known), 4) if known else None,
        "first_byte_p50_s": segments.p50,
        "first_byte_p99_s": segments.p99,
        "origin_requests": edge.origin_requests,
        "refused": edge.refused,
        "failed": edge.failed,
    }
