"""The vector list of SECURITY 4: each token refused with its reason, none with a crash."""

import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.cipher import seal_claim
from keys.claims import Claims
from keys.jws import sign
from keys.names import b64url
from keys.signing import SigningKey
from keys.tokens import Refused, VerifiedTokens, verify
from tests.support.forge import (
    DER,
    GOOD,
    KEYS,
    NON_CANONICAL,
    NOW,
    OTHER_SITE,
    P256_ORDER,
    PEM,
    SITE,
    SITE_P256,
    STRANGER,
    TRUST,
    URI,
    der,
    hs256,
    malleated,
    payload,
    signed,
    spelled,
    token,
    with_header,
    with_signature,
)

VECTORS: dict[str, tuple[str, int]] = {
    # alg
    **{f"alg {alg!r}": (with_header(alg=alg), 401) for alg in ("none", "None", "NONE", "nOnE", "")},
    "alg none, no signature": (with_header(alg="none").rpartition(".")[0] + ".", 400),
    "alg missing": (with_header(alg=...), 400),
    "alg a number": (with_header(alg=1), 400),
    "alg of another key": (with_header(alg="ES256"), 401),
    "alg RS256": (with_header(alg="RS256"), 401),
    # the public key as a MAC's secret
    "HS256 with the PEM": (hs256(PEM), 401),
    "HS256 with the PEM and CRLF": (hs256(PEM.replace(b"\n", b"\r\n")), 401),
    "HS256 with the PEM and spaces": (hs256(b"  " + PEM + b"  "), 401),
    "HS256 with the DER": (hs256(DER), 401),
    "HS256 with the JWK": (hs256(json.dumps(SITE_P256.public_jwk()).encode()), 401),
    # header members that would change the rules
    "crit": (with_header(crit=["exp"]), 400),
    "unknown crit": (with_header(crit=["film"], film=1), 400),
    "b64 false": (with_header(b64=False), 400),
    "embedded jwk": (with_header(jwk=STRANGER.public_jwk()), 400),
    "x5c": (with_header(x5c=["MIIB"]), 400),
    "zip": (with_header(zip="DEF"), 400),
    "header name twice": (signed("{}", f'{{"alg":"EdDSA","kid":"x","kid":"{SITE.kid}"}}'), 400),
    "eleven members": (with_header(**{f"m{i}": i for i in range(9)}), 400),
    # kid
    "kid a path": (with_header(kid="../../dev/null"), 401),
    "kid SQL": (with_header(kid="' OR 1=1 --"), 401),
    "kid NUL": (with_header(kid="\x00"), 401),
    "kid 10 kB": (with_header(kid="k" * 10_000), 400),
    "kid a number": (with_header(kid=1), 400),
    "kid an object": (with_header(kid={"a": 1}), 400),
    "kid missing": (with_header(kid=...), 400),
    "kid unknown": (token(key=STRANGER), 401),
    "kid of another tenant": (token(key=OTHER_SITE), 401),
    "iss of another tenant": (token(iss="other"), 401),
    "iss missing": (token(iss=...), 401),
    "iss a list": (token(iss=["site"]), 401),
    # signature
    "signature empty": (GOOD.rpartition(".")[0] + ".", 400),
    "signature cut": (with_signature(lambda s: s[:-1]), 400),
    "signature longer": (with_signature(lambda s: s + b"\x00"), 400),
    "signature zero": (with_signature(lambda _: bytes(64)), 400),
    "ECDSA zero": (with_signature(lambda _: bytes(64), SITE_P256), 400),
    "ECDSA s zero": (with_signature(lambda s: s[:32] + bytes(32), SITE_P256), 400),
    "ECDSA r and s the order": (with_signature(lambda _: P256_ORDER.to_bytes(32, "big") * 2, SITE_P256), 400),
    "ECDSA as DER": (with_signature(der, SITE_P256), 400),
    "ECDSA cut": (with_signature(lambda s: s[:63], SITE_P256), 400),
    "of another key": (sign(STRANGER.private, SITE.kid, payload()), 400),
    "of another token": (token(sub="x").rpartition(".")[0] + "." + GOOD.rpartition(".")[2], 400),
    # the text around it
    "padded": (GOOD + "=", 400),
    "padded twice": (GOOD + "==", 400),
    "junk behind": (GOOD + "!!", 400),
    "line end": (GOOD + "\n", 400),
    "space before": (" " + GOOD, 400),
    "last character not canonical": (NON_CANONICAL, 400),
    "no text": ("", 400),
    "two segments": (GOOD.rpartition(".")[0], 400),
    "four segments": (GOOD + ".AAAA", 400),
    "five segments": (seal_claim(bytes(16), json.dumps(payload())), 400),
    "not ASCII": (GOOD[:-1] + "ä", 400),
    "a lone surrogate": (GOOD[:-1] + "\udce4", 400),
    "over 4 KiB": (token(x="y" * 4096), 400),
    "nested": (signed(GOOD), 400),
    # payload
    "exp twice": (signed(json.dumps(payload())[:-1] + f', "exp": {int(NOW) + 9}}}'), 400),
    "cdniuc twice": (signed(json.dumps(payload())[:-1] + ', "cdniuc": "regex:.*"}'), 400),
    "payload a list": (signed("[]"), 400),
    "payload null": (signed("null"), 400),
    "payload no JSON": (signed("film"), 400),
    "payload no UTF-8": (signed(b'{"a":"\xff"}'), 400),
    "payload deep": (signed('{"a":' + "[" * 1400 + "]" * 1400 + "}"), 400),
    "payload 200,000 deep": (signed("[" * 200_000), 400),
    "payload 1 MB": (signed("[" + "1," * 500_000 + "1]"), 400),
    # times
    "exp missing": (token(exp=...), 404),
    "exp a string": (spelled(f'"{int(NOW) + 60}"'), 404),
    "exp a float": (spelled(f"{int(NOW) + 60}.0"), 404),
    "exp 1e300": (spelled("1e300"), 404),
    "exp 1e999": (spelled("1e999"), 400),
    "exp NaN": (spelled("NaN"), 400),
    "exp true": (spelled("true"), 404),
    "exp null": (spelled("null"), 404),
    "exp negative": (spelled("-1"), 404),
    "exp 2^53": (spelled(str(1 << 53)), 404),
    "exp of 5,000 digits": (spelled("9" * 2000), 400),
    "exp now": (token(exp=int(NOW)), 404),
    "exp now - 1": (token(exp=int(NOW) - 1), 404),
    "nbf now + 1": (token(nbf=int(NOW) + 1), 405),
    "nbf a string": (token(nbf="0"), 405),
    "iat true": (token(iat=True), 404),
    "lifetime over the maximum": (token(exp=int(NOW) + 86_401), 404),
    # claims of RFC 9246
    "cdniv 2": (token(cdniv=2), 408),
    "cdniv true": (token(cdniv=True), 408),
    "cdniv text": (token(cdniv="1"), 408),
    "cdnicrit unknown": (token(cdnicrit="film", film=1), 409),
    "cdnicrit empty": (token(cdnicrit=""), 409),
    "cdnicrit twice": (token(cdnicrit="lid,lid"), 409),
    "cdnicrit absent from the token": (token(cdnicrit="cap"), 409),
    "cdnicrit of the RFC": (token(cdnicrit="exp"), 409),
    "cdnicrit a list": (token(cdnicrit=["lid"]), 409),
    "aud another": (token(aud="film"), 403),
    "aud a list of others": (token(aud=["film"]), 403),
    "aud a number": (token(aud=1), 403),
    "aud null": (token(aud=None), 403),
    "aud with a number": (token(aud=["sluice", 1]), 403),
    "cdniip in clear": (token(cdniip="10.0.0.0/8"), 410),
    "sub in clear": (token(sub="viewer"), 402),
    "cdnistt without cdniets": (token(cdnistt=1), 406),
    "cdniets without cdnistt": (token(cdniets=30), 406),
    "cdnistt 3": (token(cdnistt=3, cdniets=30), 406),
    "cdnistd negative": (token(cdnistd=-1), 406),
    "cdniuc missing": (token(cdniuc=...), 411),
    "cdniuc a list": (token(cdniuc=["regex:.*"]), 411),
    "cdniuc of no form": (token(cdniuc="http://edge.example:8010/v/film/main.m3u8"), 411),
    "cdniuc a pattern that is none": (token(cdniuc="regex:("), 411),
    "cdniuc a long pattern": (token(cdniuc="regex:" + ".*" * 257), 411),
    "cdniuc a start only": (token(cdniuc="regex:http://edge"), 411),
    "cdniuc an end only": (token(cdniuc=r"regex:/main\.m3u8"), 411),
    "no link ID": (token(lid=...), 407),
    "a link ID with a slash": (token(lid="../x"), 407),
    "jti a number": (token(jti=1), 407),
    "cap 0": (token(cap=0), 409),
    "cap a float": (token(cap=1.5), 409),
    "pace a list": (token(pace=[]), 409),
    "pace of an unknown name": (token(pace={"jump_s": 1}), 409),
    "pace of no number": (token(pace={"rate": "2"}), 409),
    "pace at which nobody could watch": (token(pace={"rate": 0}), 409),
    # a link passed off as a session
    "a link's key for a session": (token(iss="sluice", sid="A" * 22, asset="film"), 401),
    "a session without sid": (sign(KEYS.private, KEYS.kid, payload(iss="sluice", asset="film")), 407),
    "a session with a short sid": (
        sign(KEYS.private, KEYS.kid, payload(iss="sluice", sid="AAAA", asset="film")),
        407,
    ),
    "a session with no asset ID": (
        sign(KEYS.private, KEYS.kid, payload(iss="sluice", sid="A" * 22, asset="../x")),
        407,
    ),
}


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
