"""What a row of numbers says: medians with least and greatest, ratios of rounds, percentiles. Pure."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, and between what it lies."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of one value a round. ValueError for none."""
        if not values:
            raise ValueError("a spread of no values")
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int = 3) -> str:
        """`0.752 (0.741–0.760)`."""
        return f"{self.median:.{digits}f} ({self.least:.{digits}f}–{self.most:.{digits}f})"


def ratios(floor: Sequence[float], edge: Sequence[float]) -> list[float]:
    """What part of its cost the floor would have: 1 is as cheap as the floor. One ratio a round."""
    return [a / b for a, b in zip(floor, edge, strict=True)]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of the values do not exceed: the nearest rank. ValueError for none."""
    if not values:
        raise ValueError("a percentile of no values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
