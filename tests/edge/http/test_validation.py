"""What a 304 and an answer to HEAD change of an entry (RFC 9111 §3.2, §4.3.4, §4.3.5)."""

import pytest

from edge.http.entry import PLAIN, Entry, Rules
from edge.http.fields import get as field
from edge.http.freshness import age, is_fresh
from edge.http.reuse import Validate, decide
from edge.http.validation import Freshened, after_head, conditional_request, freshen
from tests.edge.http.exchange import NOW, get, lines, stored, told

OLD = 'Cache-Control: max-age=2\nETag: "a"\nContent-Length: 5\nX-A: 1\nX-B: 1\nAge: 1'
LATER = NOW + 10


def freshened(response: str, entry: Entry | None = None, rules: Rules = PLAIN) -> Freshened | None:
    return freshen(
        stored(OLD) if entry is None else entry,
        get(),
        told(response, 304),
        rules,
        requested=LATER - 1,
        received=LATER,
    )


def kept(response: str, entry: Entry | None = None) -> Entry:
    found = freshened(response, entry)
    assert found is not None and found.keep
    return found.entry


def test_a_304_makes_it_fresh_again_and_young() -> None:
    entry = kept("Date: Fri, 15 Jan 2027 08:00:10 GMT")
    assert is_fresh(entry, LATER) and age(entry, LATER) == 1
    assert age(kept('Age: 7\nETag: "a"'), LATER) == 8
    assert entry.date == LATER and field(entry.fields, b"date") == b"Fri, 15 Jan 2027 08:00:10 GMT"
    assert kept("").date == LATER  # it had no Date: when it came


UPDATED = ["Test-Header", "X-Test-Header", "Content-Foo", "X-Content-Foo", "Content-Type", "Content-Location"]
UNCHANGED = ["Content-Length", "Content-Encoding", "Content-Range", "Content-MD5", "Content-Digest"]


@pytest.mark.parametrize("name", [*UPDATED, *UNCHANGED])
def test_fields_that_came_replace_those_stored_but_those_of_its_bytes(name: str) -> None:
    entry = kept(f"{name}: 7", stored(f'Cache-Control: max-age=2\nETag: "a"\n{name}: 5\nX-B: 1'))
    assert field(entry.fields, name.lower().encode()) == (b"7" if name in UPDATED else b"5")
    assert field(entry.fields, b"x-b") == b"1"


def test_what_a_304_says_of_the_hop_is_not_stored() -> None:
    assert field(kept("Connection: X-A\nX-A: 2\nKeep-Alive: x").fields, b"x-a") == b"1"


def test_directives_that_came_count_from_now_on() -> None:
    assert kept("Cache-Control: max-age=3600").lifetime_s == 3600
    for directive in ("no-store", "private"):
        found = freshened(f"Cache-Control: {directive}")
        assert found is not None and not found.keep
    starred = freshened("Vary: *")
    assert starred is not None and not starred.keep


IDENTITIES: list[tuple[str, str, bool]] = [  # stored, what the 304 says, is it about that
    ('ETag: "a"', "", True),
    ('ETag: "a"', 'ETag: "a"', True),
    ('ETag: "a"', 'ETag: W/"a"', True),
    ('ETag: W/"a"', 'ETag: W/"a"', True),
    ('ETag: W/"a"', 'ETag: "a"', False),
    ('ETag: "a"', 'ETag: "b"', False),
    ("Last-Modified: Thu, 14 Jan 2027 08:00:00 GMT", 'ETag: "b"', False),
    ("Last-Modified: Thu, 14 Jan 2027 08:00:00 GMT", "Last-Modified: Thu, 14 Jan 2027 08:00:00 GMT", True),
    ("Last-Modified: Thu, 14 Jan 2027 08:00:00 GMT", "Last-Modified: Thu, 14 Jan 2027 09:00:00 GMT", False),
]


@pytest.mark.parametrize(("had", "came", "same"), IDENTITIES)
def test_a_304_about_another_says_nothing_of_ours(had: str, came: str, same: bool) -> None:
    assert (freshened(came, stored(f"Cache-Control: max-age=2\n{had}")) is not None) == same


def test_a_cookie_in_a_304_is_not_stored_where_none_are() -> None:
    found = freshened("Set-Cookie: a=b", rules=Rules(store_cookies=False))
    assert found is not None and field(found.entry.fields, b"set-cookie") is None


def test_the_request_that_asks_has_our_conditions_and_the_clients_other_fields() -> None:
    asked = get('If-None-Match: "x"\nIf-Modified-Since: y\nRange: bytes=0-1\nIf-Range: "x"\nAbc: 123')
    found = decide(asked, [stored(OLD)], NOW + 5, PLAIN)
    assert isinstance(found, Validate)
    assert conditional_request(asked, found) == lines('Abc: 123\nIf-None-Match: "a"')


def headed(response: str, status: int = 200, had: str = OLD) -> Freshened:
    return after_head(
        stored(had), get("", "HEAD"), told(response, status), PLAIN, requested=LATER, received=LATER
    )


def test_a_head_that_is_the_same_updates_and_one_that_is_not_invalidates() -> None:
    same = headed("X-A: 2\nCache-Control: max-age=1000\nContent-Length: 5").entry
    assert is_fresh(same, LATER) and field(same.fields, b"x-a") == b"2" and field(same.fields, b"x-b") == b"1"
    assert not is_fresh(headed("Cache-Control: max-age=1000\nContent-Length: 6").entry, NOW)
    assert not is_fresh(headed('Cache-Control: max-age=1000\nETag: "b"').entry, NOW)
    assert headed("X-A: 2", status=410).entry == stored(OLD)
