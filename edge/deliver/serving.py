"""What one worker serves bodies with, segments and downloads alike."""

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter

from edge.deliver.activity import Activity
from edge.deliver.body import Body
from edge.deliver.counters import Count, ignore
from edge.deliver.first_byte import FirstByte
from edge.deliver.needs import Library, Opened
from edge.deliver.turns import Turns
from keys.leases import Lease
from keys.pace import Pace
from keys.problems import Problem
from origin.media.asset import FILE_OBJECT, Download


@dataclass(frozen=True, slots=True)
class Serving:
    """The parts of a worker. `now` is wall seconds, `node` the edge's name in Cache-Status.

    `still_allowed` raises Problem when a session has ended meanwhile; `turns` are for all its large bodies.
    `pace_of` is the pace of a session now: its lease's, or a slower one.
    """

    library: Library
    activity: Activity
    still_allowed: Callable[[Lease], None]
    node: str
    now: Callable[[], float]
    first_byte: FirstByte
    count: Count = ignore
    turns: Turns = field(default_factory=Turns)
    pace_of: Callable[[Lease], Pace] = attrgetter("pace")

    async def open_file(self, lease: Lease, file: Download, wanted: range) -> Opened:
        """A download's stored file, of which these slices are wanted. Problem when it is not as described."""
        opened = await self.library.open(
            lease.tenant, lease.asset, lease.generation, file.rendition, FILE_OBJECT, lease.sk, wanted=wanted
        )
        if opened.length != file.size:
            opened.close()
            raise Problem("bad_upstream", detail=f"{opened.length} bytes, not {file.size} as described")
        return opened

    async def put_of_file(self, lease: Lease, body: Body, piece: memoryview) -> None:
        """Sends a piece of a download, counted as far as it went. Problem when the session has ended."""
        before = body.sent
        if before or body.waited:  # else it was checked a moment ago
            self.still_allowed(lease)
        try:
            await body.put(piece)
        finally:
            self.count("download_bytes", body.sent - before)
            self.activity.progress(lease.sid, body.sent - before)
