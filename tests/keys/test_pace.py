"""The pace of media: its bound holds against whoever asks, and whoever watches does not meet it."""

import math
import struct
import zlib
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.pace import (
    AHEAD,
    ITEMS,
    JUMP_REFILL,
    MAX_NUMBER,
    SKEW,
    Charge,
    Granted,
    Pace,
    PaceState,
    Wait,
    paid_ahead,
    refilled,
    settle,
    take,
)
from keys.pace_bytes import decode, encode

NOW = 1_800_000_000.0
PACE = Pace()


def ask(
    state: PaceState,
    number: int,
    now: float,
    *,
    pace: Pace = PACE,
    seconds: float = 4.0,
    item: str = "film:1",
) -> Granted | Wait:
    return take(state, pace, Charge(item, number, seconds), now)


def granted(state: PaceState, number: int, now: float = NOW, **how: Any) -> PaceState:
    answer = ask(state, number, now, **how)
    assert isinstance(answer, Granted)
    return answer.state


def waited(state: PaceState, number: int, now: float = NOW, **how: Any) -> float:
    answer = ask(state, number, now, **how)
    assert isinstance(answer, Wait)
    return answer.seconds


def spent(pace: Pace = PACE, now: float = NOW, numbers: int = 75) -> PaceState:
    """A viewer who has just taken his burst: segments 0 to 74 of 4 s."""
    state = PaceState.full(pace, now)
    for number in range(numbers):
        state = granted(state, number, now, pace=pace)
    return state


def test_a_burst_is_handed_out_at_once_and_then_at_the_rate() -> None:
    state = spent()
    assert state.level == 0
    assert waited(state, 75) == 2.0  # 4 s of media at 2 × real time
    assert waited(state, 75, NOW + 1.5) == 0.5
    assert granted(state, 75, NOW + 2).level == 0


def test_a_number_costs_once_and_is_free_again_in_any_rendition() -> None:
    state = spent()
    answer = ask(state, 10, NOW)
    assert isinstance(answer, Granted)
    assert answer.state is state
    assert waited(state.drained(NOW), 10, item="film:2") == 2.0  # another generation is another work


def test_waiting_costs_nothing() -> None:
    state = spent()
    for _ in range(9):
        waited(state, 75)
    assert granted(state, 75, NOW + 2).level == 0


def test_a_seek_is_answered_at_once_while_jumps_are_in_store() -> None:
    state = spent()
    for jump in range(10):
        number = 1000 * (jump + 1)
        state = granted(state, number)
        state = granted(state, number + 1)  # 8 s: two segments
        assert waited(state, number + 2) == 2.0
    assert state.jumps == 0
    assert waited(state, 50_000) == 2.0
    state = granted(state, 50_000, NOW + 1 / JUMP_REFILL)
    assert state.level == pytest.approx(PACE.rate / JUMP_REFILL - 4)


@given(st.floats(0.0, PACE.burst_s))
def test_a_seek_gives_eight_seconds_at_once_whatever_is_left(level: float) -> None:
    """Also where what is left pays for the first segment alone: who plays at 2× needs the second."""
    state = PaceState(level, NOW, jumps=1.0, recent=(("film:1", 3),))
    state = granted(granted(state, 50), 51)
    assert state.jumps == (1.0 if level >= PACE.jump_s else 0.0)


def test_a_near_number_is_no_jump() -> None:
    state = spent(numbers=75)
    for number in (75, 76):
        assert waited(state, number) == 2.0
    assert isinstance(ask(state, 77, NOW), Granted)
    assert not state.is_jump("film:1", 72)
    assert state.is_jump("other:1", 72)


def test_several_sessions_at_different_places_are_no_jumps_to_each_other() -> None:
    state = PaceState.full(PACE, NOW)
    for step in range(20):
        for start in (0, 500, 1000, 1500):
            if step:
                assert not state.is_jump("film:1", start + step)
            state = granted(state, start + step, NOW + step, pace=Pace(burst_s=1000))


def test_a_segment_longer_than_the_burst_is_given_from_a_full_bucket() -> None:
    pace = Pace(burst_s=2, jumps=0)
    state = granted(PaceState.full(pace, NOW), 0, pace=pace)
    assert state.level == -2
    assert waited(state, 1, pace=pace) == 2.0
    assert granted(state, 1, NOW + 2, pace=pace).level == -2


def test_watching_at_real_time_never_waits_however_small_the_burst() -> None:
    pace, state = Pace(burst_s=4, rate=1.0, jumps=0), PaceState.full(Pace(burst_s=4), NOW)
    for number in range(200):
        state = granted(state, number, NOW + 4 * number, pace=pace)


def test_a_clock_set_back_neither_refills_nor_drains_nor_stalls() -> None:
    state = spent()
    for back in (1, SKEW, SKEW + 1, 3600, 10 * 365 * 86_400):
        assert refilled(state, PACE, NOW - back).level == state.level
        assert refilled(state, PACE, NOW - back).jumps == state.jumps
    assert waited(state, 75, NOW - 5) == 7.0  # another edge's clock is 5 s ahead of this one's
    late = refilled(state, PACE, NOW - 3600)
    assert waited(late, 75, NOW - 3600) == 2.0


@given(st.lists(st.floats(-5000, 5000), min_size=1, max_size=20))
def test_refill_is_never_more_than_the_time_that_passed_forwards(steps: list[float]) -> None:
    pace = Pace(burst_s=1e6, jumps=1e6)
    state, now, forwards = PaceState.empty(NOW), NOW, 0.0
    for step in steps:
        now += step
        forwards += max(0.0, step)
        after = refilled(state, pace, now)
        assert after.level >= state.level
        state = after
    assert state.level <= pace.rate * forwards + 1e-3
    assert state.jumps <= JUMP_REFILL * forwards + 1e-3


def test_f24_a_clock_ten_years_ahead_gives_no_more_than_a_full_bucket() -> None:
    state = refilled(spent(), PACE, NOW + 10 * 365 * 86_400)
    assert (state.level, state.jumps) == (PACE.burst_s, PACE.jumps)


paces = st.builds(
    Pace,
    burst_s=st.sampled_from([0.0, 3.0, 20.0, 300.0]),
    rate=st.sampled_from([0.5, 1.0, 2.0, 4.0]),
    jump_s=st.sampled_from([0.0, 8.0, 30.0]),
    jumps=st.sampled_from([0.0, 0.5, 3.0, 10.0]),
)
# An adversary: how long until the next request (0: as from a parallel session), for which segment of what.
requests = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.0, 0.1, 1.0, 7.0, 61.6, 600.0]),
        st.sampled_from(["film:1", "film:2", "other:1"]),
        st.integers(0, 60) | st.integers(0, MAX_NUMBER - 1),
    ),
    max_size=120,
)


@settings(max_examples=300, deadline=None)
@given(paces, requests, st.sampled_from([1.0, 4.0, 9.5]), st.booleans())
def test_t1_whatever_is_asked_in_whatever_order_the_bound_holds(
    pace: Pace, asked: list[tuple[float, str, int]], longest: float, ahead: bool
) -> None:
    """Also when what follows is paid for ahead, and then taken."""
    start = now = NOW
    state, taken = PaceState.full(pace, now), {}

    def seconds_of(number: int) -> float:
        return longest if number % 3 else longest / 2

    for pause, item, number in asked:
        now += pause
        seconds = seconds_of(number)
        charge = Charge(item, number, seconds)
        answer = take(state, pace, charge, now)
        if isinstance(answer, Granted):
            following = [seconds_of(n) for n in range(number + 1, number + 1 + AHEAD)] if ahead else []
            state = decode(encode(paid_ahead(answer.state, pace, charge, following)), now)
            for n in range(number + 1, number + 1 + len(following)):
                if n < MAX_NUMBER and state.has_paid(item, n):
                    taken[item, n] = seconds_of(n)
            taken[item, number] = seconds
        t = now - start
        bound = pace.burst_s + pace.jump_s * pace.jumps + (pace.rate + pace.jump_s * JUMP_REFILL) * t
        assert math.fsum(taken.values()) <= bound + max(0.0, longest - pace.burst_s) + 1e-6


def test_what_follows_is_paid_ahead_from_the_upper_half_of_the_burst_only() -> None:
    following = [4.0] * (AHEAD + 2)
    charge = Charge("film:1", 0, 4.0)
    state = paid_ahead(granted(PaceState.full(PACE, NOW), 0), PACE, charge, following)
    assert state.level == PACE.burst_s - 4 * (1 + AHEAD)
    assert all(granted(state, number) is state for number in range(1 + AHEAD))
    assert granted(state, AHEAD + 1).level == state.level - 4, "the one after costs what it costs"
    low = PaceState(PACE.burst_s / 2 + 6, NOW, 0)
    assert paid_ahead(low, PACE, charge, following).level == PACE.burst_s / 2 + 2
    assert paid_ahead(PaceState(PACE.burst_s / 2, NOW, 0), PACE, charge, following).level == PACE.burst_s / 2


def test_what_is_paid_already_is_not_paid_ahead_again() -> None:
    state = granted(granted(PaceState.full(PACE, NOW), 0), 2)
    ahead = paid_ahead(state, PACE, Charge("film:1", 0, 4.0), [4.0] * 3)
    assert ahead.level == state.level - 8
    assert paid_ahead(ahead, PACE, Charge("film:1", 0, 4.0), [4.0] * 3) is ahead


def test_the_last_number_there_is_has_nothing_to_pay_ahead() -> None:
    state = PaceState.full(PACE, NOW)
    assert paid_ahead(state, PACE, Charge("film:1", MAX_NUMBER - 1, 4.0), [4.0]) is state


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sessions", [1, 4, 16])
def test_t1_parallel_rippers_of_one_link_get_no_more_than_one(sessions: int, seed: int) -> None:
    """Each session takes the next segment as soon as it may; some of them jump whenever a jump is free."""
    random, state, now, taken = Random(seed), PaceState.full(PACE, NOW), NOW, 0.0
    at = [random.randrange(5000) for _ in range(sessions)]
    while now < NOW + 600:
        waits = []
        for session in range(sessions):
            number = random.randrange(5000) if random.random() < 0.2 else at[session]
            free = state.has_paid("film:1", number)
            answer = ask(state, number, now)
            if isinstance(answer, Granted):
                state, at[session] = answer.state, number + 1
                taken += 0 if free else 4
                waits.append(0.05)
            else:
                waits.append(answer.seconds)
        now += max(0.01, min(waits))
        assert taken <= 300 + 80 + 2.13 * (now - NOW) + 1e-6
    assert taken >= 0.9 * (300 + 2 * (now - NOW))  # and slowing is all that happens to them


@pytest.mark.parametrize("sessions", [1, 4, 16])
def test_t1_an_hours_film_takes_25_minutes_at_least_in_however_many_sessions(sessions: int) -> None:
    """Each session takes a part of its own, and always the next segment; the simulated clock moves on."""
    total, state, now = 900, PaceState.full(PACE, NOW), NOW  # segments of 4 s
    share = -(-total // sessions)
    todo = [list(range(n * share, min(total, (n + 1) * share))) for n in range(sessions)]
    while any(todo):
        waits = []
        for numbers in todo:
            while numbers and isinstance(answer := ask(state, numbers[0], now), Granted):
                state = answer.state
                numbers.pop(0)
            if numbers:
                waits.append(waited(state, numbers[0], now))
        now += min(waits, default=0.0)
    assert 25 * 60 <= now - NOW <= 28 * 60


def test_old_works_are_forgotten_first_and_paid_again() -> None:
    state = PaceState.full(Pace(burst_s=1000), NOW)
    for film in range(ITEMS + 3):
        state = granted(state, 0, item=f"film-{film}:1", pace=Pace(burst_s=1000))
    assert len(state.paid) == ITEMS
    assert not state.has_paid("film-0:1", 0)
    assert state.has_paid(f"film-{ITEMS + 2}:1", 0)


@pytest.mark.parametrize("number", [-1, MAX_NUMBER])
def test_a_number_no_work_has_is_a_fault(number: int) -> None:
    with pytest.raises(ValueError, match="number"):
        ask(PaceState.empty(NOW), number, NOW)


def test_what_was_handed_out_unasked_is_settled_without_a_debt() -> None:
    state = PaceState.full(Pace(burst_s=20), NOW)
    charges = [Charge("film:1", n, 4.0) for n in range(3)]
    after = settle(state, Pace(burst_s=20), [*charges, charges[0]], NOW)
    assert after.level == 8
    assert all(after.has_paid("film:1", n) for n in range(3))
    many = settle(state, Pace(burst_s=20), [Charge("film:1", n, 4.0) for n in range(100)], NOW)
    assert many.level == 0


def test_a_pace_comes_back_from_its_json_and_takes_a_links_own() -> None:
    pace = Pace(burst_s=20, rate=3)
    assert Pace.from_json(pace.to_json()) == pace
    assert pace.overridden({"rate": 1.5}) == Pace(burst_s=20, rate=1.5)
    assert pace.overridden(None) is pace
    assert pace.cautious() == Pace(burst_s=0, rate=1, jump_s=0, jumps=0)


BAD: list[dict[str, Any]] = [
    {"rate": 0},
    {"rate": -1},
    {"burst_s": -1},
    {"jumps": math.inf},
    {"rate": math.nan},
    {"burst_s": "3"},
    {"jumps": True},
    {"jump_s": 1e7},
]


@pytest.mark.parametrize("fields", BAD)
def test_a_pace_at_which_nobody_could_watch_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="pace"):
        Pace.from_json(fields)


states = st.builds(
    lambda level, stamp, jumps, paid, recent: PaceState(
        level, stamp, jumps, tuple((i, n) for i, n in recent if i in paid), paid
    ),
    level=st.floats(-1e6, 1e6),
    stamp=st.floats(0, 1e11),
    jumps=st.floats(0, 1e6),
    paid=st.dictionaries(st.text(min_size=1, max_size=12), st.integers(0, 2**80), max_size=ITEMS),
    recent=st.lists(st.tuples(st.text(max_size=2), st.integers(0, MAX_NUMBER - 1)), max_size=8),
)


@given(states)
def test_a_bucket_comes_back_from_its_bytes(state: PaceState) -> None:
    data = encode(state)
    found = decode(data, NOW)
    assert found == state
    assert encode(found) == data


@given(states, st.data())
def test_damaged_bytes_are_an_empty_bucket(state: PaceState, data: st.DataObject) -> None:
    whole = bytearray(encode(state))
    if data.draw(st.booleans()):
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    else:
        bit = data.draw(st.integers(0, len(whole) * 8 - 1))
        whole[bit // 8] ^= 1 << bit % 8
    assert decode(bytes(whole), NOW) == PaceState.empty(NOW)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_bucket(data: bytes) -> None:
    assert decode(data, NOW).level <= 0


HEAD = struct.pack(">ddd", 1.0, NOW, 1.0)
CRAFTED = {
    "a level that is no number": struct.pack(">dddBB", math.nan, NOW, 1.0, 0, 0),
    "more items than there may be": HEAD + bytes([ITEMS + 1, 0]),
    "more behind the last": HEAD + bytes([0, 0]) + b"more",
    "an item that is cut": HEAD + bytes([1, 0]) + b"\x01a" + struct.pack(">H", 9) + b"1",
    "a recent number of no item": HEAD + bytes([0, 1]) + struct.pack(">BI", 3, 1),
    "an item that is no text": HEAD + bytes([1, 0]) + b"\x01\xff" + struct.pack(">H", 0),
}


@pytest.mark.parametrize("body", CRAFTED.values(), ids=CRAFTED.keys())
def test_bytes_with_a_right_checksum_and_nonsense_in_them_are_an_empty_bucket(body: bytes) -> None:
    data = struct.pack(">BI", 1, zlib.crc32(body)) + body
    assert decode(data, NOW) == PaceState.empty(NOW)


def test_a_two_hour_film_fits_half_a_kilobyte() -> None:
    pace = Pace(burst_s=1e5)
    state = PaceState.full(pace, NOW)
    for number in range(1800):
        state = granted(state, number, pace=pace)
    assert len(encode(state)) < 512
