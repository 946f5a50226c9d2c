"""The table a cache is: what is done with a request by what is stored (RFC 9111 §4, H24, H26)."""

from dataclasses import replace

import pytest

from edge.http.entry import PLAIN, Rules
from edge.http.freshness import expired
from edge.http.reuse import Decision, Forward, Fresh, GatewayTimeout, Stale, Validate, decide
from tests.edge.http.exchange import NOW, get, stored

TAGGED = 'Cache-Control: max-age=60\nETag: "a"'
PLAINLY = "Cache-Control: max-age=60"
WINDOW = "Cache-Control: max-age=60, stale-while-revalidate=30"

TABLE: list[tuple[str, str, float, str]] = [  # stored, asked, seconds later, what is done
    (TAGGED, "", 59, "Fresh"),
    (TAGGED, "", 60, "Validate stale"),
    (PLAINLY, "", 60, "Forward stale"),
    (f"{TAGGED}\nAge: 30", "", 30, "Validate stale"),
    ('Cache-Control: max-age=60, no-cache\nETag: "a"', "", 0, "Validate stale"),
    ('Cache-Control: max-age=60, must-revalidate\nETag: "a"', "", 59, "Fresh"),
    ('Cache-Control: max-age=60, must-revalidate\nETag: "a"', "", 60, "Validate stale"),
    ("Cache-Control: max-age=60, must-revalidate", "Cache-Control: max-stale", 60, "Forward stale"),
    (WINDOW, "", 90, "Stale Forward"),
    (WINDOW + '\nETag: "a"', "", 90, "Stale Validate"),
    (WINDOW, "", 91, "Forward stale"),
    (WINDOW, "Cache-Control: max-age=70", 71, "Forward stale"),
    (WINDOW, "Cache-Control: min-fresh=0", 71, "Forward stale"),
    (WINDOW, "Cache-Control: only-if-cached", 71, "Stale Forward"),
    # §5.2.1: what the client asks of us
    (TAGGED, "Cache-Control: no-cache", 1, "Validate request"),
    (PLAINLY, "Cache-Control: no-cache", 1, "Forward request"),
    (TAGGED, "Cache-Control: max-age=0", 1, "Validate request"),
    (TAGGED, "Cache-Control: max-age=1", 1, "Fresh"),
    (f"{TAGGED}\nAge: 30", "Cache-Control: max-age=29", 0, "Validate request"),
    (TAGGED, "Cache-Control: min-fresh=30", 30, "Fresh"),
    (TAGGED, "Cache-Control: min-fresh=30", 31, "Validate request"),
    (TAGGED, "Cache-Control: max-stale=10", 70, "Fresh stale"),
    (TAGGED, "Cache-Control: max-stale=10", 71, "Validate stale"),
    (TAGGED, "Cache-Control: max-stale", 9999, "Fresh stale"),
    (TAGGED, "Cache-Control: no-store", 1, "Fresh"),
    (TAGGED, "Cache-Control: only-if-cached", 1, "Fresh"),
    (TAGGED, "Cache-Control: only-if-cached", 61, "GatewayTimeout"),
    (TAGGED, "Cache-Control: only-if-cached, max-stale=5", 61, "Fresh stale"),
    (TAGGED, "Pragma: no-cache", 1, "Fresh"),
    # what says which one it wants
    (TAGGED, 'If-Match: "a"', 1, "Fresh"),
    (TAGGED, 'If-Match: "b"', 1, "Forward request"),
    (TAGGED, 'If-None-Match: "b"', 1, "Fresh"),
    (TAGGED, "Authorization: x\nCookie: a=b", 1, "Fresh"),
    # Vary
    (f"{TAGGED}\nVary: Foo", "Foo: 1", 1, "Forward vary-miss"),
]


def said(decision: Decision) -> str:
    match decision:
        case Fresh(stale=stale):
            return "Fresh stale" if stale else "Fresh"
        case Stale(renew=renew):
            return f"Stale {type(renew).__name__}"
        case Validate(reason=reason) | Forward(reason=reason):
            return f"{type(decision).__name__} {reason}"
    return "GatewayTimeout"


@pytest.mark.parametrize(("response", "asked", "later", "done"), TABLE)
def test_what_is_done(response: str, asked: str, later: float, done: str) -> None:
    assert said(decide(get(asked), [stored(response)], NOW + later, PLAIN)) == done
    assert said(decide(get(asked, "HEAD"), [stored(response)], NOW + later, PLAIN)) == done


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "M-SEARCH", "get"])
def test_other_methods_are_the_origins(method: str) -> None:
    assert decide(get("", method), [stored(TAGGED)], NOW, PLAIN) == Forward("method")


def test_nothing_stored_is_a_miss() -> None:
    assert decide(get(), [], NOW, PLAIN) == Forward("uri-miss")
    assert decide(get("Cache-Control: only-if-cached"), [], NOW, PLAIN) == GatewayTimeout()
    without = Rules(request_directives=False)
    assert decide(get("Cache-Control: only-if-cached"), [], NOW, without) == Forward("uri-miss")
    assert decide(get("Cache-Control: no-cache"), [stored(TAGGED)], NOW, without) == Fresh(stored(TAGGED))


def test_a_validation_asks_by_what_the_entry_has() -> None:
    entry = stored(f"{TAGGED}\nLast-Modified: Thu, 14 Jan 2027 08:00:00 GMT")
    found = decide(get(), [entry], NOW + 60, PLAIN)
    assert isinstance(found, Validate)
    assert found.fields == (
        (b"if-none-match", b'"a"'),
        (b"if-modified-since", b"Thu, 14 Jan 2027 08:00:00 GMT"),
    )


def test_a_purged_entry_is_validated_first() -> None:
    assert said(decide(get(), [expired(stored(TAGGED))], NOW, PLAIN)) == "Validate stale"
    assert (
        said(decide(get("Cache-Control: max-stale"), [expired(stored(TAGGED))], NOW, PLAIN))
        == "Validate stale"
    )


def test_of_several_the_most_recent_counts() -> None:
    older, newer = stored(PLAINLY), stored(PLAINLY, at=NOW + 5)
    assert decide(get(), [newer, older], NOW + 6, PLAIN) == Fresh(newer)
    assert decide(get(), [older, newer], NOW + 6, PLAIN) == Fresh(newer)


def test_two_variants_are_both_there() -> None:
    one, two = (stored(f"{PLAINLY}\nVary: Foo", f"Foo: {foo}") for foo in "12")
    assert decide(get("Foo: 1"), [one, two], NOW, PLAIN) == Fresh(one)
    assert decide(get("Foo: 2"), [one, two], NOW, PLAIN) == Fresh(two)


PART = stored(f'{PLAINLY}\nETag: "a"\nContent-Range: bytes 4-8/10\nContent-Length: 5', status=206)


@pytest.mark.parametrize(
    ("asked", "done"),
    [
        ("Range: bytes=4-8", "Fresh"),
        ("Range: bytes=6-7", "Fresh"),
        ("Range: bytes=-6", "Forward partial"),
        ("Range: bytes=4-", "Forward partial"),
        ("Range: bytes=3-5", "Forward partial"),
        ("Range: bytes=4-5,7-8", "Forward partial"),
        ("Range: bytes=10-", "Forward partial"),
        ('Range: bytes=6-7\nIf-Range: "a"', "Forward partial"),
        ("", "Forward partial"),
    ],
)
def test_a_part_answers_the_ranges_within_it(asked: str, done: str) -> None:
    assert said(decide(get(asked), [PART], NOW, PLAIN)) == done


def test_a_part_is_validated_by_a_strong_tag_only() -> None:
    late = NOW + 61
    assert said(decide(get("Range: bytes=4-8"), [PART], late, PLAIN)) == "Validate stale"
    for etag in (None, b'W/"a"'):
        weak = replace(PART, etag=etag, last_modified=b"Thu, 14 Jan 2027 08:00:00 GMT")
        assert said(decide(get("Range: bytes=4-8"), [weak], late, PLAIN)) == "Forward stale"
