"""What whoever assembles an edge gives its zones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edge.zone.origins import Outages, alone
from edge.zone.second_level import SecondLevel
from edge.zone.seen import Seen
from edge.zone.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Parts:
    """Of one worker."""

    memory_bytes: int = 64 << 20  # for what it keeps of them
    outage: Outages = alone  # what the workers of this edge know together of an origin
    second: SecondLevel | None = None  # what all edges share
    upstream: Upstream | None = None  # asks origins
    seen: Seen = field(default_factory=Seen)
    told: Callable[[], Mapping[str, object]] = dict  # what all workers tell of them, as JSON
