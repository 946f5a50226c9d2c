"""The vector list of SECURITY 4: each token refused with its reason, none with a crash."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.claims import Claims
from keys.jws import sign
from keys.names import b64url
from keys.signing import SigningKey
from keys.tokens import Refused, VerifiedTokens, verify
from tests.support.attacks import VECTORS
from tests.support.forge import (
    GOOD,
    NOW,
    SITE,
    SITE_P256,
    TRUST,
    URI,
    malleated,
    payload,
    token,
    with_header,
    with_signature,
)


@pytest.mark.parametrize(("text", "reason"), VECTORS.values(), ids=VECTORS.keys())
def test_t3_a_forged_or_altered_token_is_refused_with_its_reason(text: str, reason: int) -> None:
    with pytest.raises(Refused) as caught:
        verify(text, uri=URI, trust=TRUST, now=NOW)
    assert caught.value.reason == reason
    assert caught.value.code in ("forbidden", "expired")
    assert caught.value.problem().status == 403
    with pytest.raises(Refused) as cached:
        VerifiedTokens(TRUST).verify(text, URI, NOW)
    assert cached.value.reason == reason


@pytest.mark.parametrize("member", ["jku", "x5u"])
def test_t3_a_token_cannot_make_us_fetch_a_key(member: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as canary:
        canary.setblocking(False)
        port = canary.getsockname()[1]
        with pytest.raises(Refused):
            verify(with_header(**{member: f"http://127.0.0.1:{port}/k"}), uri=URI, trust=TRUST, now=NOW)
        with pytest.raises(BlockingIOError):
            canary.accept()


OTHER_URIS = [
    "http://edge.example:8010/v/film/main.m3u8?a",
    "http://edge.example:8010/v/film/Main.m3u8",
    "http://edge.example:8010/v/Film/main.m3u8",
    "http://edge.example:8010/v/film2/main.m3u8",
    "http://edge.example:8010/v/film/aes/main.m3u8",
    "http://edge.example:8010/v/film/main.m3u8/",
    "http://edge.example:8010/v/film%2Fmain.m3u8",
    "http://edge.example:8010/v/film//main.m3u8",
    "http://edge.example:8010/v/film/main.m3u8%00",
    "http://edge.example:8010/v/film/main%252em3u8",
    "http://edge.example:8010/v/film/x/../../other/main.m3u8",
    "http://edge.example:8011/v/film/main.m3u8",
    "http://edge.example/v/film/main.m3u8",
    "https://edge.example:8010/v/film/main.m3u8",
    "http://edge.example.evil:8010/v/film/main.m3u8",
    "http://xedge.example:8010/v/film/main.m3u8",
    "http://edgeXexample:8010/v/film/main.m3u8",
]


@pytest.mark.parametrize("uri", OTHER_URIS)
def test_t3_another_uri_than_the_signed_one_is_refused(uri: str) -> None:
    with pytest.raises(Refused) as caught:
        verify(GOOD, uri=uri, trust=TRUST, now=NOW)
    assert (caught.value.reason, caught.value.code) == (411, "forbidden")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "film",
        "http://edge.example:8010/v\\film",
        f"http://edge.example:8010/v;URISigningPackage={GOOD}/film",
    ],
)
def test_t3_what_is_no_uri_or_still_holds_a_token_is_refused(uri: str) -> None:
    with pytest.raises(Refused) as caught:
        verify(GOOD, uri=uri, trust=TRUST, now=NOW)
    assert caught.value.reason == 500


@pytest.mark.parametrize(
    "uri", ["HTTP://EDGE.example:8010/v/film/main.m3u8", "http://edge.example:8010/v/./f%69lm/main.mpd"]
)
def test_other_spellings_of_the_signed_uri_are_the_signed_uri(uri: str) -> None:
    assert verify(GOOD, uri=uri, trust=TRUST, now=NOW).lid == "A" * 22


def test_t3_a_hostile_pattern_and_a_long_uri_are_answered() -> None:
    text = token(cdniuc="regex:(a+)+$")
    with pytest.raises(Refused):
        verify(text, uri="http://edge.example/" + "a" * 50_000, trust=TRUST, now=NOW)


def test_why_is_said_only_after_the_signature_held() -> None:
    expired = token(exp=int(NOW) - 1)
    forged = expired.rpartition(".")[0] + "." + b64url(bytes(64))
    codes = []
    for text in (expired, forged):
        with pytest.raises(Refused) as caught:
            verify(text, uri=URI, trust=TRUST, now=NOW)
        codes.append(caught.value.code)
    assert codes == ["expired", "forbidden"]


def revoked_link(claims: Claims) -> bool:
    return claims.token_id == "A" * 22


@pytest.mark.parametrize("key", [SITE, SITE_P256], ids=["EdDSA", "ES256"])
def test_t4_no_respelling_of_a_revoked_token_gets_through(key: SigningKey) -> None:
    text = token(key=key)
    copies = [text, text + "=", text + "=="]
    if key is SITE_P256:
        twin = with_signature(malleated, key)
        copies.append(twin)
        assert verify(twin, uri=URI, trust=TRUST, now=NOW).lid == "A" * 22  # it does verify
    tokens = VerifiedTokens(TRUST)
    tokens.verify(text, URI, NOW)
    codes = []
    for copy in copies:
        with pytest.raises(Refused) as caught:
            tokens.verify(copy, URI, NOW, revoked_link)
        codes.append(caught.value.code)
    assert codes[0] == codes[-1 if key is SITE_P256 else 0] == "revoked"


@given(seconds=st.integers(-100, 100_000))
def test_a_link_is_good_from_its_nbf_until_just_before_its_exp(seconds: int) -> None:
    now = NOW + seconds
    good = -30 <= seconds < 3600
    try:
        verify(GOOD, uri=URI, trust=TRUST, now=now)
        assert good
    except Refused:
        assert not good


@given(st.text(max_size=300), st.text(max_size=50))
def test_no_text_and_no_uri_crashes_verification(text: str, uri: str) -> None:
    for candidate in (text, GOOD):
        with pytest.raises(Refused):
            verify(candidate, uri=uri, trust=TRUST, now=NOW)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
CLAIM_NAMES = [
    *payload(),
    "sub",
    "jti",
    "cdniip",
    "cdniv",
    "cdnicrit",
    "cdniets",
    "cdnistt",
    "cdnistd",
    "cap",
    "pace",
]


@given(st.dictionaries(st.sampled_from(CLAIM_NAMES), json_values, min_size=1, max_size=4))
def test_claims_of_any_type_are_allowed_or_refused_never_a_crash(changes: dict[str, object]) -> None:
    try:
        verify(sign(SITE.private, SITE.kid, payload(**changes)), uri=URI, trust=TRUST, now=NOW)
    except Refused:
        return
