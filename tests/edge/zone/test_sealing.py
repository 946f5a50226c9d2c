"""Entries of zones in Redis open where and as they were put, and nowhere else (SECURITY 3.3, T20)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http import vary
from edge.http.entry import DAY_S, GUARDED, PLAIN, Entry, Request, Response
from edge.http.storing import Stored, may_store
from edge.zone.sealing import (
    AHEAD_S,
    BadEntry,
    What,
    entry_name,
    open_sealed,
    parts_name,
    read_head,
    read_pointer,
    seal,
    variant_name,
    write_head,
    write_pointer,
)
from edge.zone.zone import Origin, Zone
from keys.region_ring import ENTRIES_LIVE_S, RegionRing

NOW = 1_700_000_000.0
ZONE = Zone.parse("/=http://origin")
RING = RegionRing.of(bytes(range(32)), NOW)
NONCE = bytes(12)
WHATS = st.builds(
    What, st.text(max_size=20), st.integers(0, 2**32 - 1), st.integers(0, 2**40), st.binary(max_size=20)
)
NAMES = st.sampled_from([b"vary", b"x-a", b"content-type", b"etag", b"last-modified"])
VALUES = st.binary(max_size=30).map(lambda value: value.translate(None, bytes(range(32))))


def sealed(what: What, plain: bytes, at: float = NOW, ring: RegionRing = RING) -> bytes:
    return seal(ring, what, plain, stored_at=at, nonce=NONCE)


@given(WHATS, st.binary(max_size=200))
def test_what_is_sealed_opens(what: What, plain: bytes) -> None:
    assert open_sealed(RING, what, sealed(what, plain), now=NOW) == plain


@given(WHATS, WHATS, st.binary(max_size=50))
def test_t20_what_is_put_in_another_place_does_not_open(one: What, other: What, plain: bytes) -> None:
    if one != other:
        with pytest.raises(BadEntry):
            open_sealed(RING, other, sealed(one, plain), now=NOW)


@given(WHATS, st.binary(max_size=50), st.data())
def test_t20_what_is_altered_or_cut_does_not_open(what: What, plain: bytes, data: st.DataObject) -> None:
    good = sealed(what, plain)
    at = data.draw(st.integers(0, len(good) - 1))
    flipped = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    for bad in (flipped, good[:at], good + b"x", good[:1] + good, b""):
        with pytest.raises(BadEntry):
            open_sealed(RING, what, bad, now=NOW)


def test_another_regions_key_opens_nothing() -> None:
    with pytest.raises(BadEntry):
        open_sealed(RegionRing.of(bytes(32), NOW), What("a"), sealed(What("a"), b"x"), now=NOW)


def test_after_a_rotation_the_key_before_opens_what_it_sealed_until_it_retires() -> None:
    ring = RING.rotated(bytes(32), NOW)
    old, new = sealed(What("a"), b"old"), sealed(What("a"), b"new", ring=ring)
    assert open_sealed(ring, What("a"), old, now=NOW) == b"old"
    assert open_sealed(ring, What("a"), new, now=NOW) == b"new"
    with pytest.raises(BadEntry):
        open_sealed(RING, What("a"), new, now=NOW)
    late = sealed(What("a"), b"late", NOW + ENTRIES_LIVE_S - 10, RING)
    with pytest.raises(BadEntry):
        open_sealed(ring, What("a"), late, now=NOW + ENTRIES_LIVE_S)


def test_t20_an_old_one_opens_for_a_day_and_one_of_the_future_not_at_all() -> None:
    ring, what = RING, What("a")
    assert open_sealed(ring, what, sealed(what, b"x"), now=NOW + DAY_S) == b"x"
    assert open_sealed(ring, what, sealed(what, b"x"), now=NOW - AHEAD_S) == b"x"
    for now in (NOW + DAY_S + 1, NOW - AHEAD_S - 1):
        with pytest.raises(BadEntry):
            open_sealed(ring, what, sealed(what, b"x"), now=now)


@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=6), st.binary(max_size=100), st.sampled_from([PLAIN, GUARDED])
)
def test_an_entry_is_read_as_it_was_written(
    fields: list[tuple[bytes, bytes]], body: bytes, rules: object
) -> None:
    rules = GUARDED if rules is GUARDED else PLAIN
    response = Response(200, [(b"cache-control", b"max-age=60, stale-while-revalidate=9"), *fields])
    request = Request("GET", "http://zone/a?b", [(b"x-a", b"1")])
    found = may_store(request, response, rules, requested=NOW, received=NOW + 0.25)
    if isinstance(found, Stored):
        entry = replace(found.entry, length=len(body))
        assert read_head(write_head(entry, body), rules) == (entry, body)
        assert read_head(write_head(entry, None), rules) == (entry, None)


@given(st.binary(max_size=60))
def test_what_is_no_head_is_bad(data: bytes) -> None:
    with pytest.raises(BadEntry):
        read_head(data, PLAIN)


def test_a_body_of_another_length_than_its_head_says_is_bad() -> None:
    response = Response(200, [(b"cache-control", b"max-age=60")])
    found = may_store(Request("GET", "http://z/", []), response, PLAIN, requested=NOW, received=NOW)
    assert isinstance(found, Stored)
    entry: Entry = replace(found.entry, length=3)
    with pytest.raises(BadEntry):
        read_head(write_head(entry, b"four"), PLAIN)


@given(st.binary(max_size=8), st.lists(st.binary(max_size=9)))
def test_a_pointer_names_an_epoch_and_fields(epoch: bytes, names: list[bytes]) -> None:
    assert read_pointer(write_pointer(epoch, names)) == (epoch, tuple(names))


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\0\0", b"\0\0\0\0{}", b"\0\0\0\0[1]", b"\0\0\0\0[]", b'\0\0\0\0["\\u1234"]']
)
def test_what_is_no_pointer_is_bad(data: bytes) -> None:
    with pytest.raises(BadEntry):
        read_pointer(data)


def test_names_differ_by_uri_epoch_and_variant() -> None:
    of = vary.variant((b"accept-language",), [(b"accept-language", b"de")], PLAIN)
    names = {
        entry_name(ZONE, "http://z/a"),
        entry_name(ZONE, "http://z/b"),
        variant_name(ZONE, "http://z/a", b"1", of),
        variant_name(ZONE, "http://z/a", b"2", of),
        variant_name(ZONE, "http://z/a", b"1", ()),
        variant_name(ZONE, "http://z/b", b"1", of),
    }
    other = replace(ZONE, origins=(Origin.parse("http://other"),))  # a zone of that name once had another
    assert entry_name(other, "http://z/a") not in names
    assert parts_name(ZONE, "x") != parts_name(other, "x")
    assert len(names) == 6
