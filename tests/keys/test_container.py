"""URIs are compared in one form; patterns mean what POSIX says, match the whole URI, in linear time."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.container import (
    LINK_PATTERN,
    BadContainer,
    Matcher,
    _by_re2,
    _by_text,
    canonical_uri,
    hash_container,
    quote,
    regex_container,
    split_token,
)
from keys.ere import translate

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors/containers.json").read_text())
FILM = "http://edge.example:8010/v/film/main.m3u8"


@pytest.mark.parametrize(("signed", "plain"), VECTORS["removal"])
def test_the_token_is_taken_out_as_published(signed: str, plain: str) -> None:
    assert split_token(signed) == (plain, "J.J.J")


def test_a_uri_without_a_token_stays_as_it_is() -> None:
    assert split_token(FILM) == (FILM, "")


def test_t3_two_tokens_in_one_uri_are_refused() -> None:
    for two in (
        "http://e/v;URISigningPackage=J/film;URISigningPackage=K/a",
        "http://e/v;URISigningPackage=J/film?URISigningPackage=K",
        "http://e/v;URISigningPackage=URISigningPackage=K/film",
    ):
        with pytest.raises(ValueError, match="two tokens"):
            split_token(two)


SAME = [
    ("HTTP://Edge.Example/v", "http://edge.example/v"),
    ("http://edge.example:80/v", "http://edge.example/v"),
    ("https://edge.example:443/v", "https://edge.example/v"),
    ("http://edge.example:/v", "http://edge.example/v"),
    ("http://edge.example:08010/v", "http://edge.example:8010/v"),
    ("http://edge.example", "http://edge.example/"),
    ("http://edge.example?q", "http://edge.example/?q"),
    ("http://edge.example/%66ilm/%7e", "http://edge.example/film/~"),
    ("http://edge.example/a%2fb%c3%a4", "http://edge.example/a%2Fb%C3%A4"),
    ("http://edge.example/a/./b/../c/.", "http://edge.example/a/c/"),
    ("http://edge.example/%2e%2e/%2E/a/..", "http://edge.example/"),
    ("http://[2001:DB8::1]:8010/v", "http://[2001:db8::1]:8010/v"),
]


@pytest.mark.parametrize(("uri", "canonical"), SAME)
def test_spellings_of_one_uri_become_one(uri: str, canonical: str) -> None:
    assert canonical_uri(uri) == canonical
    assert canonical_uri(canonical) == canonical


NO_URI = [
    "",
    "film",
    "/v/film",
    "ftp://edge/v",
    "http:///v",
    "http://user@edge/v",
    "http://edge/v#part",
    "http://edge/a b",
    "http://edge/a\nb",
    "http://edge/a\x00",
    "http://edge/%zz",
    "http://edge/%4",
    "http://edge/a\\b",
    "http://edge/ä",
    "http://edge:80a/",
    "http://edge/<x>",
    "//edge/v",
    "http://edge/\udce4",
]


@pytest.mark.parametrize("uri", NO_URI)
def test_what_is_no_plain_uri_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="not a plain"):
        canonical_uri(uri)


@pytest.mark.parametrize("path", ["v;URISigningPackage=J/film", "v;URI%53igningPackage=J/film"])
def test_t3_a_uri_that_still_holds_a_token_is_refused_however_it_is_escaped(path: str) -> None:
    with pytest.raises(ValueError, match="a token"):
        canonical_uri(f"http://edge/{path}")


@given(
    st.from_regex(
        r"http://[a-z]{1,4}(:[0-9]{0,5})?(/[a-zA-Z0-9.%&=;~]{0,6}){0,4}(\?[a-z%=.]{0,5})?", fullmatch=True
    )
)
def test_the_canonical_form_is_its_own_canonical_form(uri: str) -> None:
    try:
        once = canonical_uri(uri)
    except ValueError:
        return
    assert canonical_uri(once) == once


def test_the_published_hash_matches_its_uri_only() -> None:
    case, matcher = VECTORS["hash"], Matcher()
    assert hash_container(case["uri"]) == case["container"]
    assert matcher.allows(case["container"], case["uri"])
    assert not matcher.allows(case["container"], case["uri"] + "/")


def test_the_published_pattern_matches_the_whole_uri() -> None:
    case, matcher = VECTORS["regex"], Matcher()
    assert all(matcher.allows(case["container"], uri) for uri in case["allowed"])
    assert not any(matcher.allows(case["container"], uri) for uri in case["refused"])


@pytest.mark.parametrize(
    "container",
    ["", "film", "hash:", "hash:md5;AAAA", "hash:sha-256;ä", "regex:", "uri-regex:.*", "REGEX:.*",
     "regex:" + "a" * (LINK_PATTERN + 1)],
)  # fmt: skip
def test_a_container_of_another_form_is_bad(container: str) -> None:
    with pytest.raises(BadContainer):
        Matcher().allows(container, FILM)


UNDEFINED = [
    r"(a)\1",
    r"(?:a)",
    r"(?=a)",
    r"(?i)a",
    r"\d+",
    r"\w",
    r"a\b",
    r"\x41",
    "a**",
    "a+?",
    "*a",
    "|a",
    "a|",
    "(|a)",
    "()",
    "(",
    ")",
    "a)",
    "((a)",
    "[a",
    "[",
    "[]",
    "[^]",
    "[[.a.]]",
    "[[=a=]]",
    "[[:film:]]",
    "[[:alpha:",
    "[z-a]",
    "[a-[:alpha:]]",
    "a{,3}",
    "a{3",
    "a{x}",
    "a{4,3}",
    "a{256}",
    "{2}",
    "^*",
    "a\\",
    "ä",
    "a\nb",
    "((((a{255}){255}){255}){255})",
]


@pytest.mark.parametrize("pattern", UNDEFINED)
def test_what_posix_leaves_undefined_is_refused(pattern: str) -> None:
    with pytest.raises(BadContainer):
        Matcher().allows(f"regex:{pattern}", FILM)


MEANINGS = [
    ("a.c", "abc", "ac"),
    ("a|bc", "bc", "ac"),
    ("(ab)+", "abab", "aba"),
    ("a{2}", "aa", "aaa"),
    ("a{2,}", "aaaa", "a"),
    ("a{1,2}", "aa", "aaa"),
    (r"a\.c", "a.c", "abc"),
    (r"[\.]", "\\", "a"),
    ("[]a]", "]", "[]"),
    ("[^]a]", "b", "]"),
    ("[a-c-]", "-", "d"),
    ("[[:digit:]x]+", "1x2", "1y"),
    ("^a$", "a", "aa"),
    ("[*+?]", "+", "a"),
    (r"\(a\)", "(a)", "a"),
    ("a}", "a}", "a"),
    (r"\/", "/", "\\/"),
    ("[a^]", "^", "b"),
    ("[.-]", "-", "a"),
    ("x*", "", "y"),
]


@pytest.mark.parametrize(("pattern", "yes", "no"), MEANINGS)
def test_a_pattern_means_what_posix_says(pattern: str, yes: str, no: str) -> None:
    matcher = Matcher()
    assert matcher.allows(f"regex:{pattern}", yes)
    assert not matcher.allows(f"regex:{pattern}", no)


simple = st.recursive(
    st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\."]),
    lambda inner: st.one_of(
        st.builds("({})*".format, inner),
        st.builds("({}|{})".format, inner, inner),
        st.builds("{}{}".format, inner, inner),
    ),
    max_leaves=8,
)


@given(simple, st.text(alphabet="ab.", max_size=8))
def test_common_patterns_mean_the_same_to_another_engine(pattern: str, text: str) -> None:
    assert Matcher().allows(f"regex:{pattern}", text) == bool(re.fullmatch(pattern, text))


@given(
    st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20), st.data()
)
def test_a_quoted_text_matches_itself_only(text: str, data: st.DataObject) -> None:
    other = data.draw(st.text(alphabet=st.sampled_from(text + "a."), max_size=20))
    assert Matcher().allows(f"regex:{quote(text)}", text)
    assert Matcher().allows(f"regex:{quote(text)}", other) == (text == other)


def test_t3_a_pattern_that_explodes_elsewhere_is_run_by_a_linear_engine() -> None:
    # A backtracking engine takes 2^100000 steps here. That this returns at all is the test.
    assert not Matcher().allows("regex:(a+)+$", "a" * 100_000 + "!")
    assert translate("(a+)+$") == "(?:a+)+$"


def test_compiled_patterns_are_kept_within_a_bound() -> None:
    matcher = Matcher(limit=2)
    for _ in range(2):
        for pattern in ("a", "b", "c", "a"):
            assert matcher.allows(f"regex:{pattern}", pattern, issuer="site")
    assert len(matcher._compiled) == 2


def test_a_minted_pattern_may_be_longer_than_a_sites() -> None:
    hosts = tuple(f"https://edge-{i}.example.com" for i in range(40))
    container = regex_container(hosts, "/v/film/.*")
    assert Matcher().allows(container, f"{hosts[39]}/v/film/aes/main.m3u8", pattern_limit=4096)
    with pytest.raises(BadContainer):
        Matcher().allows(container, f"{hosts[39]}/v/film/aes/main.m3u8")


def test_a_container_over_hosts_names_each_once_in_canonical_form() -> None:
    container = regex_container(("HTTP://Edge:80/", "http://edge"), "/v")
    assert container == "regex:http://edge/v"
    assert regex_container(("http://edge:8010",), "/v") == "regex:http://edge:8010/v"


_parts = st.text(alphabet=r"ab/.:-()|*\+[", min_size=1, max_size=6)
_fixed = st.builds(
    lambda hosts, rest, end: (f"({'|'.join(map(quote, hosts))})" if hosts else "") + quote(rest) + end,
    st.lists(_parts, max_size=3), _parts, st.sampled_from(["", ".*", "*", "+", "|a"]),
)  # fmt: skip


@given(_fixed | _parts, st.lists(st.text(alphabet=r"ab/.:-()|*\+[", max_size=14)))
def test_a_pattern_of_fixed_texts_means_what_the_engine_says(pattern: str, uris: list[str]) -> None:
    fast = _by_text(pattern)
    if fast is not None:
        engine = _by_re2(pattern)
        for uri in [*uris, *re.split(r"[|()]", pattern), pattern, f"{pattern}/a", pattern.replace("\\", "")]:
            assert (fast(uri) is None) == (engine(uri) is None), uri


def test_what_keys_mint_is_matched_as_text() -> None:
    for bases in (("https://edge-1.example",), ("http://127.0.0.1:8010", "https://b.example:8443")):
        for paths in ("/v/film/.*", "/d/film/film\\.mp4"):
            pattern = regex_container(bases, paths).removeprefix("regex:")
            match = _by_text(pattern)
            assert match is not None
            for base in bases:
                assert match(f"{base}/v/film/aes/1.m4s") is not None or paths.startswith("/d/")
                assert match(f"{base}/d/film/film.mp4") is not None or paths.startswith("/v/")
                assert match(f"{base}/d/film/film_mp4") is None
                assert match(f"{base}/v/other/aes/1.m4s") is None
            assert match("https://evil.example/v/film/aes/1.m4s") is None
