"""When a worker is too busy for one more session: a table of loads, no clock."""

from contextlib import ExitStack

import pytest

from edge.deliver.admission import Admission, Limits, TooBusy

LIMITS = Limits(lag_s=0.1, wait_s=1.0, opening=3)
NOW = 1000.0


def admitted(admission: Admission, now: float = NOW) -> bool:
    try:
        admission.check(now)
    except TooBusy:
        return False
    return True


def test_an_idle_worker_takes_everybody() -> None:
    admission = Admission(LIMITS)
    assert admitted(admission) and admission.reason(NOW) is None


def test_one_hiccup_refuses_nobody() -> None:
    admission = Admission(LIMITS)
    admission.measured(0.5)
    assert admitted(admission)


def test_f35_lasting_lateness_refuses_within_three_seconds() -> None:
    admission = Admission(LIMITS)
    samples = 0
    while admitted(admission):
        admission.measured(0.2)
        samples += 1
    assert samples * 0.2 <= 3
    assert admission.reason(NOW) == f"busy: {1000 * admission.late_s:.0f} ms late"


def test_f35_it_takes_viewers_again_when_lateness_has_halved_and_not_before() -> None:
    admission = Admission(LIMITS)
    for _ in range(200):
        admission.measured(1.0)
    samples = 0
    while not admitted(admission):
        assert admission.late_s >= 0.05
        admission.measured(0.0)
        samples += 1
    assert admission.late_s < 0.05
    assert samples * 0.05 < 10, "SECURITY F35: recovers within 10 s"
    admission.measured(0.8)
    assert 0.05 < admission.late_s < 0.1 and admitted(admission), "between the two, as it was"


def test_f35_no_more_links_are_opened_at_once_than_the_limit() -> None:
    admission = Admission(LIMITS)
    with ExitStack() as opening:
        for _ in range(LIMITS.opening):
            opening.enter_context(admission.asking(NOW))
        with pytest.raises(TooBusy) as refused:
            admission.check(NOW)
        assert refused.value.status == 503
        assert refused.value.retry_after_s is not None and 2 <= refused.value.retry_after_s <= 5
    assert admitted(admission)


def test_f35_nobody_new_is_taken_while_the_first_in_the_queue_waits_too_long() -> None:
    admission = Admission(LIMITS)
    first, second = admission.asking(NOW), admission.asking(NOW + 0.5)
    first.__enter__()
    second.__enter__()
    assert admitted(admission, NOW + 0.9)
    assert not admitted(admission, NOW + 1.0)
    assert admission.reason(NOW + 1.2) == "busy: a link waits for 1.2 s"
    first.__exit__(None, None, None)
    assert admitted(admission, NOW + 1.2), "the second waits for 0.7 s"
    assert not admitted(admission, NOW + 1.5)
    second.__exit__(None, None, None)
    assert admitted(admission, NOW + 9)


def test_a_link_that_fails_to_open_gives_its_place_back() -> None:
    admission = Admission(Limits(opening=1))
    for _ in range(3):
        with pytest.raises(ValueError), admission.asking(NOW):
            raise ValueError
    assert admitted(admission)


def test_a_clock_that_runs_ahead_of_its_sample_counts_as_on_time() -> None:
    admission = Admission(LIMITS)
    admission.measured(-5.0)
    assert admission.late_s == 0.0
