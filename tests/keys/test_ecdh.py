"""A key sealed for one holder (RFC 7518 §4.6, RFC 8037): published vectors; nobody else opens it."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from keys.cipher import BadWrap
from keys.ecdh import agreed, opened, private_jwk, public_jwk, read_private, read_public, seal, thumbprint
from keys.names import b64url, b64url_decode

HOLDER = X25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
EPHEMERAL = X25519PrivateKey.from_private_bytes(
    bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
)
SEALED = seal(HOLDER.public_key(), bytes(16), b"for this")


def test_the_agreed_secret_of_rfc_8037_a_6_and_the_derived_key_of_rfc_7518_c() -> None:
    bob = read_public({"kty": "OKP", "crv": "X25519", "x": "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"})
    secret = EPHEMERAL.exchange(bob)
    assert secret.hex() == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    z = bytes.fromhex("9e56d91d817135d372834283bf84269cfb316ea3da806a48f6daa7798cfe90c4")
    assert b64url(agreed(z, "A128GCM", b"Alice", b"Bob")) == "VqqN6vgjbSBcIijNcacQGg"


@given(st.binary(max_size=64), st.binary(max_size=40))
def test_only_the_holder_opens_it_and_only_for_what_it_was_sealed_for(plain: bytes, apv: bytes) -> None:
    jwe = seal(HOLDER.public_key(), plain, apv)
    assert opened(HOLDER, jwe, apv) == plain
    for key, of in ((OTHER, apv), (HOLDER, apv + b"!")):
        with pytest.raises(BadWrap):
            opened(key, jwe, of)


@given(st.integers(0, len(SEALED) - 1), st.characters(codec="ascii"))
def test_any_character_changed_is_refused(at: int, by: str) -> None:
    changed = SEALED[:at] + by + SEALED[at + 1 :]
    if changed != SEALED:
        with pytest.raises(BadWrap):
            opened(HOLDER, changed, b"for this")


@given(st.text(max_size=200))
def test_whatever_is_no_jwe_is_refused(text: str) -> None:
    with pytest.raises(BadWrap):
        opened(HOLDER, text, b"for this")


@pytest.mark.parametrize("more", [{"zip": "DEF"}, {"crit": ["exp"]}, {"enc": "A256GCM"}, {"alg": "dir"}])
def test_a_header_that_says_anything_else_is_refused(more: dict[str, object]) -> None:
    header, rest = SEALED.split(".", 1)
    said = json.loads(b64url_decode(header)) | more
    with pytest.raises(BadWrap):
        opened(HOLDER, f"{b64url(json.dumps(said).encode())}.{rest}", b"for this")


def test_a_key_that_everybody_could_hold_is_none() -> None:
    with pytest.raises(ValueError):
        seal(read_public({"kty": "OKP", "crv": "X25519", "x": b64url(bytes(32))}), bytes(16), b"")


def test_keys_are_written_and_read_and_a_private_one_is_not_taken_for_public() -> None:
    assert thumbprint(read_public(public_jwk(HOLDER.public_key()))) == thumbprint(HOLDER.public_key())
    assert read_private(private_jwk(HOLDER)).private_bytes_raw() == HOLDER.private_bytes_raw()
    for jwk in (private_jwk(HOLDER), {}, {"kty": "OKP", "crv": "Ed25519", "x": b64url(bytes(32))}, {"x": 1}):
        with pytest.raises(ValueError):
            read_public(jwk)
    for wrong in ({**private_jwk(HOLDER), "d": b64url(bytes(range(1, 33)))}, public_jwk(HOLDER.public_key())):
        with pytest.raises(ValueError):
            read_private(wrong)
