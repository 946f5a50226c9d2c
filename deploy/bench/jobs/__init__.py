"""The jobs of the benchmark, one file each: `async def run(rig) -> list[Row]`."""

from collections.abc import Awaitable, Callable
from typing import Final

from deploy.bench.jobs import (
    crowd,
    herd,
    idle,
    layers,
    overload,
    plain,
    protections,
    refused,
    revoke,
    segments,
    small,
    zones,
)
from deploy.bench.rig import Rig
from deploy.bench.rows import Row

JOBS: Final[dict[str, Callable[[Rig], Awaitable[list[Row]]]]] = {
    "aes": segments.run,
    "plain": plain.run,
    "ece": plain.run_protected,
    "protections": protections.run,
    "small": small.run,
    "crowd": crowd.run,
    "herd": herd.run,
    "idle": idle.run,
    "revoke": revoke.run,
    "refused": refused.run,
    "zones": zones.run,
    "layers": layers.run,
    "overload": overload.run,
}
