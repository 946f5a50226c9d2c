"""Vary: the answers of a URI are told apart as RFC 9111 §4.1 says, and no further (H23)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http import vary
from edge.http.entry import GUARDED, PLAIN
from tests.edge.http.exchange import NOW, get, lines, stored

FRESH = "Cache-Control: max-age=5000"

MATCHES: list[tuple[str, str, str, bool]] = [  # Vary, the request stored, the request now, does it match
    ("Foo", "Foo: 1", "Foo: 1", True),
    ("Foo", "Foo: 1", "Foo: 2", False),
    ("Foo", "", "Foo: 1", False),
    ("Foo", "Foo: 1", "", False),
    ("Foo", "", "", True),
    ("Foo", "Foo:", "", False),  # empty is not absent
    ("Foo", "Foo: 1\nOther: 2", "Foo: 1\nOther: 3", True),
    ("Foo, Bar", "Foo: 1\nBar: abc", "Bar: abc\nFoo: 1", True),
    ("Foo, Bar", "Foo: 1\nBar: abc", "Foo: 2\nBar: abc", False),
    ("Foo, Bar, Baz", "Foo: 1\nBaz: 789", "Foo: 1\nBaz: 789", True),
    ("Foo, Bar, Baz", "Foo: 1\nBar: abc\nBaz: 789", "Foo: 1\nBaz: 789\nBar: abcde", False),
    ("", "Foo: 1", "Foo: 2", True),
    # spaces around commas, and in how many lines it came
    ("Foo", "Foo: 1, 2", "Foo: 1\nFoo: 2", True),
    ("Foo", "Foo: 1,2", "Foo:  1, 2 ", True),
    ("Foo", "Foo: 1, 2", "Foo: 2, 1", False),
    ("Foo", "Foo: a", "Foo: A", False),
    ("Foo", 'Foo: "1, 2"', 'Foo: "1,2"', False),
    # negotiation: order, case and spelling say nothing
    ("Accept-Language", "Accept-Language: en, de", "Accept-Language: de, en", True),
    ("Accept-Language", "Accept-Language: en, de", "Accept-Language: eN, De", True),
    ("Accept-Language", "Accept-Language: en, de", "Accept-Language:  en ,   de", True),
    ("Accept-Language", "Accept-Language: en;q=1.0", "Accept-Language: en", True),
    ("Accept-Language", "Accept-Language: en, de;q=0.5", "Accept-Language: en, de;q=0.50", True),
    ("Accept-Language", "Accept-Language: en, de;q=0.5", "Accept-Language: en;q=0.5, de", False),
    ("Accept-Language", "Accept-Language: en", "Accept-Language: en-GB", False),
    ("Accept-Language", "Accept-Language: en, de;q=2", "Accept-Language: de;q=2, en", False),
    ("Accept-Encoding", "Accept-Encoding: gzip, br", "Accept-Encoding: BR,gzip", True),
    ("Accept-Encoding", "Accept-Encoding: gzip", "Accept-Encoding: br", False),
    ("Accept-Encoding", "Accept-Encoding: gzip;q=0", "Accept-Encoding: gzip", False),
]


@pytest.mark.parametrize(("names", "then", "now", "same"), MATCHES)
def test_h23_what_matches(names: str, then: str, now: str, same: bool) -> None:
    entry = stored(f"{FRESH}\nVary: {names}", then)
    request = get(now)
    assert vary.matches(entry, request.fields, PLAIN) == same
    key = vary.variant_key(vary.variant(vary.names(entry.fields) or (), request.fields, PLAIN))
    assert (key == vary.variant_key(entry.variant)) == same


@pytest.mark.parametrize("value", ["*", "*, *", ", *", "*, Foo", "Foo, *", "Foo\nVary: *", "\nVary: *"])
def test_h23_a_star_anywhere_matches_nothing(value: str) -> None:
    assert vary.names(lines(f"Vary: {value}")) is None


def test_names_are_in_one_order_and_one_case() -> None:
    assert vary.names(lines("Vary: Foo, bar\nVary: BAR")) == (b"bar", b"foo")
    assert vary.names([]) == ()


def test_where_the_order_of_languages_counts_it_counts() -> None:
    entry = stored(f"{FRESH}\nVary: Accept-Language", "Accept-Language: en, de", rules=GUARDED)
    assert vary.matches(entry, lines("Accept-Language: EN,de"), GUARDED)
    assert not vary.matches(entry, lines("Accept-Language: de, en"), GUARDED)


SELECTS: list[tuple[str, str, bool]] = [  # the language stored, what is asked for, is it that
    ("de", "fr;q=0.5, de;q=1.0", True),
    ("de", "fr;q=0.5, de", True),
    ("de", "fr, de", False),
    ("de", "fr, de;q=0.9", False),
    ("de", "de;q=0", False),
    ("de", "de-AT", False),
    ("DE", "de", True),
    ("de, en", "de", False),
    ("de", "de;q=x", False),
    ("", "de", False),
]


@pytest.mark.parametrize(("language", "wanted", "same"), SELECTS)
def test_the_language_wanted_most_is_what_was_asked_for(language: str, wanted: str, same: bool) -> None:
    entry = stored(
        f"{FRESH}\nVary: Accept-Language, Foo\nContent-Language: {language}",
        "Accept-Language: en, de\nFoo: 1",
    )
    asked = f"Accept-Language: {wanted}\nFoo: "
    assert bool(vary.choose([entry], get(asked + "1"), PLAIN)) == same
    assert not vary.choose([entry], get(asked + "2"), PLAIN)
    assert not vary.choose([entry], get(asked + "1"), GUARDED)


def test_of_those_that_match_the_most_recent_by_date_is_chosen() -> None:
    entries = [
        replace(stored(FRESH), date=NOW + at, received=NOW + came) for at, came in ((1, 9), (3, 1), (3, 2))
    ]
    assert vary.newest(entries) is entries[2]


def test_one_that_matches_comes_before_one_in_the_same_language() -> None:
    common = f"{FRESH}\nVary: Accept-Language\nContent-Language: de"
    selected = stored(common, "Accept-Language: en, de", at=NOW + 5)
    matching = stored(common, "Accept-Language: de")
    assert vary.choose([selected, matching], get("Accept-Language: de"), PLAIN) == [matching]


values = st.lists(st.sampled_from(["1", "2", "a b", "A"]), min_size=1, max_size=3)
headers = st.dictionaries(st.sampled_from(["foo", "bar", "baz"]), values)


@given(
    nominated=st.sets(st.sampled_from(["foo", "bar", "baz", "qux"])),
    then=headers,
    now=headers,
    data=st.data(),
)
def test_vary_matches_as_the_rfc_has_it(
    nominated: set[str], then: dict[str, list[str]], now: dict[str, list[str]], data: st.DataObject
) -> None:
    entry = stored(f"{FRESH}\nVary: {', '.join(nominated)}", spelled(then, data))
    matching = reference(nominated, then, now)
    assert vary.matches(entry, lines(spelled(now, data)), PLAIN) == matching


def reference(nominated: set[str], then: dict[str, list[str]], now: dict[str, list[str]]) -> bool:
    """§4.1: the fields match when one can be made the other by whitespace and by combining lines.

    "If a header field is absent from a request, it can only match another if it is absent there too."
    """
    return all(then.get(name) == now.get(name) for name in nominated)


def spelled(fields: dict[str, list[str]], data: st.DataObject) -> str:
    """The same fields in one of the ways they can be sent: lines split or combined, spaces or none."""
    found = []
    for name, members in fields.items():
        joined = data.draw(st.sampled_from([",", ", ", " ,\t", f"\n{name}: "]))
        found.append(f"{name}: {joined.join(members)}")
    return "\n".join(data.draw(st.permutations(found)))


@given(st.dictionaries(st.binary(max_size=4), st.none() | st.binary(max_size=4), max_size=3), st.data())
def test_no_two_variants_have_one_key(one: dict[bytes, bytes | None], data: st.DataObject) -> None:
    other = data.draw(st.dictionaries(st.binary(max_size=4), st.none() | st.binary(max_size=4), max_size=3))
    first, second = tuple(sorted(one.items(), key=repr)), tuple(sorted(other.items(), key=repr))
    assert (vary.variant_key(first) == vary.variant_key(second)) == (first == second)
