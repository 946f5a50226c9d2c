"""What grows is found, and what only wavers is not."""

import random

import pytest

from tests.support.slope import Trend


@pytest.mark.parametrize("leak", [0.0, 2.0])
def test_a_leak_is_told_from_noise(leak: float) -> None:
    noise = random.Random(34)
    moments = [float(n) for n in range(300)]
    figures = [1000 + leak * moment + noise.gauss(0, 20) for moment in moments]
    trend = Trend.of(moments, figures)
    assert trend.growth == pytest.approx(299 * leak, abs=20)
    assert (trend.at_least > 500) == (leak > 0)
    assert trend.at_least <= trend.growth
