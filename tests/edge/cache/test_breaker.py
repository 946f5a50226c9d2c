"""When a failing dependency is tried again."""

from pathlib import Path
from typing import Any

import pytest

from edge.cache.breaker import Breaker, Outage, PrivateOutage, SharedOutage


def test_it_opens_after_the_limit_of_failures_in_a_row(clock: Any) -> None:
    breaker = Breaker(3, 5.0, clock)
    breaker.failure()
    breaker.failure()
    breaker.success()
    for _ in range(2):
        breaker.failure()
        assert breaker.closed
        assert breaker.allow()
    breaker.failure()
    assert not breaker.closed
    assert not breaker.allow()


def test_one_caller_a_pause_may_try_and_its_success_closes_it(clock: Any) -> None:
    breaker = Breaker(1, 5.0, clock)
    breaker.failure()
    assert breaker.retry_in_s() == 5.0
    clock.time += 5.0
    assert [breaker.allow() for _ in range(3)] == [True, False, False]
    breaker.failure()
    clock.time += 4.9
    assert not breaker.allow()
    clock.time += 0.2
    assert breaker.allow()
    breaker.success()
    assert [breaker.allow() for _ in range(3)] == [True] * 3
    assert breaker.retry_in_s() == 0.0


def test_f10_the_spread_keeps_workers_out_of_step(clock: Any) -> None:
    times = set()
    for _ in range(20):
        breaker = Breaker(1, 1.0, clock, spread=0.5)
        breaker.failure()
        times.add(breaker.retry_in_s())
    assert len(times) > 1
    assert all(1.0 <= t <= 1.5 for t in times)


def opened(clock: Any, outage: Outage | None = None) -> Breaker:
    breaker = Breaker(5, 5.0, clock, outage=outage)
    for _ in range(5):
        assert breaker.allow()
        breaker.failure()
    assert not breaker.closed
    return breaker


@pytest.fixture(params=["private", "shared"])
def outages(request: pytest.FixtureRequest, tmp_path: Path) -> list[Outage]:
    """What eight workers have: one object, or each its view of one file."""
    if request.param == "private":
        return [PrivateOutage()] * 8
    return [SharedOutage(tmp_path / "outage") for _ in range(8)]


def test_f1_workers_that_share_an_outage_try_once_a_pause_between_them(
    clock: Any, outages: list[Outage]
) -> None:
    breakers = [opened(clock, outage) for outage in outages]
    tries = 0
    for _ in range(20):
        clock.time += 1
        for breaker in breakers:
            if breaker.allow():
                tries += 1
                breaker.failure()
    assert tries == 4


def test_f1_an_answer_to_one_worker_closes_the_breakers_of_all(clock: Any, outages: list[Outage]) -> None:
    breakers = [opened(clock, outage) for outage in outages]
    clock.time += 5
    assert breakers[0].allow()
    assert not breakers[1].allow()
    breakers[0].success()
    assert all(breaker.allow() and breaker.closed for breaker in breakers)


def test_moments_of_before_a_reboot_are_no_reason_to_wait(clock: Any, outages: list[Outage]) -> None:
    outages[0].tried = outages[0].answered = clock.time + 1e6
    breaker = opened(clock, outages[0])
    assert not breaker.allow()
    clock.time += 5
    assert breaker.allow()
