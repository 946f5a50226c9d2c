"""T19: an edge that takes far more than its usual is noticed, once a minute, and others are not."""

import pytest

from keys.fanout import LEAST_ASSETS, LEAST_LEASES, MINUTE_S, TIMES, Fanout

NOW = 1_800_000_000.0


def alarms(fanout: Fanout, leases: int, assets: int, now: float, edge: str = "edge-1") -> list[str]:
    told = (fanout.note(edge, f"film-{n % assets}", now) for n in range(leases))
    return [alarm for alarm in told if alarm]


def test_t19_three_times_the_usual_is_an_alarm_and_the_usual_is_none() -> None:
    most = int(TIMES * LEAST_LEASES)
    assert alarms(Fanout(), most, 1, NOW) == []
    (alarm,) = alarms(Fanout(), 2 * most, 1, NOW)
    assert alarm.startswith(f"edge edge-1 took {most + 1} leases of 1 assets")


def test_t19_many_assets_are_an_alarm_though_the_leases_are_few() -> None:
    most = int(TIMES * LEAST_ASSETS)
    assert alarms(Fanout(), most, most, NOW) == []
    assert len(alarms(Fanout(), most + 1, most + 1, NOW)) == 1


def test_t19_each_edge_and_each_minute_is_counted_alone() -> None:
    fanout = Fanout()
    most = int(TIMES * LEAST_LEASES)
    assert alarms(fanout, most, 1, NOW) == alarms(fanout, most, 1, NOW, "edge-2") == []
    assert len(alarms(fanout, 1, 1, NOW)) == 1
    assert alarms(fanout, 1, 1, NOW) == [], "told once a minute"
    assert alarms(fanout, most, 1, NOW + MINUTE_S) == []


@pytest.mark.parametrize("back", [1, -1])
def test_t19_a_busy_edge_gets_a_higher_usual_and_a_clock_set_back_harms_nothing(back: int) -> None:
    fanout = Fanout()
    rate = int(2.5 * LEAST_LEASES)
    for minute in range(120):
        assert alarms(fanout, rate, 1, NOW + back * minute * MINUTE_S) == []
    assert alarms(fanout, int(TIMES * rate * 0.9), 1, NOW + back * 121 * MINUTE_S) == []
    assert len(alarms(fanout, int(TIMES * rate * 1.1), 1, NOW + back * 122 * MINUTE_S)) == 1
