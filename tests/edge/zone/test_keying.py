"""What a request to a zone is: one canonical path, one query, one key; or a refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.zone.keying import Target, Zones, canonical_path
from edge.zone.zone import Origin, Zone
from keys.problems import Problem
from keys.purge import Purge, named

ORIGIN = (Origin("https", "origin.example", 443),)
PRESS = Zone("/z/press/", ORIGIN, name="press", hosts=("press.example", "films.example:8443"))
NARROW = Zone("/z/narrow/", ORIGIN, name="narrow", query=("lang", "page"), base="/bucket")
NONE = Zone("/z/none/", ORIGIN, name="none", query=())
ZONES = Zones((PRESS, NARROW, NONE), "https://edge.example", "token")
T = "aaa.bbb.ccc"

ODD = [
    "/z/press/a//b", "/z/press//", "/z//press/a", "/z/press/./a", "/z/press/../a", "/z/press/a/..",
    "/z/press/a/.", "/z/press/%2e/a", "/z/press/%2e%2e/a", "/z/press/.%2e/a", "/z/press/%2E./a",
    "/z/press/%2e%2e", "/z/press/..;/a", "/z/press/.;x=1/a", "/z/press/..;x/a", "/z/press/%2e%2e;/a",
    "/z/press/..%3b/a", "/z/press/a%2fb", "/z/press/a%2Fb", "/z/press/..%2fa", "/z/press/%2f", "/z/press%2fa",
    "/z%2fpress/a", "/z/press/a%5cb", "/z/press/a%5Cb", "/z/press/..%5ca", "/z/press/a\\b", "/z/press/\\",
    "/z/press/%00", "/z/press/a%00.css", "/z/press/a%0a", "/z/press/a%0d%0ab", "/z/press/%7f", "/z/press/%1f",
    "/z/press/%ff", "/z/press/%c0%ae", "/z/press/%c0%af", "/z/press/%e0%80%af", "/z/press/%ed%a0%80",
    "/z/press/%c2%85", "/z/press/%f8%80%80%80%80", "/z/press/%252f", "/z/press/%252e%252e/a",
    "/z/press/%255c", "/z/press/%2500", "/z/press/%250d", "/z/press/%25%32%66", "/z/press/%", "/z/press/%2",
    "/z/press/%zz", "/z/press/%u002f", "/z/press/a b", "/z/press/a\tb", "/z/press/<", "/z/press/\"",
    "/z/press/{a}", "/z/press/a|b", "/z/press/a^b", "/z/press/a`b", "/z/press/a#b", "/z/press/[a]",
    "/z/press/é", "/z/press/\xff", "/z/press/../../healthz", "/z/press/x/../../../v/film",
    f"/z/press/a;URISigningPackage={T};x/b", f"/z;URISigningPackage={T}/press;token={T}/a",
]  # fmt: skip


def asked(target: str, query: str = "", **how: object) -> Target:
    return ZONES.target(target.encode("latin-1"), query.encode("latin-1"), **how)  # type: ignore[arg-type]


def code(target: str, query: str = "") -> str:
    with pytest.raises(Problem) as caught:
        asked(target, query)
    return caught.value.code


@pytest.mark.parametrize("target", ODD)
def test_t5_a_target_with_two_readings_is_400(target: str) -> None:
    assert len(ODD) >= 60
    assert code(target) == "bad_request"


@pytest.mark.parametrize(
    ("spelled", "path"),
    [
        ("/z/press/", "/"),
        ("/z/press/a/b.css", "/a/b.css"),
        ("/z/press/a/", "/a/"),
        ("/z/%70ress/a", "/a"),
        ("/%7a/press/a", None),
        ("/z/press/%61%2Db%2d%7e", "/a-b-~"),
        ("/z/press/caf%c3%a9", "/caf%C3%A9"),
        ("/z/press/a%20b%3fc%23", "/a%20b%3Fc%23"),
        ("/z/press/100%25", "/100%25"),
        ("/z/press/a;v=1/b;w", "/a;v=1/b;w"),
        ("/z/press/...", "/..."),
        ("/z/press/.well-known/x", "/.well-known/x"),
    ],
)
def test_t5_all_spellings_of_a_path_are_one(spelled: str, path: str | None) -> None:
    if path is None:
        assert not ZONES.takes(spelled.encode())
        return
    found = asked(spelled)
    assert (found.path, found.key("https")) == (path, f"https://press{path}")
    assert found.upstream == path.encode()


@given(st.text(alphabet="az/.%2ef5c;=\\~é0", max_size=24))
def test_t5_any_target_is_canonical_or_400(tail: str) -> None:
    try:
        found = asked("/z/press/" + tail)
    except Problem as problem:
        assert problem.code == "bad_request"
        return
    assert canonical_path(found.path) == found.path
    assert not {"", ".", ".."} & set(found.path.split("/")[1:-1])


@pytest.mark.parametrize("target", ["/z/", "/z/press", "/z/other/a", "/z/Press/a", "/z;x/press/a"])
def test_what_no_zone_answers_for_is_404(target: str) -> None:
    assert code(target) == "not_found"


def test_t6_only_the_parameters_that_count_reach_key_and_origin() -> None:
    found = asked("/z/narrow/a", "utm=1&page=2&PAGE=3&lang=de&page=1&x[]=1&%70age=9")
    assert found.query == "lang=de&page=2&page=1"
    assert found.upstream == b"/bucket/a?lang=de&page=2&page=1"
    assert found.key("http") == "http://narrow/a?lang=de&page=2&page=1"
    assert asked("/z/none/a", "x=1&page=2").upstream == b"/a"
    assert asked("/z/press/a", "b=1&a=2").upstream == b"/a?b=1&a=2"
    assert code("/z/press/a", "a=<script>") == "bad_request"


@pytest.mark.parametrize(
    ("target", "query"),
    [
        (f"/z;URISigningPackage={T}/press/a/b", ""),
        (f"/z/press;URISigningPackage={T}/a/b", ""),
        (f"/z/press/a;URISigningPackage={T}/b", ""),
        (f"/z/press/a/b;token={T}", ""),
        ("/z/press/a/b", f"URISigningPackage={T}"),
        ("/z/press/a/b", f"token={T}"),
    ],
)
def test_a_token_is_taken_out_wherever_it_stands(target: str, query: str) -> None:
    found = asked(target, query)
    assert (found.token, found.public, found.upstream) == (T, "https://edge.example/z/press/a/b", b"/a/b")
    assert bool(found.parameter) == (not query)
    assert T not in repr(found) and T not in found.key("https")


def test_a_cookie_counts_where_the_target_has_no_token_and_two_tokens_are_refused() -> None:
    cookie = f"x=1; URISigningPackage={T}; URISigningPackage=other".encode()
    assert asked("/z/press/a", cookies=cookie).token == T
    assert asked("/z/press/a", "token=q", cookies=cookie).token == "q"
    assert code(f"/z;token={T}/press/a", f"token={T}") == "bad_request"
    assert code("/z/press/a", f"token={T}&URISigningPackage={T}") == "bad_request"


def test_a_host_answers_for_all_its_paths_under_the_same_key() -> None:
    for spelled in (b"press.example", b"PRESS.example:8010"):
        at = ZONES.at_host(spelled)
        assert at == (PRESS, "press.example")
        found = asked("/v/a", "x=1", host=at)
        assert found.public == "https://press.example/v/a?x=1"
        assert found.key("https") == "https://press/v/a?x=1" == asked("/z/press/v/a", "x=1").key("https")
    assert ZONES.at_host(b"films.example:8443") == (PRESS, "films.example:8443")
    assert [ZONES.at_host(host) for host in (b"films.example", b"evil.example", b"", None)] == [None] * 4


@pytest.mark.parametrize(
    ("zone", "value", "keyed"),
    [
        ("narrow", "/a?page=1&utm=2", "/a?page=1"),
        ("narrow", "/a?utm=2", "/a"),
        ("narrow", "/a?page=1&lang=de", "/a?lang=de&page=1"),
        ("none", "/a?x=1", "/a"),
        ("press", "/a?x=1&utm=2", "/a?x=1&utm=2"),
        ("press", "/a?", "/a"),
        ("press", f"/a?x=1&URISigningPackage={T}", "/a?x=1"),
        ("press", "/a//b?x=1", "/a//b?x=1"),
        ("press", "/a?<", "/a?<"),
        ("other", "/a?x=1", "/a?x=1"),
    ],
)
def test_a_purge_by_url_names_what_the_zone_keys_by(zone: str, value: str, keyed: str) -> None:
    assert ZONES.purged(Purge(1, zone, "url", value, soft=True)) == Purge(1, zone, "url", keyed, soft=True)
    for kind in ("prefix", "key"):
        as_it_is = Purge(1, zone, kind, value, soft=False)
        assert ZONES.purged(as_it_is) == as_it_is


@given(
    st.sampled_from([PRESS, NARROW, NONE]),
    st.sampled_from(["/", "/a", "/%61/b", "/caf%c3%a9"]),
    st.lists(
        st.sampled_from(["page=1", "lang=de", "utm=2", "page", "=", "page=2%2f", f"token={T}"]), max_size=4
    ),
)
def test_the_url_that_was_asked_for_is_purged_as_it_was_keyed(
    zone: Zone, path: str, pairs: list[str]
) -> None:
    query = "&".join(pairs)
    try:
        target = asked(f"/z/{zone.name}{path}", query)
    except Problem:
        return
    entry = Purge(1, *named(zone.name, "url", f"{path}?{query}" if query else path), soft=False)
    assert f"http://{zone.name}{ZONES.purged(entry).value}" == target.key("http")
