"""What a purge takes away: what it names and nothing else, also what comes when it is over."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.directives import of_response
from edge.http.entry import PLAIN, Entry, Request
from edge.http.freshness import is_fresh, while_revalidating
from edge.http.reuse import Fresh, decide
from edge.zone import purge as purging
from edge.zone import store as stores
from edge.zone.body import Body
from edge.zone.labels import MOST, Labels
from edge.zone.purge import Hard, Recent, concerns
from edge.zone.sliced import Sliced
from edge.zone.store import Held, Store
from keys.purge import KINDS, Purge

NOW = 1_000_000.0
LIMIT = 8 << 20


def entry(uri: str, labels: bytes = b"", requested: float = NOW, control: bytes = b"max-age=600") -> Entry:
    fields = [(b"cache-control", control), (b"surrogate-key", labels)]
    return Entry(
        uri, 200, fields, (), of_response(fields), requested=requested, received=requested, date=requested,
        initial_age_s=0, lifetime_s=600, etag=b'"1"', last_modified=None,
    )  # fmt: skip


def purge(kind: str, value: str = "", *, zone: str = "press", soft: bool = False) -> Purge:
    return Purge(1, zone, kind, value, soft)


def purged(store: Store, which: Purge | None, now: float) -> int:
    return sum(store.purge(None if which is None else [which], now))


def filled() -> tuple[Store, dict[str, Held]]:
    store = Store(LIMIT, LIMIT)
    made = {
        uri: store.add(entry(f"http://{uri}", labels), Body())
        for uri, labels in (
            ("press/a", b"red"),
            ("press/a?q=1", b"red blue"),
            ("press/a/b", b"blue"),
            ("press/c", b""),
            ("other/a", b"red blue"),
            ("press.other/a", b"red"),
        )
    }
    return store, made


@pytest.mark.parametrize(
    ("which", "gone"),
    [
        (purge("url", "/a"), {"press/a"}),
        (purge("url", "/a?q=1"), {"press/a?q=1"}),
        (purge("prefix", "/a"), {"press/a", "press/a?q=1", "press/a/b"}),
        (purge("prefix", "/a/"), {"press/a/b"}),
        (purge("key", "red"), {"press/a", "press/a?q=1"}),
        (purge("key", "re"), set()),
        (purge("zone"), {"press/a", "press/a?q=1", "press/a/b", "press/c"}),
        (purge("zone", zone="nobody"), set()),
    ],
)
def test_a_purge_takes_what_it_names_and_t22_nothing_of_another_zone(which: Purge, gone: set[str]) -> None:
    store, made = filled()
    before = store.used_bytes
    assert purged(store, which, NOW + 1) == len(gone)
    left = {uri for uri in made if store.get(f"http://{uri}")}
    assert left == set(made) - gone
    assert store.used_bytes == before - sum(made[uri].bytes for uri in gone)
    store, made = filled()
    assert purged(store, replace(which, soft=True), NOW + 1) == len(gone)
    assert {uri for uri, held in made.items() if not is_fresh(held.entry, NOW + 1)} == gone
    assert all(store.get(f"http://{uri}") for uri in made), "softly, all are still there"


def test_what_is_softly_purged_is_served_while_it_is_renewed_if_it_may_be() -> None:
    store = Store(LIMIT, LIMIT)
    held = store.add(entry("http://press/a", control=b"max-age=600, stale-while-revalidate=30"), Body())
    purged(store, purge("zone", soft=True), NOW + 10)
    assert not isinstance(decide(Request("GET", "http://press/a", []), [held.entry], NOW + 10, PLAIN), Fresh)
    assert while_revalidating(held.entry, NOW + 40, PLAIN)
    assert not while_revalidating(held.entry, NOW + 41, PLAIN)


@pytest.mark.parametrize("soft", [False, True])
def test_an_answer_that_was_on_its_way_is_not_kept_as_fresh(soft: bool) -> None:
    store = Store(LIMIT, LIMIT)
    purged(store, purge("key", "red", soft=soft), NOW + 1)
    for uri, labels, requested, fresh in (
        ("http://press/late", b"red", NOW, False),
        ("http://press/at-once", b"red", NOW + 1, False),
        ("http://press/after", b"red", NOW + 1.1, True),
        ("http://press/blue", b"blue", NOW, True),
        ("http://other/late", b"red", NOW, True),
    ):
        store.add(entry(uri, labels, requested), Body())
        found = store.get(uri)
        assert [is_fresh(held.entry, NOW + 2) for held in found] == ([fresh] if fresh or soft else [])


def test_one_that_is_not_kept_has_its_body_pass_through() -> None:
    store = Store(LIMIT, LIMIT)
    purged(store, purge("zone"), NOW)
    body = Body()
    held = store.add(entry("http://press/a"), body)
    store.grow(held, body, 100)
    assert not body.kept and store.used_bytes == 0
    store.remove(held)


def test_the_slices_of_what_is_purged_go_with_it_and_those_that_still_come_are_not_kept() -> None:
    store = Store(LIMIT, LIMIT)
    held = store.add(entry("http://press/film"), Sliced(1 << 30, lambda work: work.close(), 4096))
    assert store.add_slice(held, 0, 4096)
    assert purged(store, purge("zone", soft=True), NOW + 1) == 1 and store.add_slice(held, 1, 4096)
    assert purged(store, purge("url", "/film"), NOW + 1) == 1
    assert not store.add_slice(held, 2, 4096)
    assert (store.used_bytes, held.slices) == (0, {})
    late = store.add(entry("http://press/film"), Sliced(1 << 30, lambda work: work.close(), 4096))
    assert not store.add_slice(late, 0, 4096)


def test_a_validation_that_was_on_its_way_makes_nothing_fresh_again() -> None:
    store = Store(LIMIT, LIMIT)
    held = store.add(entry("http://press/a"), Body())
    purged(store, purge("url", "/a", soft=True), NOW + 5)
    store.update(held, entry("http://press/a", requested=NOW + 4))
    assert not is_fresh(held.entry, NOW + 6)
    store.update(held, entry("http://press/a", requested=NOW + 6))
    assert is_fresh(held.entry, NOW + 7)


def test_what_is_new_or_validated_between_two_steps_stays_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "STEP", 1)
    for soft in (False, True):
        store = Store(LIMIT, LIMIT)
        first, second, third = (store.add(entry(f"http://press/{n}"), Body()) for n in range(3))
        steps = store.purge([purge("zone", soft=soft)], NOW + 1)
        assert next(steps) == 1
        assert (
            not is_fresh(store.get("http://press/0")[0].entry, NOW + 1)
            if soft
            else not store.get("http://press/0")
        )
        new = store.add(entry("http://press/0", requested=NOW + 2), Body())
        store.update(second, entry("http://press/1", requested=NOW + 2))
        store.finish(third, 5)
        assert sum(steps) == 1
        assert is_fresh(new.entry, NOW + 3) and is_fresh(second.entry, NOW + 3)
        assert not is_fresh(third.entry, NOW + 3) if soft else not store.get("http://press/2")
        assert first.entry is not new.entry


def test_labels_that_a_validation_changed_are_those_that_count() -> None:
    store = Store(LIMIT, LIMIT)
    held = store.add(entry("http://press/a", b"red"), Body())
    store.update(held, entry("http://press/a", b"blue"))
    assert purged(store, purge("key", "red"), NOW) == 0
    assert purged(store, purge("key", "blue"), NOW) == 1


def test_everything_is_stale_for_who_cannot_know_what_he_missed() -> None:
    store, made = filled()
    assert purged(store, None, NOW + 1) == len(made)
    late = store.add(entry("http://press/late"), Body())
    assert not any(is_fresh(held.entry, NOW + 1) for held in (*made.values(), late))


def test_late_answers_are_held_against_a_bounded_number_of_purges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "RECENT_MOST", 3)
    recent = Recent()
    for number in range(5):
        recent.add(purge("url", f"/{number}"), NOW + number)
    for requested, verdict in ((NOW, True), (NOW + 1, True), (NOW + 1.5, None), (NOW + 9, None)):
        assert recent.verdict(entry("http://press/x", requested=requested), ()) is verdict
    assert recent.verdict(entry("http://press/4", requested=NOW + 2), ()) is False


def test_what_has_very_many_labels_is_found_too_and_takes_no_room_for_them() -> None:
    labels, many = Labels[str](), frozenset(b"%d" % number for number in range(MOST + 1))
    labels.add("many", many)
    labels.add("one", frozenset({b"7"}))
    assert sorted(labels.having(b"7")) == ["many", "one"]
    assert len(labels._by_label) == 1
    labels.remove("many", many)
    labels.remove("one", frozenset({b"7"}))
    assert labels.having(b"7") == [] and not labels._by_label


NAMES = st.sampled_from(["/", "/a", "/a/", "/a/b", "/ab", "/a?x"])
LABELS = st.frozensets(st.sampled_from([b"red", b"blue", b"/a"]), max_size=3)


@given(
    st.lists(st.tuples(st.sampled_from(["press", "other"]), NAMES, LABELS), max_size=12),
    st.sampled_from(KINDS),
    st.sampled_from(["/", "/a", "/a/", "red", "blue", "/a?x"]),
    st.booleans(),
)
def test_the_store_finds_exactly_what_a_purge_concerns(
    rows: list[tuple[str, str, frozenset[bytes]]], kind: str, value: str, soft: bool
) -> None:
    store, which = Store(LIMIT, LIMIT), purge(kind, "" if kind == "zone" else value, soft=soft)
    for zone, rest, labels in rows:
        store.add(entry(f"https://{zone}{rest}", b" ".join(labels)), Body())
    uris = {f"https://{zone}{rest}" for zone, rest, _ in rows}
    held = {uri: store.get(uri)[0] for uri in uris}
    meant = {uri for uri, each in held.items() if concerns(which, uri, each.labels)}
    assert purged(store, which, NOW) == len(meant)
    left = {uri for uri in uris if any(is_fresh(each.entry, NOW) for each in store.get(uri))}
    assert left == uris - meant


@given(
    st.lists(
        st.builds(
            purge,
            st.sampled_from(KINDS),
            st.sampled_from(["/", "/a", "/a/b", "red", "blue"]),
            zone=st.sampled_from(["press", "other"]),
            soft=st.booleans(),
        )
    ),
    st.sampled_from(["http://press/a", "http://press/a/b?c=1", "https://other/x"]),
    st.sets(st.sampled_from([b"red", b"green"])),
)
def test_when_slices_were_purged_last_is_when_a_hard_purge_last_concerned_them(
    purges: list[Purge], uri: str, labels: set[bytes]
) -> None:
    hard = Hard()
    purges = [replace(each, value="") if each.kind == "zone" else each for each in purges]
    for heard, each in enumerate(purges):
        hard.add(each, heard)
    concerning = [heard for heard, each in enumerate(purges) if not each.soft and concerns(each, uri, labels)]
    assert hard.last(uri, labels) == max(concerning, default=float("-inf"))


def test_f20_what_is_remembered_of_purges_is_bounded_and_what_is_forgotten_counts_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(purging, "HARD_MOST", 2)
    monkeypatch.setattr(purging, "PREFIXES_MOST", 2)
    hard = Hard()
    for heard, kind in enumerate(["url", "prefix", "url", "prefix", "url"]):
        hard.add(purge(kind, f"/{heard}"), heard)
    assert hard.last("http://press/x", ()) == hard.last("http://other/0", ()) == 0
    hard.add(purge("prefix", "/5"), 5)
    assert hard.last("http://press/x", ()) == 1 and hard.last("http://press/5", ()) == 5
    hard.add(None, 6)
    assert hard.last("http://press/x", ()) == 1
