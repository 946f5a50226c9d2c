"""When an origin is asked, rests or is left alone; in which order; and how much is sent twice."""

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cache.breaker import PrivateOutage
from edge.zone.budget import FLOOR, SHARE, WINDOW_S, Budget
from edge.zone.health import LIMIT, LONGEST_PAUSE_S, PAUSE_S, UNWELL, Health, Standing, order


@dataclass
class Now:
    moment: float = 100.0

    def __call__(self) -> float:
        return self.moment


def failing(now: Now, times: int = LIMIT) -> Health:
    health = Health(now)
    for _ in range(times):
        assert health.begin()
        health.failed()
    return health


def test_an_origin_is_away_after_failures_in_a_row_only() -> None:
    now = Now()
    health = failing(now, LIMIT - 1)
    health.answered(200)
    for _ in range(LIMIT - 1):
        assert not health.failed() and health.standing() is Standing.READY
    assert health.failed(), "said once"
    assert health.standing() is Standing.AWAY and not health.failed()


def test_while_it_is_away_one_may_probe_in_a_pause() -> None:
    now = Now()
    health = failing(now)
    for _ in range(10):
        assert health.standing() is Standing.AWAY and not health.begin()
        assert 0 < health.asked_again_in_s() <= PAUSE_S
        now.moment += PAUSE_S
        assert health.standing() is Standing.PROBE and health.begin() and not health.begin()
        health.failed()
    now.moment += PAUSE_S
    assert health.begin()
    health.answered(200)
    assert health.standing() is Standing.READY and health.begin() and health.begin()


@given(st.lists(st.floats(0.001, 2.0), min_size=50, max_size=300))
def test_f1_probes_are_never_closer_than_a_pause(steps: list[float]) -> None:
    now = Now()
    health, probes = failing(now), [now.moment]
    for step in steps:
        now.moment += step
        if health.begin():
            health.failed()
            probes.append(now.moment)
    assert all(b - a >= PAUSE_S for a, b in itertools.pairwise(probes))


def test_f1_workers_that_share_an_outage_probe_once_between_them() -> None:
    now, outage = Now(), PrivateOutage()
    workers = [Health(now, outage) for _ in range(4)]
    for health in workers:
        for _ in range(LIMIT):
            health.failed()
    now.moment += PAUSE_S
    assert [health.begin() for health in workers] == [True, False, False, False]


def test_gateway_errors_in_a_row_make_it_rest_and_not_away() -> None:
    now = Now()
    health = Health(now)
    for _ in range(LIMIT):
        assert health.standing() is Standing.READY
        health.answered(502)
    assert health.standing() is Standing.RESTING and health.begin()
    now.moment += PAUSE_S
    assert health.standing() is Standing.READY
    health.answered(502)
    assert health.standing() is Standing.RESTING, "one more is enough"
    now.moment += PAUSE_S
    health.answered(500)
    assert health.standing() is Standing.READY, "an error of one path is no trouble of the gateway"


@pytest.mark.parametrize("status", [429, 503])
def test_f6_a_pause_it_asks_for_is_a_rest_within_bounds(status: int) -> None:
    now = Now()
    health = Health(now)
    health.answered(status, 7)
    assert health.standing() is Standing.RESTING and health.asked_again_in_s() == 7
    now.moment += 7
    assert health.standing() is Standing.READY
    health.answered(status, 10**6)
    assert health.asked_again_in_s() == LONGEST_PAUSE_S
    health.answered(200, 7)
    assert health.asked_again_in_s() <= LONGEST_PAUSE_S


def test_f6_only_503_said_again_and_again_shuts_everybody_out() -> None:
    """429 may be for one client, who could shut out all others with it."""
    now = Now()
    limited, down = Health(now), Health(now)
    for _ in range(LIMIT * 3):
        limited.answered(429, 30)
        down.answered(503, 30)
    assert (limited.standing(), down.standing()) == (Standing.RESTING, Standing.AWAY)
    now.moment += 30
    assert down.standing() is Standing.READY


def test_failed_checks_in_a_row_make_it_rest_until_one_is_well() -> None:
    health = Health(Now())
    for _ in range(UNWELL):
        assert health.standing() is Standing.READY
        health.checked(well=False)
    assert health.standing() is Standing.RESTING
    health.checked(well=True)
    assert health.standing() is Standing.READY


R, P, Z, A = Standing.READY, Standing.PROBE, Standing.RESTING, Standing.AWAY


@pytest.mark.parametrize(
    ("standings", "repeatable", "stale", "expected"),
    [
        ((R, R, R), True, False, [0, 1, 2]),
        ((A, R), True, False, [1]),
        ((P, R), True, False, [0, 1]),  # who may be sent twice probes
        ((P, R), False, False, [1, 0]),
        ((Z, R), True, False, [1, 0]),
        ((Z, R), True, True, [1]),
        ((Z, Z), True, True, []),  # left in peace, as there is something stale
        ((Z, P), True, False, [1, 0]),
        ((Z, P), False, False, [0, 1]),
        ((A, A), True, False, []),
    ],
)
def test_the_order_in_which_origins_are_asked(
    standings: tuple[Standing, ...], repeatable: bool, stale: bool, expected: list[int]
) -> None:
    assert order(standings, repeatable=repeatable, stale=stale) == expected


@given(st.lists(st.sampled_from(Standing), max_size=8), st.booleans(), st.booleans())
def test_no_origin_is_asked_twice_and_none_that_is_away(
    standings: list[Standing], repeatable: bool, stale: bool
) -> None:
    found = order(standings, repeatable=repeatable, stale=stale)
    assert len(set(found)) == len(found) and all(standings[i] is not Standing.AWAY for i in found)


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 40), st.integers(0, 5)), max_size=60))
def test_f6_repeats_are_a_tenth_of_the_requests_of_the_window(
    events: list[tuple[float, int, int]],
) -> None:
    budget, now = Budget(), 0.0
    came: list[int] = []
    repeated: list[int] = []
    for step, requests, wants in events:
        now += step
        for _ in range(requests):
            budget.request(now)
            came.append(int(now))
        for _ in range(wants):
            window = int(now) - WINDOW_S
            recent = sum(each > window for each in came)
            again = sum(each > window for each in repeated)
            allowed = budget.repeat(now)
            assert allowed == (again < max(FLOOR, int(SHARE * recent)))
            repeated += [int(now)] * allowed


def test_f6_a_window_that_has_gone_by_counts_no_more() -> None:
    budget = Budget()
    budget.request(0.0)
    assert [budget.repeat(0.0) for _ in range(5)] == [True] * FLOOR + [False] * (5 - FLOOR)
    assert budget.repeat(WINDOW_S + 0.0)
