"""One measured thing: a figure a round, the floor's beside it, the bar it is judged by. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from deploy.bench.figures import Spread, ratios

Verdict = Literal["PASS", "SHORT", ""]


@dataclass(frozen=True, slots=True)
class Bar:
    """What a row has to reach: its ratio to the floor at least, or its own figure at most.

    `of` is what stands in the floor's place.
    """

    ratio_at_least: float | None = None
    at_most: float | None = None
    of: str = "floor"

    def text(self) -> str:
        """`≥ 0.85 of floor`, `≤ 10`."""
        if self.ratio_at_least is not None:
            return f"≥ {self.ratio_at_least:g} of {self.of}"
        return f"≤ {self.at_most:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of the edge in each round; `floor` in the same rounds, or nothing."""

    job: str
    what: str
    unit: str  # of the figures: less is better
    edge: tuple[float, ...]
    floor: tuple[float, ...] = ()
    bar: Bar | None = None
    remark: str = ""

    def ratio(self) -> Spread | None:
        """The floor's part of the edge's figure, round by round; None without a floor."""
        return Spread.of(ratios(self.floor, self.edge)) if self.floor else None

    def verdict(self) -> Verdict:
        """PASS or SHORT by the median; nothing without a bar."""
        if self.bar is None:
            return ""
        if self.bar.ratio_at_least is not None:
            ratio = self.ratio()
            reached = ratio is not None and ratio.median >= self.bar.ratio_at_least
        else:
            reached = self.bar.at_most is not None and Spread.of(self.edge).median <= self.bar.at_most
        return "PASS" if reached else "SHORT"

    def to_json(self) -> dict[str, Any]:
        """All of it, with what follows from it."""
        ratio = self.ratio()
        return {
            **asdict(self),
            "median": Spread.of(self.edge).median,
            "ratio": ratio.median if ratio else None,
            "verdict": self.verdict(),
        }


def short(rows: Sequence[Row]) -> list[str]:
    """What did not reach its bar."""
    return [row.what for row in rows if row.verdict() == "SHORT"]
