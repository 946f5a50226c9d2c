"""What the origin was asked for a film, by its own counters, beside what the film consists of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from deploy.demo.check.ground import Ground
from deploy.demo.check.packaged import Packaged
from deploy.demo.check.report import Report
from origin.media.seal import SLICE, TAG

REQUESTS: Final = "sluice_origin_blob_requests_total"
BYTES: Final = "sluice_origin_blob_bytes_total"
TOLERANCE: Final = 0.02  # of the bytes, either way


@dataclass(frozen=True, slots=True)
class Ledger:
    """Requests and bytes of one film at the origin, and the slices and bytes it is stored in."""

    requests: int
    bytes_sent: int
    slices: int
    bytes_stored: int

    @property
    def ratio(self) -> float:
        """Bytes sent for each byte stored."""
        return self.bytes_sent / self.bytes_stored

    def holds(self) -> bool:
        """Whether the origin sent the film once and no more, and was asked for no slice twice."""
        return 0 < self.requests <= self.slices and abs(self.ratio - 1) <= TOLERANCE


def stored_slices(size: int) -> int:
    """How many sealed slices a stored object of so many bytes is."""
    return max(1, -(-size // (SLICE + TAG)))


def between(before: Mapping[str, float], after: Mapping[str, float], stored: Packaged) -> Ledger:
    """What two readings of the origin's counters say about a film nobody had asked for before the first."""
    sizes = [path.stat().st_size for path in stored.played()]
    requests, sent = (int(after.get(name, 0) - before.get(name, 0)) for name in (REQUESTS, BYTES))
    return Ledger(requests, sent, sum(map(stored_slices, sizes)), sum(sizes))


async def reading(ground: Ground) -> dict[str, float]:
    """The origin's counters now."""
    return await ground.counters(str(ground.operator.running.origin))


def tell(report: Report, ledger: Ledger) -> None:
    """Puts it into the report."""
    report.fields["slices"] = ledger.slices
    report.fields["origin_requests"] = ledger.requests
    report.fields["origin_bytes_ratio"] = round(ledger.ratio, 4)
    report.found(
        "origin asked once",
        "the origin is asked once for each slice, by all edges together",
        ledger.holds(),
        f"{ledger.requests} requests, {ledger.ratio:.3f} × the film's bytes",
        f"≤ {ledger.slices} slices, 1 ± {TOLERANCE}",
    )
