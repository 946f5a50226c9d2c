"""Every target is refused or is exactly its canonical object (SECURITY T5, T7)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.deliver import path
from edge.deliver.path import Kind, Route
from keys.problems import Problem

T = "aGVhZA.Ym9keQ.c2ln"
V = f"/v;URISigningPackage={T}"
SEGMENT = f"{V}/film/aes/720p/7.m4s"

ODD = [
    f"{V}/film/aes/720p/%37.m4s",  # an encoded unreserved character
    f"{V}/film/aes/720p/7%2em4s",
    f"{V}/film/aes/720p/7%2Em4s",
    f"{V}/film%2faes/720p/7.m4s",
    f"{V}/film%2Faes/720p/7.m4s",
    f"{V}/film%5caes/720p/7.m4s",
    f"{V}/film%252faes/720p/7.m4s",
    f"{V}/film/aes/720p/7.m4s%00",
    f"{V}/film/aes/720p/7.m4s%0a",
    f"{V}/film/aes/720p/7.m4s%20",
    f"{V}/film/aes/720p/7.m4s%3f",
    f"{V}/film/aes/720p/7.m4s%23",
    f"{V}/film/aes/720p/7.m4s%3bx",
    f"{V}/film/aes/720p/7.m4s%",
    f"{V}/film/aes/720p/7.m4s%zz",
    f"{V}/film/aes/720p/%c0%ae%c0%ae/7.m4s",  # overlong dots
    f"{V}/film/aes/720p/%e0%80%af/7.m4s",
    f"{V}/film/aes/720p/%ff.m4s",
    f"{V}/film/aes/720p/%uff0e%uff0e/7.m4s",
    f"{V}/film/aes/720p/../720p/7.m4s",
    f"{V}/film/aes/720p/./7.m4s",
    f"{V}/film/aes/720p/%2e%2e/720p/7.m4s",
    f"{V}/film/aes/720p/.%2e/7.m4s",
    f"{V}/film/aes/720p/%2e/7.m4s",
    f"{V}/../../etc/passwd",
    f"{V}/..",
    f"{V}/.",
    f"{V}/film/aes/720p/..;/7.m4s",
    f"{V}/film/aes/720p//7.m4s",
    f"{V}//film/aes/720p/7.m4s",
    f"{V}/film/aes/720p/7.m4s/",
    f"{V}/",
    f"{V}",
    f"{V}/film/aes/720p/7.m4s;x",
    f"{V}/film/aes/720p/7.m4s;x=y",
    f"{V}/film;x/aes/720p/7.m4s",
    f"{V}/film/aes;/720p/7.m4s",
    f"{V}/film/aes/720p\\7.m4s",
    f"{V}/film/aes/720p/7.m4s\x00",
    f"{V}/film/aes/720p/7.m4s\x7f",
    f"{V}/film/aes/720p/7.m4s\t",
    f"{V}/film/aes/720p/7.m4s ",
    f'{V}/film/aes/720p/"7.m4s',
    f"{V}/film/aes/720p/<7>.m4s",
    f"{V}/film/aes/720p/7.m4s^",
    f"{V}/film/aes/720p/7.m4s|x",
    f"{V}/film/aes/720p/7.m4s#x",
    f"{V}/film/aes/720p/7.m4s?x",  # a raw question mark never reaches the path
    "/v%3bURISigningPackage=" + T + "/film/main.m3u8",
    "/v;urisigningpackage=" + T + "/film/main.m3u8",
    "/v;x=y/film/main.m3u8",
    "/v;/film/main.m3u8",
    "/v;x;URISigningPackage=" + T + "/film/main.m3u8",
    "/v;=/film/main.m3u8",
]
NOWHERE = [
    f"{V}\\film/aes/720p/7.m4s",
    "/v",
    "/v/film/main.m3u8",
    "/v/film/aes/720p/7.m4s",
    "/v;URISigningPackage=/film/main.m3u8",
    f"/v;URISigningPackage={T}=/film/main.m3u8",
    f"/v;URISigningPackage={T}!!/film/main.m3u8",
    f"/v;URISigningPackage={T}%0a/film/main.m3u8",
    f"/v;URISigningPackage={T}.x/film/main.m3u8",
    f"/v;URISigningPackage={T}.x.y/film/main.m3u8",
    "/v;URISigningPackage=a.b/film/main.m3u8",
    "/v;URISigningPackage=a..c/film/main.m3u8",
    f"/v;URISigningPackage={T};x=y/film/main.m3u8",
    f"/v;URISigningPackage={T};URISigningPackage={T}/film/main.m3u8",
    f"{V}/film",
    f"{V}/film/MAIN.mpd",
    f"{V}/film/aes/main.mpd",
    f"{V}/film/cenc/720p/main.mpd",
    f"{V}/film/MAIN.m3u8",
    f"{V}/Film/main.m3u8",
    f"{V}/film/main.m3u8.css",
    f"{V}/film/clear/main.m3u8",
    f"{V}/film/ece/720p/7.m4s",
    f"{V}/film/AES/720p/7.m4s",
    f"{V}/film/aes/720p",
    f"{V}/film/aes/720p/7.ts",
    f"{V}/film/aes/720p/7.mp4",
    f"{V}/film/aes/720p/07.m4s",
    f"{V}/film/aes/720p/-7.m4s",
    f"{V}/film/aes/720p/+7.m4s",
    f"{V}/film/aes/720p/7_0.m4s",
    f"{V}/film/aes/720p/7e1.m4s",
    f"{V}/film/aes/720p/.m4s",
    f"{V}/film/aes/720p/9999999999.m4s",
    f"{V}/film/aes/720P/7.m4s",
    f"{V}/film/aes/{'r' * 33}/7.m4s",
    f"{V}/{'f' * 65}/main.m3u8",
    f"{V}/film/aes/720p/list",
    f"{V}/film/aes/asset/asset.json",
    f"{V}/film/aes/720p/key/0/x.css",
    f"{V}/film/aes/720p/key/x",
    f"{V}/film/aes/720p/key/00",
    f"{V}/film/aes/720p/key",
    f"{V}/film/aes/720p/init.mp4/x.css",
]


def refused(target: str, query: bytes = b"") -> str:
    with pytest.raises(Problem) as caught:
        path.parse(target.encode("latin-1"), query)
    return caught.value.code


@pytest.mark.parametrize("target", ODD)
def test_t5_a_target_that_is_no_canonical_path_is_400(target: str) -> None:
    assert refused(target) == "bad_request"


@pytest.mark.parametrize("target", NOWHERE)
def test_t5_t7_a_target_that_names_nothing_or_lacks_one_token_is_the_one_403(target: str) -> None:
    assert refused(target) == "forbidden"


def test_t5_bytes_outside_ascii_are_400() -> None:
    for odd in ("é".encode(), b"\xff", b"\xc0\xae", b"\xed\xa0\x80"):
        with pytest.raises(Problem) as caught:
            path.parse(V.encode() + b"/film/aes/720p/" + odd)
        assert caught.value.status == 400


@pytest.mark.parametrize(
    ("target", "route"),
    [
        (
            f"{V}/film/main.m3u8",
            Route(Kind.LINK, "/v/film/main.m3u8", T, "film", file="main.m3u8"),
        ),
        (
            f"{V}/film/main.mpd",
            Route(Kind.LINK, "/v/film/main.mpd", T, "film", file="main.mpd"),
        ),
        (
            f"{V}/film/cbcs/main.mpd",
            Route(Kind.MANIFEST, "/v/film/cbcs/main.mpd", T, "film", "cbcs"),
        ),
        (
            f"{V}/film/aes/main.m3u8",
            Route(Kind.MULTIVARIANT, "/v/film/aes/main.m3u8", T, "film", "aes"),
        ),
        (
            f"{V}/film/aes/720p/index.m3u8",
            Route(Kind.MEDIA, "/v/film/aes/720p/index.m3u8", T, "film", "aes", "720p"),
        ),
        (
            f"{V}/film/aes/720p/init.mp4",
            Route(Kind.INIT, "/v/film/aes/720p/init.mp4", T, "film", "aes", "720p"),
        ),
        (SEGMENT, Route(Kind.SEGMENT, "/v/film/aes/720p/7.m4s", T, "film", "aes", "720p", 7)),
        (
            f"{V}/film/aes/audio/key/12",
            Route(Kind.KEY, "/v/film/aes/audio/key/12", T, "film", "aes", "audio", 12),
        ),
        (f"{V}/main.m3u8/main.m3u8", None),
    ],
)
def test_a_canonical_target_is_exactly_its_route(target: str, route: Route | None) -> None:
    if route is None:
        assert refused(target) == "forbidden"  # no asset ID holds a dot
    else:
        assert path.parse(target.encode()) == route


def test_a_link_may_carry_its_token_in_the_query_and_nothing_else_may() -> None:
    token = f"URISigningPackage={T}".encode()
    assert path.parse(b"/v/film/main.m3u8", b"a=b&" + token).token == T
    assert path.parse(b"/v/film/main.m3u8", token + b"&CMCD=x").path == "/v/film/main.m3u8"
    assert refused("/v/film/aes/main.m3u8", token) == "forbidden"
    assert refused("/v/film/aes/720p/7.m4s", token) == "forbidden"


def test_a_link_may_name_the_protection_to_begin_with() -> None:
    for file, wanted in (
        ("main.m3u8", "aes"),
        ("main.m3u8", "cbcs"),
        ("main.mpd", "cbcs"),
        ("main.mpd", "cenc"),
    ):
        route = path.parse(f"{V}/film/{file}".encode(), f"protection={wanted}".encode())
        assert (route.protection, route.file) == (wanted, file)
    assert refused(f"{V}/film/main.mpd", b"protection=aes") == "forbidden"
    assert refused(f"{V}/film/main.mpd", b"protection=clear") == "forbidden"
    assert refused(f"{V}/film/main.mpd", b"protection=cenc&protection=cbcs") == "forbidden"


def test_t3_two_tokens_in_one_url_are_refused() -> None:
    token = f"URISigningPackage={T}".encode()
    assert refused(f"{V}/film/main.m3u8", token) == "forbidden"
    assert refused(SEGMENT, b"x=1&" + token) == "forbidden"
    assert refused("/v/film/main.m3u8", token + b"&" + token) == "forbidden"


def test_other_query_parameters_change_nothing() -> None:
    plain = path.parse(SEGMENT.encode())
    assert path.parse(SEGMENT.encode(), b"CMCD=br%3D3200%2Csid%3D%22x%22&_HLS_skip=YES&%00=%ff") == plain


def test_a_target_too_long_is_refused() -> None:
    assert refused(SEGMENT, b"x" * path.MAX_TARGET_BYTES) == "forbidden"


def test_t21_a_route_does_not_print_its_token() -> None:
    assert T not in repr(path.parse(SEGMENT.encode()))


@pytest.mark.parametrize(
    "target", [b"/v", b"/v;x", b"/v/x", b"/v%3b", b"/v\\x", b"/v\xff", b"/d;x", b"/d/x", b"/d%2fx"]
)
def test_what_starts_like_media_is_media(target: bytes) -> None:
    assert path.is_media(target)


@pytest.mark.parametrize(
    "target", [b"/", b"/watch/", b"/vendor", b"/v.txt", b"/data", b"/d.txt", b"/V;x", b"//v;x", b"/healthz"]
)
def test_what_does_not_start_like_media_is_not(target: bytes) -> None:
    assert not path.is_media(target)


@pytest.mark.parametrize(
    "target",
    [
        b"/watch/../secrets", b"/watch/%2e%2e/x", b"/watch/.%2E/x", b"/watch%2fx", b"/watch%5cx",
        b"/watch/\\x", b"/watch/%00", b"/watch/%0d%0ax", b"//watch/", b"/watch//x",
        b"/watch/%ff", b"/watch/%c0%ae", b"/watch/.",
    ],
)  # fmt: skip
def test_t5_odd_targets_outside_media_are_400(target: bytes) -> None:
    with pytest.raises(Problem) as caught:
        path.check_target(target)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "target", [b"/", b"/watch/", b"/watch/vendor/hls.min.js", b"/watch/a%20b", b"/caf%c3%a9"]
)
def test_ordinary_targets_outside_media_pass(target: bytes) -> None:
    path.check_target(target)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_t5_any_bytes_are_a_route_or_a_refusal(tail: bytes, query: bytes) -> None:
    for target in (b"/v" + tail, V.encode() + b"/" + tail):
        try:
            route = path.parse(target, query)
        except Problem as problem:
            assert problem.status in (400, 403)
        else:
            assert route.path.startswith("/v/") and ";" not in route.path and "%" not in route.path


TOKENED = f"/d;URISigningPackage={T}"


@pytest.mark.parametrize("file", ["film.mp4", "film-720p.mp4", "A", "9_x.tar.gz", "a" * 128])
def test_a_download_is_one_file_of_one_asset(file: str) -> None:
    found = path.parse(f"{TOKENED}/film/{file}".encode())
    assert (found.kind, found.asset, found.file, found.path) == (
        Kind.DOWNLOAD,
        "film",
        file,
        f"/d/film/{file}",
    )
    assert not found.in_query
    by_query = path.parse(f"/d/film/{file}".encode(), f"URISigningPackage={T}".encode())
    assert by_query.in_query


@pytest.mark.parametrize(
    "tail",
    [
        "/film", "/film/", "/film/a/b", "/Film/film.mp4", "/film/.mp4", "/film/-x", "/film/" + "a" * 129,
        "/film/..", "/film/a%2fb", "/film/a%20b", "/../film/a", "//film/a", "/film/a;b", "/film/a\\b",
        "/film/a+b",
        "/film/a,b",
    ],
)  # fmt: skip
def test_t5_a_download_of_any_other_name_is_refused(tail: str) -> None:
    with pytest.raises(Problem) as caught:
        path.parse((TOKENED + tail).encode())
    assert caught.value.code in ("bad_request", "forbidden")


@pytest.mark.parametrize("name", [path.TOKEN_NAME, "token"])
def test_a_token_stands_under_the_rfcs_name_or_the_configured_one(name: str) -> None:
    raw, query = f"/v;{name}={T}/film/main.m3u8".encode(), f"{name}={T}".encode()
    for route in (
        path.parse(raw, name="token"),
        path.parse(b"/v/film/main.m3u8", query, name="token"),
        path.parse(b"/d/film/film.mp4", b"", f"a=1; {name}={T}".encode(), "token"),
    ):
        assert (route.token, route.token_name) == (T, name)


@pytest.mark.parametrize(
    "target", [f"/v;token={T}/film/main.m3u8?URISigningPackage={T}", f"/v/film/main.m3u8?token={T}&token={T}"]
)
def test_t3_two_tokens_under_two_names_are_two_tokens(target: str) -> None:
    raw, _, query = target.encode().partition(b"?")
    with pytest.raises(Problem, match="forbidden"):
        path.parse(raw, query, name="token")


def test_another_name_than_those_is_a_parameter_that_is_not_ours() -> None:
    with pytest.raises(Problem, match="bad_request"):
        path.parse(f"/v;token={T}/film/main.m3u8".encode())


def test_a_protected_download_and_its_key_are_read_from_their_targets() -> None:
    d = f"/d;URISigningPackage={T}"
    form = path.parse(f"{d}/film/ece/film.mp4".encode())
    assert (form.kind, form.asset, form.protection, form.file) == (Kind.DOWNLOAD, "film", "ece", "film.mp4")
    assert form.path == "/d/film/ece/film.mp4"
    key = path.parse(f"{d}/film/ece/film.mp4/key".encode())
    assert (key.kind, key.protection, key.file) == (Kind.FILE_KEY, "ece", "film.mp4")
    license = path.parse(f"{d}/film/ece/film.mp4/license".encode())
    assert (license.kind, license.protection, license.file) == (Kind.OFFLINE, "ece", "film.mp4")
    named = path.parse(f"{d}/film/ece".encode())  # a plain file may be called so
    assert (named.kind, named.protection, named.file) == (Kind.DOWNLOAD, "", "ece")
    for wrong in (
        "film.mp4/key",
        "film.mp4/license",
        "ece/film.mp4/license/0",
        "aes/film.mp4",
        "clear/film.mp4",
        "ece/film.mp4/keys",
        "ece/film.mp4/key/0",
    ):
        with pytest.raises(Problem) as refused:
            path.parse(f"{d}/film/{wrong}".encode())
        assert refused.value.code == "forbidden"
