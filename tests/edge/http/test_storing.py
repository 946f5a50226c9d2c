"""What a shared cache may store: the list of RFC 9111 §3, line by line (H17, H20, H26, T8)."""

import pytest

from edge.http.entry import GUARDED, PLAIN, Rules
from edge.http.storing import NotStored, Stored
from tests.edge.http.exchange import NOW, stored, tried

FRESH = "Cache-Control: max-age=60"
MODIFIED = "Last-Modified: Thu, 14 Jan 2027 08:00:00 GMT"

STATUSES = (200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599)


@pytest.mark.parametrize("status", STATUSES)
def test_any_final_status_with_explicit_freshness_is_stored(status: int) -> None:
    assert isinstance(tried(FRESH, status=status), Stored)


GUESSED = {200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501}


@pytest.mark.parametrize("status", [*sorted(GUESSED), 201, 202, 302, 403, 500, 502, 503, 504, 599])
def test_only_some_statuses_are_fresh_by_guess(status: int) -> None:
    assert isinstance(tried(MODIFIED, status=status), Stored) == (status in GUESSED)
    assert isinstance(tried(f"{MODIFIED}\nCache-Control: public", status=status), Stored)


REFUSED: list[tuple[str, int, str, str]] = [  # response, status, request, reason
    (f"{FRESH}, no-store", 200, "", "no-store"),
    (f"{FRESH}, private", 200, "", "private"),
    (f"{FRESH}\nVary: *", 200, "", "vary *"),
    (f"{FRESH}\nVary: , a, *", 200, "", "vary *"),
    (FRESH, 304, "", "status not understood"),
    (FRESH, 103, "", "interim"),
    (f"{FRESH}, must-understand", 599, "", "status not understood"),
    (f"{FRESH}, no-store, must-understand", 599, "", "status not understood"),
    (FRESH, 200, "Cache-Control: no-store", "request no-store"),
    (FRESH, 200, "Authorization: x", "authorization"),
    ("", 200, "", "neither fresh nor to validate"),
    ("Cache-Control: max-age=0", 200, "", "neither fresh nor to validate"),
    (f"{FRESH}, no-cache", 200, "", "neither fresh nor to validate"),
    (f"{FRESH}\nAge: 60", 200, "", "neither fresh nor to validate"),
    (f"{MODIFIED}", 599, "", "no freshness"),
    (FRESH, 206, "", "partial without its place"),
    (f"{FRESH}\nContent-Range: bytes 4-9/10\nContent-Length: 5", 206, "", "partial without its place"),
    (f"{FRESH}\nContent-Range: bytes 4-9/*", 206, "", "partial without its place"),
    (f"{FRESH}\nContent-Range: bytes 4-10/10", 206, "", "partial without its place"),
    (f"{FRESH}\nCDN-Cache-Control: no-store", 200, "", "no-store"),
    (f"{FRESH}\nCDN-Cache-Control: private", 200, "", "private"),
]


@pytest.mark.parametrize(("response", "status", "request_", "reason"), REFUSED)
def test_what_may_not_be_stored_says_why(response: str, status: int, request_: str, reason: str) -> None:
    found = tried(response, request_, status=status)
    assert isinstance(found, NotStored) and found.reason == reason


ALLOWED: list[tuple[str, str]] = [  # response, request
    (f"{FRESH}, no-store, must-understand", ""),  # we understand 200
    (f"{FRESH}, public", "Authorization: x"),
    (f"{FRESH}, must-revalidate", "Authorization: x"),
    ("Cache-Control: s-maxage=60", "Authorization: x"),
    ('Cache-Control: no-cache\nETag: "a"', ""),
    ('Cache-Control: max-age=0\nETag: "a"', ""),
    ("Cache-Control: max-age=0, stale-if-error=60", ""),
    (f"{FRESH}\nSet-Cookie: a=b", ""),
    (f"{FRESH}\nContent-Disposition: attachment", "Cookie: a=b"),
    ("Cache-Control: no-store\nCDN-Cache-Control: max-age=60", ""),
    (f"{FRESH}\nCDN-Cache-Control: no-store, &", ""),
]


@pytest.mark.parametrize(("response", "request_"), ALLOWED)
def test_what_may_be_stored_is(response: str, request_: str) -> None:
    assert isinstance(tried(response, request_), Stored)


def test_methods_other_than_get_are_not_stored_but_a_post_that_is_what_get_gives() -> None:
    itself = "Expires: Sat, 16 Jan 2027 08:00:00 GMT\nContent-Location: http://films.example/a/film?x=1"
    assert isinstance(tried(itself, method="POST"), Stored)
    assert isinstance(tried("Cache-Control: max-age=9\nContent-Location: ?x=1", method="POST"), Stored)
    assert isinstance(tried(itself, method="POST", rules=GUARDED), NotStored)
    assert isinstance(tried(FRESH, method="POST"), NotStored)
    assert isinstance(tried(f"{FRESH}\nContent-Location: /b", method="POST"), NotStored)
    assert isinstance(tried(f"{MODIFIED}\nContent-Location: ?x=1", method="POST"), NotStored)
    for method in ("HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "M-SEARCH"):
        assert isinstance(tried(itself, method=method), NotStored)


def test_the_fields_stored_are_those_of_the_answer_not_of_the_hop() -> None:
    entry = stored(
        """Cache-Control: max-age=60, no-cache="b", private=c
        Connection: a
        A: 1
        b: 2
        c: 3
        d: 4
        Proxy-Authenticate: x
        Trailer: e
        Age: 5
        Content-Length: 12
        Surrogate-Key: film"""
    )
    kept = {name for name, _ in entry.fields}
    assert kept == {b"cache-control", b"d", b"content-length", b"surrogate-key", b"date"}
    assert entry.length == 12 and entry.initial_age_s == 5


def test_a_connection_field_cannot_take_the_origins_no_store_away() -> None:
    assert isinstance(tried("Cache-Control: no-store, max-age=9\nConnection: cache-control"), NotStored)


def test_an_answer_without_a_date_gets_that_of_its_arrival() -> None:
    date = (b"date", b"Fri, 15 Jan 2027 08:00:00 GMT")
    assert date in stored(FRESH).fields
    assert [date] == [f for f in stored(f"{FRESH}\nDate: soon").fields if f[0] == b"date"]
    assert stored(f"{FRESH}\nDate: Fri, 15 Jan 2027 07:59:59 GMT").date == NOW - 1


def test_a_guarded_zone_stores_no_cookies_and_no_errors() -> None:
    assert isinstance(tried(f"{FRESH}\nSet-Cookie: a=b", rules=GUARDED), NotStored)
    for status in (400, 405, 411, 413, 414, 416, 417, 431, 500, 501, 502, 503, 504):
        assert isinstance(tried(FRESH, status=status, rules=GUARDED), NotStored)
    assert stored(FRESH, status=404, rules=GUARDED).lifetime_s == 10
    assert stored(FRESH, status=404, rules=PLAIN).lifetime_s == 60


def test_a_body_over_the_limit_is_not_stored() -> None:
    rules = Rules(body_most=10)
    assert isinstance(tried(f"{FRESH}\nContent-Length: 11", rules=rules), NotStored)
    assert isinstance(tried(f"{FRESH}\nContent-Length: 10", rules=rules), Stored)


def test_a_part_is_stored_with_its_place() -> None:
    entry = stored(f"{FRESH}\nContent-Range: bytes 4-8/10\nContent-Length: 5", status=206)
    assert entry.span == (4, 9, 10) and entry.length == 5


def test_the_variant_is_what_the_request_said() -> None:
    entry = stored(f"{FRESH}\nVary: Foo, BAR", "Foo: 1 , 2")
    assert entry.variant == ((b"bar", None), (b"foo", b"1,2"))
