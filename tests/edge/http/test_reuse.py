"""The table a cache is: what is done with a request by what is stored (RFC 9111 §4, H24, H26)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.directives import of_response
from edge.http.entry import PLAIN, Rules
from edge.http.freshness import expired
from edge.http.reuse import Decision, Forward, Fresh, GatewayTimeout, Stale, Validate, decide
from tests.edge.http.exchange import NOW, get, lines, stored

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


seconds = st.integers(0, 100)
maybe = st.none() | seconds


@given(
    max_age=seconds,
    window=maybe,
    forbidden=st.sampled_from(["", "must-revalidate", "proxy-revalidate", "no-cache", "s-maxage"]),
    tagged=st.booleans(),
    later=st.integers(0, 250),
    asked_age=maybe,
    min_fresh=maybe,
    max_stale=maybe | st.just(-1),
    no_cache=st.booleans(),
    only_if_cached=st.booleans(),
)
def test_what_is_served_is_what_the_rfc_lets_be_served(
    max_age: int,
    window: int | None,
    forbidden: str,
    tagged: bool,
    later: int,
    asked_age: int | None,
    min_fresh: int | None,
    max_stale: int | None,
    no_cache: bool,
    only_if_cached: bool,
) -> None:
    told = [f"max-age={max_age}"]
    told += [f"stale-while-revalidate={window}"] if window is not None else []
    told += [f"s-maxage={max_age}" if forbidden == "s-maxage" else forbidden] if forbidden else []
    asked = [] if asked_age is None else [f"max-age={asked_age}"]
    asked += [] if min_fresh is None else [f"min-fresh={min_fresh}"]
    asked += [] if max_stale is None else ["max-stale" if max_stale < 0 else f"max-stale={max_stale}"]
    asked += ["no-cache"] if no_cache else []
    asked += ["only-if-cached"] if only_if_cached else []
    entry = replace(stored("Cache-Control: max-age=60"), lifetime_s=float(max_age))
    fields = lines(f"Cache-Control: {', '.join(told)}")
    tag = b'"a"' if tagged else None
    entry = replace(entry, directives=of_response(fields), etag=tag)
    request = get(f"Cache-Control: {', '.join(asked)}") if asked else get()
    decision = decide(request, [entry], NOW + later, PLAIN)

    served = reference(max_age, window, forbidden, later, asked_age, min_fresh, max_stale, no_cache)
    assert isinstance(decision, Fresh | Stale) == served
    if not served:
        wanted = GatewayTimeout if only_if_cached else Validate if tagged else Forward
        assert isinstance(decision, wanted)


def reference(
    lifetime: int,
    window: int | None,
    forbidden: str,
    age: int,
    asked_age: int | None,
    min_fresh: int | None,
    max_stale: int | None,
    no_cache: bool,
) -> bool:
    """Whether the stored answer may be given without asking, after RFC 9111 §4 and §5.2.1 and RFC 5861 §3."""
    if no_cache:  # "the client prefers a stored response not be used … without successful validation"
        return False
    if forbidden == "no-cache":  # §5.2.2.4: "MUST NOT be used … without forwarding it for validation"
        return False
    if asked_age is not None and age > asked_age:  # "a response whose age is less than or equal to"
        return False
    if min_fresh is not None:  # "whose freshness lifetime is no less than its current age plus"
        return lifetime > age and lifetime >= age + min_fresh
    if lifetime > age:  # §4.2: fresh
        return True
    if forbidden:  # §4.2.4: stale is prohibited by an explicit directive
        return False
    over = age - lifetime
    if max_stale is not None and (max_stale < 0 or over <= max_stale):  # "exceeded … by no more than"
        return True
    return window is not None and over <= window  # RFC 5861 §3
