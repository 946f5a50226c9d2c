"""Cache-Control, read as RFC 9111 §5.2 and §4.2.1 say, and CDN-Cache-Control as RFC 9213 does (H19, H22)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.directives import MOST_S, Directives, RequestDirectives, of_request, of_response, seconds
from tests.edge.http.exchange import lines

CDN = (b"cdn-cache-control",)

RESPONSES: list[tuple[str, Directives]] = [
    ("max-age=3600", Directives(max_age=3600)),
    ("MaX-aGe=3600", Directives(max_age=3600)),
    ("max-age=003600", Directives(max_age=3600)),
    ("max-age=000000000000003600", Directives(max_age=3600)),
    ('max-age="3600"', Directives(max_age=3600)),
    ("max-age=2147483648", Directives(max_age=MOST_S)),
    ("max-age=99999999999", Directives(max_age=MOST_S)),
    ("foobar, max-age=3600", Directives(max_age=3600)),
    ("max-age=3600,", Directives(max_age=3600)),
    ("  ,max-age=3600 ,, public", Directives(max_age=3600, public=True)),
    # of two, the first (§4.2.1)
    ("max-age=1800, max-age=1", Directives(max_age=1800)),
    ("max-age=1, max-age=1800", Directives(max_age=1)),
    # what is no number is stale
    ("max-age=-1", Directives(max_age=0)),
    ("max-age=3600.0", Directives(max_age=0)),
    ("max-age='3600'", Directives(max_age=0)),
    ("max-age=a3600", Directives(max_age=0)),
    ("max-age=3600a", Directives(max_age=0)),
    ("max-age =3600", Directives(max_age=0)),
    ("max-age= 3600", Directives(max_age=0)),
    ("max-age", Directives(max_age=0)),
    ("max-age=", Directives(max_age=0)),
    ("s-maxage=x, max-age=3600", Directives(max_age=3600, s_maxage=0)),
    # a directive in a quoted string is none
    ('extension="max-age=3600", max-age=1', Directives(max_age=1)),
    ('max-age=1, extension="max-age=3600"', Directives(max_age=1)),
    ('extension="x, no-store", max-age=1', Directives(max_age=1)),
    ('extension="x, no-store', Directives(no_store=True)),  # never closed: quotes nothing
    # no-cache and private, for all of it or for some fields
    ("No-StOrE", Directives(no_store=True)),
    ("no-store=x", Directives(no_store=True)),
    ("no-store;x", Directives(no_store=True)),
    ("no-cache", Directives(no_cache=True)),
    ('no-cache="a"', Directives(unstored=frozenset({b"a"}))),
    ('no-cache="A, b"', Directives(unstored=frozenset({b"a", b"b"}))),
    ("no-cache=a", Directives(unstored=frozenset({b"a"}))),
    ('no-cache=""', Directives(no_cache=True)),
    ('no-cache="a b"', Directives(no_cache=True)),
    ('no-cache ="a"', Directives(no_cache=True)),
    ('private="set-cookie"', Directives(unstored=frozenset({b"set-cookie"}))),
    ("private", Directives(private=True)),
    (
        "must-revalidate, proxy-revalidate, must-understand",
        Directives(must_revalidate=True, proxy_revalidate=True, must_understand=True),
    ),
    # RFC 5861: what cannot be read allows nothing
    (
        "max-age=1, stale-while-revalidate=30, stale-if-error=60",
        Directives(max_age=1, stale_while_revalidate=30, stale_if_error=60),
    ),
    ("stale-while-revalidate, stale-if-error=x", Directives()),
    ("", Directives()),
    ("=1, ;, \x01", Directives()),
]


@pytest.mark.parametrize(("value", "read"), RESPONSES)
def test_the_cache_control_of_a_response(value: str, read: Directives) -> None:
    assert of_response(lines(f"Cache-Control: {value}"), CDN) == read


def test_lines_of_cache_control_are_one() -> None:
    fields = lines('Cache-Control: no-cache="a"\nCache-Control: s-maxage=5')
    assert of_response(fields) == Directives(unstored=frozenset({b"a"}), s_maxage=5)


TARGETED: list[tuple[str, Directives | None]] = [  # None: as if it were not there
    ("max-age=3600", Directives(max_age=3600, targeted=True)),
    ("max-age=2147483648", Directives(max_age=MOST_S, targeted=True)),
    ("max-age=99999999999", Directives(max_age=MOST_S, targeted=True)),
    ("max-age=0", Directives(max_age=0, targeted=True)),
    ("max-age=-5", Directives(max_age=0, targeted=True)),
    ("foobar, max-age=3600", Directives(max_age=3600, targeted=True)),
    ("max-age=3600;x=1", Directives(max_age=3600, targeted=True)),
    ("max-age=1, max-age=2", Directives(max_age=2, targeted=True)),  # a dictionary: the last
    ("no-store", Directives(no_store=True, targeted=True)),
    ("no-store=?0", Directives(targeted=True)),
    ('private="a"', Directives(unstored=frozenset({b"a"}), targeted=True)),
    ("no-cache=a", Directives(unstored=frozenset({b"a"}), targeted=True)),
    ("private=(a b)", Directives(private=True, targeted=True)),
    ("foo", Directives(targeted=True)),
    ("", None),
    ("max-age =100", None),
    ("max-age= 100", None),
    ("MaX-aGe=3600", None),
    ("max-age=10000, &&&&&", None),
    ('max-age="10000"', None),
    ("max-age=1.5", None),
    ("max-age=x", None),
]


@pytest.mark.parametrize(("value", "read"), TARGETED)
def test_a_targeted_field_is_valid_or_not_there(value: str, read: Directives | None) -> None:
    fields = lines(f"CDN-Cache-Control: {value}\nCache-Control: max-age=7")
    assert of_response(fields, CDN) == (read or Directives(max_age=7))


def test_the_first_target_that_is_valid_counts() -> None:
    fields = lines("CDN-Cache-Control: max-age=1\nSluice-Cache-Control: max-age=2\nBad: &")
    assert of_response(fields, (b"bad", b"sluice-cache-control", *CDN)).max_age == 2
    assert of_response(fields).max_age is None


REQUESTS: list[tuple[str, RequestDirectives]] = [
    ("no-cache", RequestDirectives(no_cache=True)),
    ("No-Store, only-if-cached", RequestDirectives(no_store=True, only_if_cached=True)),
    ("max-age=0", RequestDirectives(max_age=0)),
    ("min-fresh=5, max-stale=6", RequestDirectives(min_fresh=5, max_stale=6)),
    ("max-stale", RequestDirectives(max_stale=MOST_S)),
    ("max-stale=x, max-age=x, min-fresh", RequestDirectives()),
    ("stale-if-error=9", RequestDirectives(stale_if_error=9)),
    ("nothing-to-see-here", RequestDirectives()),
]


@pytest.mark.parametrize(("value", "read"), REQUESTS)
def test_the_cache_control_of_a_request(value: str, read: RequestDirectives) -> None:
    assert of_request(lines(f"Cache-Control: {value}")) == read


@given(st.integers(0, 10**30), st.integers(0, 30))
def test_seconds_are_digits_and_no_more_than_the_most(number: int, zeros: int) -> None:
    assert seconds(b"0" * zeros + b"%d" % number) == min(number, MOST_S)


@given(st.binary(max_size=80))
def test_any_bytes_are_read(value: bytes) -> None:
    fields = [(b"cache-control", value), (b"cdn-cache-control", value)]
    said, asked = of_response(fields, CDN), of_request(fields)
    numbers = [said.max_age, said.s_maxage, said.stale_while_revalidate, said.stale_if_error]
    numbers += [asked.max_age, asked.min_fresh, asked.max_stale, asked.stale_if_error]
    assert all(number is None or 0 <= number <= MOST_S for number in numbers)
