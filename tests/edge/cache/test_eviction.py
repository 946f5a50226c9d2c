"""What goes when memory is full: accounts that add up, a limit that holds, scans that push out nothing."""

from hypothesis import given
from hypothesis import strategies as st

from edge.cache.eviction import Eviction

LIMIT = 1000
KEYS = st.integers(0, 30)
SIZES = st.integers(0, 400)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("touch"), KEYS, SIZES),
        st.tuples(st.just("add"), KEYS, SIZES),
        st.tuples(st.just("remove"), KEYS, SIZES),
    ),
    max_size=200,
)


@given(STEPS)
def test_the_limit_holds_and_the_bytes_are_the_sum(steps: list[tuple[str, int, int]]) -> None:
    kept, order = dict[int, int](), Eviction[int](LIMIT)
    for what, key, size in steps:
        if what == "touch":
            order.touch(key)
        elif what == "remove":
            order.remove(key)
            kept.pop(key, None)
        else:
            order.add(key, size)
            kept[key] = size
            for victim in order.victims(key):
                assert victim != key
                del kept[victim]
            assert order.used_bytes <= LIMIT
        assert order.used_bytes == sum(kept.values())
        assert set(order) == set(kept) and len(order) == len(kept)
        assert all(order.size(key) == size for key, size in kept.items())


@given(STEPS, st.integers(0, 2**32))
def test_all_can_go_but_the_one_that_is_spared(steps: list[tuple[str, int, int]], spare: int) -> None:
    order = Eviction[int](LIMIT)
    for what, key, size in steps:
        if what == "add":
            order.add(key, size)
        elif what == "touch":
            order.touch(key)
    order.add(spare, LIMIT + 1)
    before = set(order)
    assert set(order.victims(spare)) == before - {spare}
    assert list(order) == [spare]
    assert list(order.victims()) == [spare]
    assert order.used_bytes == 0


def test_what_grew_while_it_came_counts_as_it_is() -> None:
    order = Eviction[str](LIMIT)
    order.add("a", 10)
    order.grow("a", 90)
    order.grow("a", -50)
    assert (order.size("a"), order.used_bytes) == (50, 50)
    order.add("a", 20)
    assert (order.size("a"), order.used_bytes) == (20, 20)


@given(st.integers(1, 60), st.integers(1, 5))
def test_what_is_asked_for_again_survives_a_scan_of_any_length(sets: int, size: int) -> None:
    """Sixty hot keys of a hundred that have room, each asked for again within a hundred of the scan."""
    order = Eviction[int](100 * size)
    for _ in range(2):
        for key in range(sets):
            order.add(key, size)
            order.touch(key)
    for number in range(1000, 3000):
        order.touch(number % sets)
        order.add(number, size)
        for victim in order.victims(number):
            assert victim >= 1000, "of the scan, never what everybody asks for"


def test_what_is_not_asked_for_any_more_makes_room() -> None:
    order = Eviction[int](100)
    for key in range(50):
        order.add(key, 1)
        for _ in range(10):
            order.touch(key)
    for number in range(1000, 3000):  # a new hot set comes
        key = 1000 + number % 80
        if key in order:
            order.touch(key)
        else:
            order.add(key, 1)
            list(order.victims(key))
    assert all(1000 + key in order for key in range(80))


def test_what_comes_back_soon_after_it_went_is_kept_like_what_was_asked_for_again() -> None:
    order = Eviction[int](100)
    for number in range(110):
        order.add(number, 1)
        list(order.victims(number))
    assert 0 not in order
    order.add(0, 1)
    for number in range(1000, 1200):
        order.add(number, 1)
        list(order.victims(number))
    assert 0 in order


def test_what_is_remembered_of_those_that_went_is_bounded() -> None:
    order = Eviction[int](100)
    for number in range(10_000):
        order.add(number, 1 if number % 2 else 0)
        list(order.victims(number))
    assert len(order._gone) <= 64 + 2 * len(order)


def test_what_is_spared_twice_is_spared_like_once() -> None:
    order = Eviction[str](LIMIT)
    order.add("a", LIMIT)
    order.add("b", 1)
    assert list(order.victims("b", "b")) == ["a"]
