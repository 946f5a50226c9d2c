"""What one worker keeps: every byte counted, slices let go one by one, and all of them with their entry."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.directives import Directives
from edge.http.entry import Entry
from edge.zone.sliced import Sliced
from edge.zone.store import Held, Store

KIB = 1024


def entry(uri: str, etag: bytes = b'"1"') -> Entry:
    return Entry(uri, 200, (), (), Directives(), 0, 0, 0, 0, 60, etag, None, length=100 * KIB)


def sliced_in(store: Store, uri: str, etag: bytes = b'"1"') -> Held:
    body = Sliced(100 * KIB, lambda work: work.close(), KIB)
    return store.add(entry(uri, etag), body)


def shelf(held: Held) -> Sliced:
    assert isinstance(held.body, Sliced)
    return held.body


def counted(store: Store) -> int:
    units = [unit for beside in store._names.values() for unit in beside]
    return sum(unit.bytes for unit in units)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.booleans()), max_size=60))
def test_memory_is_counted_and_never_more_than_allowed(steps: list[tuple[str, int, bool]]) -> None:
    store = Store(12 * KIB, KIB)
    for uri, index, lost in steps:
        found = store.get(uri)
        held = found[0] if found else sliced_in(store, uri)
        if lost and index in held.slices:
            store.remove(held.slices[index])
        else:
            store.add_slice(held, index, KIB)
        assert store.used_bytes == counted(store) <= 12 * KIB
        for other in "abc":
            for kept in store.get(other):
                assert all(part.held is kept for part in kept.slices.values())


def test_slices_go_before_the_entry_that_is_used_and_all_go_with_it() -> None:
    store = Store(8 * KIB, KIB)
    held = sliced_in(store, "a")
    for index in range(20):
        assert store.add_slice(held, index, KIB)
    assert store.get("a") == [held] and 19 in held.slices and 0 not in held.slices
    store.remove(held)
    assert (store.used_bytes, held.slices) == (0, {})
    assert not store.add_slice(held, 1, KIB)  # of what is not kept nothing is


def test_f7_a_newer_entry_takes_the_place_of_the_old_and_of_all_its_slices() -> None:
    store = Store(64 * KIB, KIB)
    old = sliced_in(store, "a")
    for index in range(5):
        store.add_slice(old, index, KIB)
    new = sliced_in(store, "a", b'"2"')
    assert (store.get("a"), old.slices) == ([new], {})
    assert store.used_bytes == new.bytes == counted(store)


def test_what_each_zone_weighs_is_known_and_adds_up() -> None:
    store = Store(64 * KIB, KIB)
    for number in range(60):
        zone = ("press", "courses")[number % 3 == 0]
        held = sliced_in(store, f"https://{zone}/{number % 7}", b'"%d"' % (number % 4))
        for index in range(number % 5):
            store.add_slice(held, index, KIB)
        if number % 11 == 0:
            store.remove(held)
        sizes = [store.bytes_of(name) for name in ("press", "courses")]
        assert sum(sizes) == store.used_bytes == counted(store)
    assert all(sizes) and store.bytes_of("archive") == 0


def test_a_slice_has_a_name_that_says_of_which_bytes_it_is() -> None:
    store = Store(64 * KIB, KIB)
    names = []
    for uri, etag in (("a", b'"1"'), ("a", b'"2"'), ("b", b'"1"')):
        held = sliced_in(store, uri, etag)
        store.add_slice(held, 3, KIB)
        names.append(held.slices[3].name)
    assert len(set(names)) == 3 and all(name.endswith("/3") for name in names)
    again = Store(64 * KIB, KIB)
    held = sliced_in(again, "a")
    store.update(held, replace(held.entry, received=9.0, lifetime_s=7.0))
    again.add_slice(held, 3, KIB)
    assert held.slices[3].name == names[0]  # on every edge, however old the entry


@pytest.mark.parametrize("limit", [0, KIB])
def test_a_slice_that_has_no_room_is_not_kept(limit: int) -> None:
    store = Store(limit, KIB)
    held = sliced_in(store, "a")
    assert not store.add_slice(held, 0, 4 * KIB)
    assert store.used_bytes <= max(limit, held.bytes)
