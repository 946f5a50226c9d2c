"""Who owns what among caches that know the same names: an equal share each, and little moves."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edge.cache.rendezvous import owner, ranked

NAMES = st.sets(st.text(min_size=1, max_size=20), min_size=1, max_size=8)
KEYS = [f"/v1/blobs/film/1/720p/{number}.m4s#0" for number in range(2000)]


@given(NAMES, st.text(max_size=40))
def test_the_owner_is_the_first_in_rank_whatever_the_order_of_the_names(names: set[str], key: str) -> None:
    one_way, other_way = ranked(sorted(names), key), ranked(sorted(names, reverse=True), key)
    assert one_way == other_way
    assert sorted(one_way) == sorted(names)
    assert owner(names, key) == one_way[0]


@given(NAMES, st.text(min_size=21, max_size=22), st.lists(st.text(max_size=30), max_size=30))
def test_a_name_that_comes_takes_from_others_and_nothing_moves_between_them(
    names: set[str], newcomer: str, keys: list[str]
) -> None:
    for key in keys:
        assert owner(names | {newcomer}, key) in (owner(names, key), newcomer)


@given(NAMES.filter(lambda names: len(names) > 1), st.lists(st.text(max_size=30), max_size=30))
def test_what_a_name_that_goes_owned_is_the_next_ones_in_rank(names: set[str], keys: list[str]) -> None:
    gone = min(names)
    for key in keys:
        left = [name for name in ranked(names, key) if name != gone]
        assert ranked(names - {gone}, key) == left


def test_each_owns_an_equal_share() -> None:
    names = [f"https://shield-{letter}.example" for letter in "abcde"]
    shares = Counter(owner(names, key) for key in KEYS)
    assert set(shares) == set(names)
    assert all(0.8 < share / (len(KEYS) / len(names)) < 1.2 for share in shares.values())
