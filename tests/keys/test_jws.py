"""A signed text is believed in one form only, and only under the key's own algorithm."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import jwk as jwks
from keys.jws import MAX_BYTES, Malformed, Parsed, VerifyKey, parse, sign
from keys.names import b64url, b64url_decode
from keys.strict_json import strict_object

JOSE: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors/jose.json").read_text())
PRIVATE = {alg: jwks.new_private(alg) for alg in jwks.ALGORITHMS}


def taken_apart(jws: str, alg: str) -> Parsed:
    """A published JWS names no key, which `parse` asks for."""
    head, payload, signature = jws.split(".")
    return Parsed(alg, "", "", b64url_decode(payload), f"{head}.{payload}".encode(), b64url_decode(signature))


@pytest.mark.parametrize(("case", "alg"), [("es256", "ES256"), ("eddsa", "EdDSA")])
def test_the_published_signature_holds_under_its_key_only(case: str, alg: str) -> None:
    parsed = taken_apart(JOSE[case]["jws"], alg)
    assert VerifyKey.from_jwk(JOSE[case]["jwk"]).holds(parsed)
    assert not VerifyKey("", PRIVATE[alg].public_key()).holds(parsed)


def test_the_published_keys_are_read_and_written() -> None:
    for case in ("es256", "eddsa"):
        private = jwks.read_private(JOSE[case]["jwk"])
        assert jwks.private_jwk(private) == JOSE[case]["jwk"]
    eddsa = jwks.read_public(JOSE["eddsa"]["jwk"])
    assert jwks.thumbprint(eddsa) == JOSE["eddsa"]["thumbprint"]
    assert VerifyKey.from_jwk(JOSE["eddsa"]["jwk"]).kid == JOSE["eddsa"]["thumbprint"]


@pytest.mark.parametrize("alg", jwks.ALGORITHMS)
def test_what_was_signed_holds_and_says_what_was_signed(alg: str) -> None:
    private = PRIVATE[alg]
    parsed = parse(sign(private, "k1", {"sub": "ä", "n": 1}, "t+jwt"))
    assert (parsed.alg, parsed.kid, parsed.typ) == (alg, "k1", "t+jwt")
    assert strict_object(parsed.payload) == {"sub": "ä", "n": 1}
    assert VerifyKey("k1", private.public_key()).holds(parsed)


@pytest.mark.parametrize("alg", jwks.ALGORITHMS)
@given(data=st.data())
def test_any_altered_character_is_refused(alg: str, data: st.DataObject) -> None:
    text = sign(PRIVATE[alg], "k1", {"sub": "viewer"})
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("AQgwZz09-_.=+/ \n%"))
    if text[at] == letter:
        return
    try:
        parsed = parse(text[:at] + letter + text[at + 1 :])
    except Malformed:
        return
    assert not VerifyKey("k1", PRIVATE[alg].public_key()).holds(parsed)


@given(st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_-]{0,40}(\.[A-Za-z0-9_-]{0,40}){1,5}"))
def test_any_text_is_a_token_or_malformed(text: str) -> None:
    try:
        parse(text)
    except Malformed:
        return


def with_header(header: str) -> str:
    return f"{b64url(header.encode())}.e30.AAAA"


HEADERS = [
    "[]",
    "null",
    '"text"',
    "{",
    '{"alg":"ES256"}',
    '{"kid":"a"}',
    '{"alg":1,"kid":"a"}',
    '{"alg":"ES256","kid":1}',
    '{"alg":"ES256","kid":{}}',
    '{"alg":"ES256","kid":""}',
    '{"alg":"ES256","kid":"a","typ":1}',
    '{"alg":"ES256","kid":"a","kid":"b"}',
    '{"alg":"ES256","kid":"a","x":NaN}',
    '{"alg":"ES256","kid":"a"} {}',
    '{"alg":"ES256","kid":"a","x":[[[[[[[[[[]]]]]]]]]]}',
    '{"alg":"ES256","kid":"a","x":1e999}',
    '{"alg":"ES256","kid":"\\ud800"}',
    '{"alg":"ES256","kid":"' + "a" * 129 + '"}',
    '{"alg":"ES256","kid":"a",' + ",".join(f'"m{i}":1' for i in range(9)) + "}",
    '{"alg":"ES256","kid":"a","x":' + "1" * 400 + "}",
    *(
        f'{{"alg":"ES256","kid":"a","{name}":{{}}}}'
        for name in ("crit", "b64", "jku", "jwk", "x5u", "x5c", "zip")
    ),
]


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_of_another_shape_is_malformed(header: str) -> None:
    with pytest.raises(Malformed):
        parse(with_header(header))


def test_a_header_that_is_no_utf_8_is_malformed() -> None:
    with pytest.raises(Malformed):
        parse(f"{b64url(bytes([0x7B, 0xFF, 0x7D]))}.e30.AAAA")


def test_a_text_over_the_limit_is_malformed_unread() -> None:
    with pytest.raises(Malformed, match="too long"):
        parse("A" * (MAX_BYTES + 1))


JWKS = [
    {},
    {"kty": "oct", "k": "AAAA"},
    {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
    {"kty": "OKP", "crv": "X25519", "x": "A" * 43},
    {"kty": "OKP", "crv": "Ed25519"},
    {"kty": "OKP", "crv": "Ed25519", "x": 1},
    {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
    {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43 + "="},
    {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43},
    {**jwks.public_jwk(PRIVATE["ES256"].public_key()), "alg": "EdDSA"},
    {**jwks.public_jwk(PRIVATE["EdDSA"].public_key()), "use": "enc"},
    {**jwks.public_jwk(PRIVATE["EdDSA"].public_key()), "kid": ""},
    {**jwks.public_jwk(PRIVATE["EdDSA"].public_key()), "kid": 7},
]


@pytest.mark.parametrize("jwk", JWKS)
def test_what_is_no_key_of_ours_is_refused(jwk: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        VerifyKey.from_jwk(jwk)


def test_a_private_key_must_fit_its_public_half() -> None:
    for alg in jwks.ALGORITHMS:
        other = jwks.private_jwk(jwks.new_private(alg))["d"]
        with pytest.raises(ValueError, match="belong together"):
            jwks.read_private({**jwks.private_jwk(PRIVATE[alg]), "d": other})
    with pytest.raises(ValueError, match="not one of"):
        jwks.new_private("HS256")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5),
        lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text(max_size=5), c, max_size=3),
        max_leaves=6,
    )
)
def test_strict_json_reads_what_json_writes(value: object) -> None:
    assert strict_object(json.dumps({"v": value}).encode()) == {"v": value}
