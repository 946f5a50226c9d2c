"""When a failing dependency is tried again."""

from typing import Any

from edge.cache.breaker import Breaker


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
