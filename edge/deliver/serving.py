"""What one worker serves bodies with, segments and downloads alike."""

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter

from edge.deliver.activity import Activity
from edge.deliver.counters import Count, ignore
from edge.deliver.first_byte import FirstByte
from edge.deliver.needs import Library
from edge.deliver.turns import Turns
from keys.leases import Lease
from keys.pace import Pace


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
