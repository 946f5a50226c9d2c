"""What is asked for most: never missed, never counted too high, in bounded memory."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.zone.top import SIZE, Lately, Top, merged

NAMES = st.text("abcdefgh", min_size=1, max_size=2)
ADDED = st.lists(st.tuples(NAMES, st.integers(1, 50)), max_size=300)


def weighed(added: list[tuple[str, int]]) -> Counter[str]:
    truth: Counter[str] = Counter()
    for name, weight in added:
        truth[name] += weight
    return truth


@given(added=ADDED, size=st.integers(1, 12))
def test_an_object_with_more_than_its_share_is_never_missed_and_none_is_counted_too_high(
    added: list[tuple[str, int]], size: int
) -> None:
    top = Top(size)
    for name, weight in added:
        top.add(name, weight)
    truth = weighed(added)
    found = {each.name: each for each in top.heaviest(len(truth) + 1)}
    share = sum(truth.values()) / (size + 1)
    assert top.total == sum(truth.values()) and top.lowered <= share
    for name, weight in truth.items():
        if weight > share:
            assert name in found
        if name in found:
            assert found[name].least <= weight <= found[name].least + found[name].off
        else:
            assert weight <= top.lowered
    assert len(found) <= 2 * size


@given(parts=st.lists(ADDED, min_size=1, max_size=4), size=st.integers(1, 12))
def test_what_workers_know_together_is_no_worse(parts: list[list[tuple[str, int]]], size: int) -> None:
    tops = []
    for added in parts:
        top = Top(size)
        for name, weight in added:
            top.add(name, weight)
        tops.append(top.heaviest(2 * size))
    truth = weighed([each for added in parts for each in added])
    found = {each.name: each for each in merged(tops, 1000)}
    share = sum(truth.values()) / (size + 1)
    for name, weight in truth.items():
        if weight > share:
            assert name in found
        if name in found:
            assert found[name].least <= weight


def test_very_many_objects_that_are_asked_for_once_do_not_hide_one_that_is_popular() -> None:
    top = Top()
    for number in range(100_000):
        top.add(f"/once/{number}")
        if number % 50 == 0:
            top.add("/popular")
    assert top.heaviest(1)[0].name == "/popular"
    assert top.heaviest(1000)[0].least > 2000 - top.total / SIZE


def test_the_order_is_by_weight_then_by_name_and_nothing_weighs_nothing() -> None:
    top = Top(3)
    for name in ("b", "a", "c", "c"):
        top.add(name)
    top.add("d", 0)
    assert [each.name for each in top.heaviest(9)] == ["c", "a", "b"]
    assert [each.name for each in top.heaviest(1)] == ["c"]


@pytest.mark.parametrize(
    ("at", "left"), [(9, {"a": 1, "b": 1}), (10, {"a": 1, "b": 1}), (20, {"b": 1}), (40, {})]
)
def test_what_is_older_than_two_halves_is_forgotten(at: float, left: dict[str, int]) -> None:
    lately = Lately(10, 0)
    lately.now.add("a")
    lately.turn(5)
    if at >= 20:
        lately.turn(10)
    lately.now.add("b")
    lately.turn(at)
    assert {each.name: each.least for each in lately.heaviest(9)} == left
    assert lately.total == len(left)
