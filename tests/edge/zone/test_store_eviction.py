"""The store of zones: bounded in bytes, whatever comes, and what is asked for again stays."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from edge.http.directives import of_response
from edge.http.entry import Entry
from edge.zone.body import Body
from edge.zone.sliced import Sliced
from edge.zone.store import OVERHEAD_BYTES, Held, Store

LIMIT = 64 * 1024
NOW = 1_000_000.0


def entry(uri: str, variant: bytes = b"") -> Entry:
    kind = ((b"accept", variant),) if variant else ()
    return Entry(
        uri, 200, [], kind, of_response([]), requested=NOW, received=NOW, date=NOW, initial_age_s=0,
        lifetime_s=60, etag=None, last_modified=None,
    )  # fmt: skip


def body_of(held: Held) -> Body:
    assert isinstance(held.body, Body)
    return held.body


def uri(number: int) -> str:
    return f"http://h/{number}"


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "grow", "get", "remove"]), st.integers(0, 12), st.integers(0, 3)),
    max_size=150,
)


@given(STEPS, st.integers(0, 20_000))
def test_bytes_are_the_sum_of_what_is_held_and_within_the_limit(
    steps: list[tuple[str, int, int]], size: int
) -> None:
    store, made = Store(LIMIT, LIMIT // 2), list[Held]()
    for what, number, variant in steps:
        if what == "add":
            made.append(store.add(entry(uri(number), b"%d" % variant), Body()))
        elif what == "get":
            store.get(uri(number))
        elif made:
            held = made[number % len(made)]
            if what == "grow":
                store.grow(held, body_of(held), size)
            else:
                store.remove(held)
        kept = {id(held): held for held in made if held in store.get(held.entry.uri)}
        assert store.used_bytes == sum(held.bytes for held in kept.values()) <= LIMIT


def test_what_is_asked_for_again_survives_a_scan() -> None:
    store = Store(LIMIT, LIMIT)
    room = LIMIT // (OVERHEAD_BYTES + len(uri(1000)))
    hot = [uri(number) for number in range(room // 2)]
    for each in hot:
        store.add(entry(each), Body())
    for number in range(1000, 1000 + 20 * room):
        assert store.get(hot[number % len(hot)])
        store.add(entry(uri(number)), Body())
    assert all(store.get(each) for each in hot)


def test_one_that_is_replaced_keeps_the_place_it_had() -> None:
    store = Store(LIMIT, LIMIT)
    store.add(entry("http://h/hot"), Body())
    for number in range(500):
        store.get("http://h/hot")
        if number % 10 == 0:
            store.add(replace(entry("http://h/hot"), received=NOW + number), Body())
        store.add(entry(uri(number)), Body())
    assert len(store.get("http://h/hot")) == 1


def test_of_a_uri_that_fills_the_memory_alone_the_oldest_variant_goes() -> None:
    store = Store(LIMIT, LIMIT)
    first = store.add(entry("http://h/a", b"1"), Body())
    store.grow(first, body_of(first), LIMIT // 2)
    second = store.add(entry("http://h/a", b"2"), Body())
    store.grow(second, body_of(second), LIMIT // 2)
    assert list(store.get("http://h/a")) == [second]


def test_a_long_film_read_once_pushes_out_nothing_that_is_asked_for_and_takes_its_own_slices() -> None:
    store = Store(LIMIT, LIMIT)
    hot = [uri(number) for number in range(20)]
    for each in hot:
        store.add(entry(each), Body())
        store.get(each)
    film = store.add(entry("http://h/film"), Sliced(1 << 30, lambda work: work.close(), 4096))
    for index in range(500):
        assert store.get(hot[index % len(hot)])
        assert store.add_slice(film, index, 4096)
    assert all(store.get(each) for each in hot)
    assert store.get("http://h/film") == [film] and min(film.slices) > 400
