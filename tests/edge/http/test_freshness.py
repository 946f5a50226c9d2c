"""Freshness and age: tables, and a reference written from RFC 9111 §4.2 (H21, H22, H24)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http import dates
from edge.http.directives import RequestDirectives, of_response
from edge.http.entry import PLAIN, Entry, Rules
from edge.http.freshness import (
    after_failure,
    age,
    age_value,
    expired,
    initial_age,
    is_fresh,
    lifetime,
    ttl,
    while_revalidating,
)
from tests.edge.http.exchange import NOW, lines, stored

DATE = "Date: Fri, 15 Jan 2027 08:00:00 GMT"


def lives(fields: str, status: int = 200, rules: Rules = PLAIN) -> float:
    found = lines(fields)
    return lifetime(status, found, of_response(found, rules.targets), NOW, rules)


LIFETIMES: list[tuple[str, float]] = [
    ("Cache-Control: max-age=60", 60),
    ("Cache-Control: max-age=60, s-maxage=5", 5),
    ("Cache-Control: s-maxage=60, max-age=5", 60),
    (f"{DATE}\nExpires: Fri, 15 Jan 2027 08:01:00 GMT", 60),
    ("Expires: Fri, 15 Jan 2027 08:01:00 GMT", 60),  # no Date: when it came
    ("Date: Fri, 15 Jan 2027 08:02:00 GMT\nExpires: Fri, 15 Jan 2027 08:01:00 GMT", -60),
    (f"{DATE}\nExpires: Fri, 15 Jan 2027 08:01:00 GMT\nCache-Control: max-age=5", 5),
    (f"{DATE}\nExpires: 0\nCache-Control: max-age=5", 5),
    (f"{DATE}\nExpires: 0", 0),
    (f"{DATE}\nExpires: Fri, 15 Jan 2027 8:01:00 GMT", 0),
    ("Expires: Fri, 15 Jan 2027 08:01:00 GMT\nExpires: Fri, 15 Jan 2027 08:02:00 GMT", 0),
    ("Expires: Fri, 15 Jan 2027 08:01:00 GMT\nExpires: Fri, 15 Jan 2027 08:01:00 GMT", 60),
    ("Expires: Fri, 15 Jan 2027 08:01:00 GMT\nCache-Control: max-age=x", 0),
    # RFC 9213: with a valid target, Cache-Control and Expires say nothing
    ("CDN-Cache-Control: max-age=9\nCache-Control: max-age=1, s-maxage=2", 9),
    ("CDN-Cache-Control: max-age=0\nExpires: Fri, 15 Jan 2027 08:01:00 GMT", 0),
    ("CDN-Cache-Control: foo\nExpires: Fri, 15 Jan 2027 08:01:00 GMT", 0),
    # §4.2.2: a tenth of the time since it was modified, at most a day
    (f"{DATE}\nLast-Modified: Thu, 14 Jan 2027 08:00:00 GMT", 8640),
    (f"{DATE}\nLast-Modified: Thu, 14 Jan 1999 08:00:00 GMT", 86400),
    (f"{DATE}\nLast-Modified: Sat, 16 Jan 2027 08:00:00 GMT", 0),
    (f"{DATE}\nLast-Modified: yesterday", 0),
    (DATE, 0),
]


@pytest.mark.parametrize(("fields", "seconds"), LIFETIMES)
def test_how_long_it_is_fresh(fields: str, seconds: float) -> None:
    assert lives(fields) == seconds


def test_what_the_operator_assigns_comes_before_a_guess_and_after_the_origin() -> None:
    rules = Rules(default_s=30)
    assert lives("Last-Modified: Thu, 14 Jan 2027 08:00:00 GMT", rules=rules) == 30
    assert lives("Cache-Control: max-age=5", rules=rules) == 5
    assert lives("", status=503, rules=rules) == 0
    assert lives("Cache-Control: max-age=99", status=404, rules=Rules(negative_most_s=10)) == 10


AGES: list[tuple[str, int]] = [
    ("Age: 5", 5),
    ("Age: 005", 5),
    ("Age: abc", 0),
    ("Age: -7200", 0),
    ("Age: 7200.0", 0),
    ("Age: 2147483647", (1 << 31) - 1),
    ("Age: 2147483648", 1 << 31),
    ("Age: 2147483649", 1 << 31),
    ("Age: 7200, 0", 7200),
    ("Age: 0, 7200", 0),
    ("Age: 7200\nAge: 0", 7200),
    ("Age: 0\nAge: 7200", 0),
    ("Age: 7200;foo=bar", 0),
    ("Age:", 0),
    ("", 0),
]


@pytest.mark.parametrize(("fields", "seconds"), AGES)
def test_the_age_that_came_is_the_first_and_a_number(fields: str, seconds: int) -> None:
    assert age_value(lines(fields)) == seconds


moments = st.integers(-200_000, 200_000)
maybe = st.none() | st.integers(0, 100_000)


@given(date=st.none() | moments, came=maybe, took=st.integers(0, 900), since=st.integers(0, 200_000))
def test_age_is_that_of_the_rfc(date: int | None, came: int | None, took: int, since: int) -> None:
    fields = [] if date is None else [(b"date", dates.write(NOW + date))]
    fields += [] if came is None else [(b"age", b"%d" % came)]
    request_time, response_time, now = NOW - took, NOW, NOW + since
    # RFC 9111 §4.2.3, letter for letter
    date_value = NOW + date if date is not None else response_time
    age_of_field = came if came is not None else 0
    apparent_age = max(0, response_time - date_value)
    response_delay = response_time - request_time
    corrected_age_value = age_of_field + response_delay
    corrected_initial_age = max(apparent_age, corrected_age_value)
    resident_time = now - response_time
    current_age = corrected_initial_age + resident_time

    assert initial_age(fields, request_time, response_time) == corrected_initial_age
    entry = replace(
        blank(), initial_age_s=initial_age(fields, request_time, response_time), received=response_time
    )
    assert age(entry, now) == current_age


@given(
    s_maxage=maybe,
    max_age=maybe,
    expires=st.none() | moments,
    date=st.none() | moments,
    modified=st.none() | st.integers(-2_000_000, 200_000),
    status=st.sampled_from([200, 201, 203, 204, 300, 302, 403, 404, 410, 500, 501, 503]),
    public=st.booleans(),
)
def test_freshness_lifetime_is_that_of_the_rfc(
    s_maxage: int | None,
    max_age: int | None,
    expires: int | None,
    date: int | None,
    modified: int | None,
    status: int,
    public: bool,
) -> None:
    control = [f"s-maxage={s_maxage}"] if s_maxage is not None else []
    control += [f"max-age={max_age}"] if max_age is not None else []
    control += ["public"] if public else []
    fields = [(b"cache-control", ", ".join(control).encode())] if control else []
    for name, at in ((b"expires", expires), (b"date", date), (b"last-modified", modified)):
        fields += [] if at is None else [(name, dates.write(NOW + at))]
    assert lifetime(status, fields, of_response(fields), NOW, PLAIN) == reference(
        s_maxage, max_age, expires, 0 if date is None else date, modified, status, public
    )


def reference(
    s_maxage: int | None,
    max_age: int | None,
    expires: int | None,
    date: int,
    modified: int | None,
    status: int,
    public: bool,
) -> float:
    """§4.2.1: "by evaluating the following rules and using the first match"."""
    if s_maxage is not None:  # "If the cache is shared and the s-maxage response directive is present"
        return s_maxage
    if max_age is not None:  # "If the max-age response directive is present"
        return max_age
    if expires is not None:  # "its value minus the value of the Date response header field"
        return expires - date
    # "Otherwise, no explicit expiration time is present in the response."
    heuristic = {200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501}  # RFC 9110 §15.1
    if modified is None or not (status in heuristic or public):
        return 0
    # "a fraction of the interval since that time. A typical setting of this fraction might be 10%."
    return max(0.0, min(0.1 * (date - modified), 86_400))


def blank() -> Entry:
    return stored("Cache-Control: max-age=60")


def test_fresh_is_younger_than_its_lifetime() -> None:
    entry = blank()
    assert is_fresh(entry, NOW + 59.9) and not is_fresh(entry, NOW + 60)
    assert ttl(entry, NOW + 70) == -10
    assert age(entry, NOW - 3600) == 0  # a clock that was set back


def test_no_cache_and_an_expired_entry_are_never_fresh() -> None:
    assert not is_fresh(stored('Cache-Control: max-age=60, no-cache\nETag: "a"'), NOW)
    assert not is_fresh(expired(blank()), NOW)


FORBIDDEN = ("must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=2")


@pytest.mark.parametrize("directive", FORBIDDEN)
def test_h24_nothing_stale_is_served_where_it_is_forbidden(directive: str) -> None:
    windows = "stale-while-revalidate=60, stale-if-error=60"
    entry = stored(f'Cache-Control: max-age=2, {windows}, {directive}\nETag: "a"')
    assert not while_revalidating(entry, NOW + 3, PLAIN)
    assert not after_failure(entry, NOW + 3, PLAIN, status=None)
    assert not after_failure(entry, NOW + 3, PLAIN, status=503)


def test_windows_beside_s_maxage_count_where_the_operator_says_so() -> None:
    entry = stored("Cache-Control: s-maxage=2, stale-while-revalidate=9")
    assert while_revalidating(entry, NOW + 3, Rules(windows_beat_s_maxage=True))
    without = stored("Cache-Control: s-maxage=2")
    assert not after_failure(without, NOW + 3, Rules(windows_beat_s_maxage=True), status=None)


def test_h24_stale_while_revalidate_ends_with_its_window() -> None:
    entry = stored("Cache-Control: max-age=1, stale-while-revalidate=4")
    assert [while_revalidating(entry, NOW + at, PLAIN) for at in (1, 5, 6)] == [True, True, False]
    assert not while_revalidating(blank(), NOW + 61, PLAIN)
    assert while_revalidating(blank(), NOW + 61, Rules(stale_while_revalidate_s=5))


def test_h24_stale_if_error_ends_with_its_window() -> None:
    entry = stored("Cache-Control: max-age=1, stale-if-error=4")
    for status in (500, 502, 503, 504, None):
        assert after_failure(entry, NOW + 5, PLAIN, status=status)
        assert not after_failure(entry, NOW + 6, PLAIN, status=status)
    assert not after_failure(entry, NOW + 3, PLAIN, status=404)


def test_who_cannot_ask_the_origin_may_serve_what_is_stale() -> None:
    assert after_failure(blank(), NOW + 999, PLAIN, status=None)
    assert not after_failure(blank(), NOW + 999, PLAIN, status=503)
    assert not after_failure(blank(), NOW + 999, Rules(stale_when_disconnected=False), status=None)
    assert after_failure(blank(), NOW + 70, PLAIN, status=503, asked=RequestDirectives(stale_if_error=10))
    assert after_failure(blank(), NOW + 70, Rules(stale_if_error_s=10), status=503)
    fresh = stored("Cache-Control: max-age=60, must-revalidate")
    assert after_failure(fresh, NOW + 5, PLAIN, status=503)  # the client wanted it validated, no more
