"""The ripper score: whoever watches stays well below what a ripper reaches, in however many sessions."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.ripper import DEVICES, THRESHOLD, WEIGHTS, Course, Verdict, judge
from tests.support.clocked import NOW, Bucket, Player, in_parts, in_turns, rip

WELL_BELOW = 50
LADDER = ("720p", "480p", "240p")
HOUR = 3600.0


def players(minutes: float) -> st.SearchStrategy[Player]:
    """Somebody who watches for so long: slowly or fast, with a small or large buffer, going to and fro."""
    times = st.floats(1.0, minutes * 60)
    return st.builds(
        Player,
        rate=st.sampled_from([1.0, 1.25, 1.5, 2.0]),
        buffer_s=st.sampled_from([12.0, 30.0, 120.0, 600.0, 1500.0]),
        film_s=st.sampled_from([600.0, 1500.0, 7200.0]),
        seeks=st.lists(st.tuples(times, st.floats(0.0, 7200.0)), max_size=25),
        switches=st.lists(times, max_size=4),
    )


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from([10, 40]), st.integers(1, DEVICES), st.booleans())
def test_whoever_watches_stays_well_below(
    data: st.DataObject, minutes: int, devices: int, same_film: bool
) -> None:
    bucket = Bucket()
    for device in range(devices):
        bucket.open("film" if same_film else f"film-{device}", [data.draw(players(minutes))])
    worst = max(bucket.run(minutes * 60.0), key=lambda verdict: verdict.score)
    assert worst.score < WELL_BELOW, worst


def test_ten_seeks_a_minute_and_every_quality_tried_are_no_ripping() -> None:
    bucket = Bucket()
    seeks = [(60.0 + 6 * n, 700.0 * n % 7000) for n in range(10)]
    bucket.open("film", [Player(buffer_s=600.0, seeks=seeks, switches=(15.0, 25.0, 35.0, 200.0))])
    assert max(verdict.score for verdict in bucket.run(1200)) < WELL_BELOW


def test_a_page_that_plays_scores_nothing_at_all() -> None:
    bucket = Bucket()
    bucket.open("film", [Player()])
    assert {verdict.score for verdict in bucket.run(HOUR)} == {0}


def test_two_pages_or_double_speed_are_no_more_than_ahead() -> None:
    fast, two = Bucket(), Bucket()
    fast.open("film", [Player(rate=2.0)])
    two.open("film", [Player()])
    two.open("other", [Player()])
    for bucket in (fast, two):
        assert bucket.run(HOUR)[-1] == Verdict(35, {"ahead": 25, "unbroken": 10})


def test_whoever_goes_from_film_to_film_is_no_crowd() -> None:
    bucket = Bucket()
    for number in range(20):
        for told in bucket.sessions:
            assert told.last_seen <= bucket.now
        bucket.open(f"film-{number}", [Player(buffer_s=600.0, film_s=24.0, began=bucket.now)])
        assert max(verdict.score for verdict in bucket.run(40)) < WELL_BELOW


RIPS = [
    pytest.param({"sessions": 1, "connections": 1, "renditions": LADDER}, id="1 session, every rendition"),
    pytest.param({"sessions": 1, "connections": 4}, id="1 session, 4 connections"),
    pytest.param({"sessions": 1, "connections": 8, "plan": in_parts}, id="1 session, 8 parts"),
    pytest.param({"sessions": 4, "connections": 1}, id="4 sessions in turns"),
    pytest.param({"sessions": 4, "connections": 1, "plan": in_parts}, id="4 sessions, a part each"),
    pytest.param({"sessions": 16, "connections": 1}, id="16 sessions in turns"),
    pytest.param({"sessions": 16, "connections": 4, "plan": in_parts}, id="16 sessions, 64 parts"),
]


@pytest.mark.parametrize("how", RIPS)
def test_t1_a_ripper_is_known_within_ten_minutes(how: dict[str, Any]) -> None:
    bucket = Bucket()
    rip(bucket, **how)
    verdicts = bucket.run(1200)
    assert all(verdict.score >= THRESHOLD for verdict in verdicts[19:]), verdicts


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([1, 4, 16]),
    st.sampled_from([4, 6]),
    st.sampled_from([in_turns, in_parts]),
    st.integers(1, 3),
)
def test_t1_whatever_is_taken_in_parallel_is_known(
    sessions: int, connections: int, plan: Any, renditions: int
) -> None:
    bucket = Bucket()
    rip(bucket, sessions=sessions, connections=connections, plan=plan, renditions=LADDER[:renditions])
    assert bucket.run(600)[-1].score >= THRESHOLD


def test_a_single_file_at_double_speed_is_left_to_pace() -> None:
    """It looks like somebody who watches at double speed with a large buffer."""
    bucket = Bucket()
    rip(bucket, sessions=1, connections=1)
    assert bucket.run(1200)[-1] == Verdict(35, {"ahead": 25, "unbroken": 10})


COURSE = Course("s", "film", NOW - HOUR, NOW, 0.0, 0.0, 0.0, 0.0, None)


def test_no_signal_alone_makes_a_ripper() -> None:
    assert all(0 < weight < THRESHOLD for weight in WEIGHTS.values())
    assert judge([], NOW) == judge([COURSE], NOW) == Verdict(0)


def test_an_idle_session_opened_early_excuses_nothing() -> None:
    busy = replace(COURSE, sid="t", opened=NOW - 600, media_s=1600.0, apart_s=4.0)
    assert judge([COURSE, busy], NOW) == judge([busy], NOW) == Verdict(25, {"ahead": 25})
    early = replace(COURSE, media_s=40.0)
    assert judge([early, busy], NOW) == Verdict(25, {"ahead": 25})


@pytest.mark.parametrize(("count", "points"), [(1, 0), (2, 0), (3, 10), (4, 40), (16, 40)])
def test_sessions_in_use_at_once_count_above_the_devices(count: int, points: int) -> None:
    running = [replace(COURSE, sid=str(n), opened=NOW - HOUR + n, media_s=100.0) for n in range(count)]
    assert judge(running, NOW).signals.get("sessions", 0) == points
    assert judge(running, NOW, devices=16).score == 0
    over = [replace(one, last_seen=NOW - 61) for one in running]
    assert judge(over, NOW).score == 0, "what was in use a minute ago is not"


def test_sessions_at_more_places_than_devices_are_apart() -> None:
    places = (0.0, 60.0, 500.0, 1000.0, 3000.0)  # the first two are one place
    running = [replace(COURSE, sid=str(n), media_s=100.0, position_s=at) for n, at in enumerate(places)]
    assert judge(running, NOW).signals == {"sessions": 40, "apart": 35}
    elsewhere = [replace(running[0], asset=f"film-{n}") for n in range(4)]
    assert judge(elsewhere, NOW).signals == {"sessions": 40, "apart": 35}
    assert judge(running[:3], NOW).signals == {"sessions": 10}


@settings(max_examples=200)
@given(
    st.lists(
        st.builds(
            Course,
            st.text(max_size=3),
            st.sampled_from(["a", "b"]),
            *[st.floats(NOW - 1e5, NOW + 10) for _ in range(2)],
            *[st.floats(0, 1e9) for _ in range(4)],
            st.none() | st.floats(0, 1e6),
        ),
        max_size=8,
    )
)
def test_whatever_edges_tell_the_score_is_from_0_to_100(courses: list[Course]) -> None:
    verdict = judge(courses, NOW)
    assert 0 <= verdict.score <= 100
    assert set(verdict.signals) <= set(WEIGHTS)
    assert all(0 < points <= WEIGHTS[name] for name, points in verdict.signals.items())
