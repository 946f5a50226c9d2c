"""What the check found: each promise with the number measured and what it was held to, as table and as JSON.

The names in FIELDS are what scripts read; one is null when its part was left out or could not be measured.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rich.table import Table

FIELDS: Final[Mapping[str, str]] = {
    "sessions": "sessions that played the whole film at reading pace",
    "distinct_ciphertexts": "different bodies those sessions got of one and the same segment",
    "slices": "slices the stored film consists of",
    "origin_requests": "requests the origin got for it, from all edges together",
    "origin_bytes_ratio": "bytes the origin sent for it, divided by the bytes of the film",
    "frames_ok": "whether every session decoded every frame, and no other, of the packaged film",
    "refused": "kinds of links refused with 403 at every edge, of three: altered, expired, revoked",
    "ripper_media_seconds": "media given to the ripper that came nearest its bound, of 1 and 16 sessions",
    "ripper_media_bound": "what that one may get: burst + 8·jumps + (rate + 0.13)·t",
    "survives_edge_kill": "whether sessions on every edge went on whole when all workers of one were killed",
    "plays_with_origin_down": "whether they, and a new one, played on whole while the origin was stopped",
}
SESSIONS: Final = 20
PARTS: Final = ("showing", "refusals", "ripper", "faults")


class NotShown(Exception):
    """A part could not show what it was to show. The text is a sentence."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise, measured."""

    name: str  # short, for the list of what failed
    promise: str
    ok: bool
    measured: str
    held_to: str


@dataclass
class Report:
    """All findings of one run. `fields` holds the JSON's numbers by the names in FIELDS."""

    fields: dict[str, Any] = field(default_factory=lambda: dict.fromkeys(FIELDS))
    more: dict[str, Any] = field(default_factory=dict)  # beside FIELDS: what was played, on what
    findings: list[Finding] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def found(self, name: str, promise: str, ok: bool, measured: str, held_to: str) -> None:
        """Adds a finding."""
        self.findings.append(Finding(name, promise, ok, measured, held_to))

    def broke(self, name: str, reason: str) -> None:
        """Adds what could not be measured: that is a failure."""
        self.findings.append(Finding(name, "it can be measured", False, reason, ""))

    @property
    def failed(self) -> list[str]:
        """Names of what does not hold, in order, each once."""
        return list(dict.fromkeys(each.name for each in self.findings if not each.ok))

    @property
    def ok(self) -> bool:
        """Whether all holds. Nothing found is not all."""
        return bool(self.findings) and not self.failed

    def to_json(self) -> dict[str, Any]:
        """The one object `--json` prints."""
        seconds = round(time.monotonic() - self.began, 1)
        trouble = {each.name: each.measured for each in self.findings if not each.ok}
        head = {"ok": self.ok, "failed": self.failed, "trouble": trouble, "seconds": seconds}
        return head | self.fields | self.more

    def table(self) -> Table:
        """For people: a mark, the promise, the number, what it was held to."""
        table = Table("", "promise", "measured", "held to", box=None, padding=(0, 2, 0, 0))
        for each in self.findings:
            mark, style = ("✓", "green") if each.ok else ("✗", "bold red")
            table.add_row(f"[{style}]{mark}[/{style}]", each.promise, each.measured, each.held_to)
        return table
