"""Does a figure grow with time? A straight line through samples, and how sure it is (SECURITY F34). Pure."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SURE: Final = 1.645  # standard errors: one-sided 95 %


@dataclass(frozen=True, slots=True)
class Trend:
    """What the line through the samples says."""

    first: float  # of the line, at the first sample
    growth: float  # from the first sample to the last, on the line
    at_least: float  # the growth that 95 % are sure of; below zero when it may be none

    @classmethod
    def of(cls, moments: Sequence[float], figures: Sequence[float]) -> "Trend":
        """From three samples or more, taken at moments that differ."""
        line = statistics.linear_regression(moments, figures)
        middle = statistics.fmean(moments)
        spread = sum((moment - middle) ** 2 for moment in moments)
        missed = sum(
            (figure - line.slope * moment - line.intercept) ** 2
            for moment, figure in zip(moments, figures, strict=True)
        )
        error = math.sqrt(missed / (len(moments) - 2) / spread)
        length = moments[-1] - moments[0]
        first = line.intercept + line.slope * moments[0]
        return cls(first, line.slope * length, (line.slope - SURE * error) * length)
