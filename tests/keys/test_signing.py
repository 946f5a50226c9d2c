"""A site's key file, and the links it makes with nothing running."""

import json
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import keys
from keys.cipher import open_claim
from keys.claims import Claims
from keys.container import split_token
from keys.jws import parse
from keys.problems import Problem
from keys.signing import MAX_TOKEN, SigningKey, insert_token, sign_url
from keys.tokens import Issuer, Refused, Trust, verify

NOW = 1_800_000_000.0
EDGE = "http://127.0.0.1:8010"
FILM = f"{EDGE}/v/film/main.m3u8"
SITE = SigningKey.generate("site")
TRUST = Trust([Issuer("site", "link", (SITE.verify_key(),), 86_400)])


def claims_of(url: str, uri: str | None = None) -> Claims:
    plain, text = split_token(url)
    return verify(text, uri=uri or plain, trust=TRUST, now=NOW)


@pytest.mark.parametrize("alg", ["EdDSA", "ES256"])
def test_a_key_comes_back_from_its_file_which_only_its_owner_reads(tmp_path: Path, alg: str) -> None:
    key, path = SigningKey.generate("site", alg), tmp_path / "secrets" / "issuer.json"
    key.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    found = SigningKey.load(path)
    assert (found.iss, found.kid, found.alg, found.viewer_key) == ("site", key.kid, alg, key.viewer_key)
    assert found.public_jwk() == key.public_jwk()
    assert "d" not in key.public_jwk()


def test_saving_replaces_the_file_in_one_step_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "issuer.json"
    for _ in range(2):
        SITE.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["issuer.json"]


def test_a_failed_save_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "issuer.json"
    SITE.save(path)

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space"):
        SigningKey.generate("site").save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["issuer.json"]
    assert SigningKey.load(path).kid == SITE.kid


def broken_files() -> list[bytes]:
    good = json.loads(SITE.to_json())
    changes: list[dict[str, object]] = [
        {"jwk": {}},
        {"jwk": SITE.public_jwk()},
        {"iss": 1},
        {"kid": None},
        {"alg": "ES256"},
        {"viewer_key": "AAAA"},
        {"viewer_key": 1},
    ]
    return [b"", b"[]", b"{}", b"\xff", *(json.dumps({**good, **c}).encode() for c in changes)]


@pytest.mark.parametrize("data", broken_files())
def test_t21_a_broken_key_file_is_refused_without_quoting_it(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not a signing key$"):
        SigningKey.from_json(data)


def test_t21_a_signing_key_does_not_print() -> None:
    secret = json.loads(SITE.to_json())
    assert secret["jwk"]["d"] not in repr(SITE)
    assert secret["viewer_key"] not in repr(SITE)
    assert "private" not in repr(SITE)


def test_a_link_has_its_token_in_the_first_path_segment() -> None:
    url = sign_url(FILM, SITE, now=NOW)
    plain, text = split_token(url)
    assert plain == FILM
    assert url == f"{EDGE}/v;URISigningPackage={text}/film/main.m3u8"
    assert parse(text).kid == SITE.kid


def test_a_link_may_be_opened_as_hls_and_as_dash_at_every_host_and_nowhere_else() -> None:
    url = sign_url(FILM, SITE, hosts=["http://127.0.0.1:8011", EDGE], now=NOW)
    for host in (EDGE, "http://127.0.0.1:8011"):
        for name in ("main.m3u8", "main.mpd"):
            assert claims_of(url, f"{host}/v/film/{name}").lid
    for other in (
        f"{EDGE}/v/film/aes/main.m3u8",
        f"{EDGE}/v/film/main.m3u8x",
        "http://127.0.0.1:8012/v/film/main.mpd",
    ):
        with pytest.raises(Refused):
            claims_of(url, other)


@pytest.mark.parametrize(
    "path",
    [
        "/d/film/film.mp4",
        "/d/film/ece/film.mp4",
        "/x/film/a%20b.mp4?x=1",
        "/v/film/aes/main.m3u8",
        "/z/site/",
    ],
)
def test_any_other_url_is_signed_exactly(path: str) -> None:
    url = sign_url(EDGE + path, SITE, now=NOW)
    assert claims_of(url).lid
    assert split_token(url)[0] == EDGE + path
    with pytest.raises(Refused):
        claims_of(url, EDGE + path + "x")


@pytest.mark.parametrize(
    "path",
    ["/d/film/.mp4", "/d/film/ece/.mp4", "/d/film/a%20b.mp4", "/d/Film/film.mp4", "/d/film/" + "x" * 129],
)
def test_a_download_no_edge_would_read_is_not_signed(path: str) -> None:
    with pytest.raises(Problem):
        sign_url(EDGE + path, SITE, now=NOW)


def test_times_and_lengths_are_what_was_asked_for() -> None:
    claims = claims_of(sign_url(FILM, SITE, start_within_s=60, session_s=900, now=NOW + 0.9))
    assert (claims.iat, claims.nbf, claims.exp, claims.cap) == (NOW, NOW - 30, NOW + 60, 900)
    assert claims.audience == ("sluice",)


def test_every_link_has_an_id_of_its_own_and_a_single_use_one_a_jti() -> None:
    links = [claims_of(sign_url(FILM, SITE, once=once, now=NOW)) for once in (False, False, True)]
    assert len({claims.lid for claims in links}) == 3
    assert [claims.single_use for claims in links] == [False, False, True]
    assert all(len(claims.lid) == 22 for claims in links)


def test_a_site_may_name_its_links_itself() -> None:
    for once in (False, True):
        claims = claims_of(sign_url(FILM, SITE, link_id="order-4711.2~x", once=once, now=NOW))
        assert (claims.lid, claims.single_use) == ("order-4711.2~x", once)


def test_who_may_watch_from_where_is_in_the_link_but_not_readable() -> None:
    url = sign_url(FILM, SITE, viewer="Zoë 7", network="10.1.2.3/8", now=NOW)
    claims = claims_of(url)
    assert SITE.viewer_key is not None
    assert open_claim(SITE.viewer_key.reveal(), claims.sub) == "Zoë 7"
    assert open_claim(SITE.viewer_key.reveal(), claims.cdniip) == "10.0.0.0/8"
    claims = claims_of(sign_url(FILM, SITE, network="2001:db8::1", now=NOW))
    assert open_claim(SITE.viewer_key.reveal(), claims.cdniip) == "2001:db8::1/128"


def test_a_full_link_fits_every_player() -> None:
    hosts = [f"https://edge-{i}.example.com:8443" for i in range(9)]
    url = sign_url(
        f"https://edge.example.com/v/{'a' * 64}/main.m3u8", SITE, viewer="v" * 64,
        network="2001:db8::/32", once=True, hosts=hosts, pace={"burst": 20, "rate": 2.5, "jumps": 4}, now=NOW,
    )  # fmt: skip
    assert len(split_token(url)[1]) <= MAX_TOKEN


BAD: list[tuple[str, dict[str, object], str]] = [
    ("film", {}, "plain http"),
    ("ftp://edge/v/film/main.m3u8", {}, "plain http"),
    (f"{EDGE}/v;a=b/film/main.m3u8", {}, "no other parameter"),
    (f"{EDGE}/v;URISigningPackage=a.b.c/film/main.m3u8", {}, "signed already"),
    (EDGE, {}, "has a path"),
    (FILM, {"start_within_s": 0}, "start_within_s"),
    (FILM, {"session_s": -1}, "session_s"),
    (FILM, {"viewer": ""}, "viewer"),
    (FILM, {"viewer": "a\nb"}, "viewer"),
    (FILM, {"viewer": "v" * 257}, "viewer"),
    (FILM, {"network": "10.0.0.0/33"}, "10.0.0.0/33"),
    (FILM, {"network": "home"}, "home"),
    (FILM, {"link_id": ""}, "link's ID"),
    (FILM, {"link_id": "a/b"}, "link's ID"),
    (FILM, {"link_id": "x" * 65}, "link's ID"),
    (FILM, {"hosts": ["edge"]}, "plain http"),
    (FILM, {"hosts": [f"http://edge-{i}.example.com" for i in range(40)]}, "too many hosts"),
    (FILM, {"pace": {"burst_s": 1}}, "pace"),
    (FILM, {"pace": {"rate": 0}}, "pace"),
    (f"{EDGE}/d/{'a' * 600}", {}, "too long a path"),
]  # fmt: skip


@pytest.mark.parametrize(("url", "options", "why"), BAD)
def test_what_cannot_be_signed_is_said_in_a_sentence(url: str, options: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        sign_url(url, SITE, now=NOW, **options)  # type: ignore[arg-type]


def test_a_token_too_long_for_a_url_is_not_signed() -> None:
    with pytest.raises(ValueError, match="fit a URL"):
        SITE.sign({"film": "x" * MAX_TOKEN})


def test_a_bad_asset_id_is_not_signed() -> None:
    with pytest.raises(keys.problems.Problem):
        sign_url(f"{EDGE}/v/Film/main.m3u8", SITE, now=NOW)


def test_a_key_without_a_viewer_key_hides_nobody() -> None:
    with pytest.raises(ValueError, match="viewer_key"):
        sign_url(FILM, SigningKey.generate("site", viewer_key=False), viewer="v", now=NOW)


def test_a_link_made_now_is_good_now() -> None:
    url = sign_url(FILM, SITE)
    plain, text = split_token(url)
    assert verify(text, uri=plain, trust=TRUST, now=time.time()).lid


@given(
    st.text(min_size=1, max_size=60).filter(
        lambda text: text.isprintable() and len(text.encode("utf-8", "replace")) < 200
    )
)
def test_any_printable_viewer_comes_back(viewer: str) -> None:
    assert SITE.viewer_key is not None
    claims = claims_of(sign_url(FILM, SITE, viewer=viewer, now=NOW))
    assert open_claim(SITE.viewer_key.reveal(), claims.sub) == viewer


def test_a_token_needs_a_path_to_sit_in() -> None:
    assert insert_token("http://e/z", "T") == "http://e/z;URISigningPackage=T"
    with pytest.raises(ValueError, match="path"):
        insert_token("http://e/", "T")


def test_the_package_gives_a_site_what_it_needs_and_loads_it_when_asked() -> None:
    assert keys.sign_url is sign_url
    assert keys.SigningKey is SigningKey
    with pytest.raises(AttributeError, match="film"):
        keys.film  # noqa: B018
    code = "import sys, keys.names; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_link_may_carry_its_token_under_another_name() -> None:
    url = sign_url(f"{EDGE}/v/film/main.m3u8", SITE, attribute="token")
    plain, text = split_token(url, "token")
    assert url == f"{EDGE}/v;token={text}/film/main.m3u8" and plain == f"{EDGE}/v/film/main.m3u8"
    for name in ("", "a-b", "a=b", "1"):
        with pytest.raises(ValueError, match="attribute"):
            sign_url(f"{EDGE}/v/film/main.m3u8", SITE, attribute=name)
    with pytest.raises(ValueError, match="signed already"):
        sign_url(url, SITE, attribute="token")


def test_a_zones_link_is_for_one_url_or_for_a_folder_at_every_host() -> None:
    hosts = ["https://edge-b.example"]
    one = claims_of(sign_url(f"{EDGE}/z/press/a/b%20(c).css?x=1", SITE, now=NOW))
    assert not one.single_use and one.exp == NOW + 7200
    url = f"{EDGE}/z/press/a.b/c.css"
    for spelled in (url, f"{EDGE}/z/press/a.b/"):
        link = sign_url(spelled, SITE, hosts=hosts, below=True, now=NOW)
        for good in ("/z/press/a.b/", "/z/press/a.b/c.css", "/z/press/a.b/d/e?x=1"):
            claims_of(link, EDGE + good)
            claims_of(link, hosts[0] + good)
        for bad in ("/z/press/a.b", "/z/press/axb/c", "/z/press/", "/z/press/a.bc", "/z/other/a.b/c"):
            with pytest.raises(Refused):
                claims_of(link, EDGE + bad)


@pytest.mark.parametrize(
    ("path", "options", "why"),
    [
        ("/z/press/a", {"once": True}, "opens no session"),
        ("/z/press/a", {"network": "192.0.2.1"}, "opens no session"),
        ("/z/press/a", {"pace": {"rate": 3}}, "opens no session"),
        ("/z/press/a", {"limits": keys.Limits(streams=1)}, "opens no session"),
        ("/z/press/a", {"renew": "header"}, "renewed by"),
        ("/z/press/a?x=1", {"below": True}, "without a query"),
        ("/v/film/main.m3u8", {"below": True}, "for a zone"),
        ("/d/film/film.mp4", {"below": True}, "for a zone"),
    ],
)
def test_a_zones_link_promises_nothing_that_only_keys_could_keep(
    path: str, options: dict[str, object], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        sign_url(EDGE + path, SITE, **options)  # type: ignore[arg-type]
