"""Wrapping opens only with its key, in its place, unaltered; private claims are JWE as published."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.cipher import BadWrap, Secret, is_claim, open_claim, seal_claim, unwrap, wrap
from keys.names import b64url, b64url_decode

JWE: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors/jose.json").read_text())["jwe"]
KEY = bytes(range(32))
CLAIM_KEY = bytes(range(16))


@given(st.binary(max_size=100), st.text(max_size=10), st.integers(0, 2**63))
def test_what_was_wrapped_comes_back(plain: bytes, name: str, version: int) -> None:
    assert unwrap(KEY, wrap(KEY, plain, "tk", name, version), "tk", name, version) == plain


@given(st.binary(min_size=1, max_size=40), st.data())
def test_any_flipped_bit_is_refused(plain: bytes, data: st.DataObject) -> None:
    wrapped = bytearray(wrap(KEY, plain, "tk", "default"))
    bit = data.draw(st.integers(0, len(wrapped) * 8 - 1))
    wrapped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadWrap):
        unwrap(KEY, bytes(wrapped), "tk", "default")


def test_a_wrapped_key_opens_only_in_its_place() -> None:
    wrapped = wrap(KEY, b"secret", "ak", "film", 1)
    others: list[tuple[str | bytes | int, ...]] = [
        ("ak", "film", 2),
        ("ak", "film"),
        ("sk", "film", 1),
        ("ak", "other", 1),
    ]
    for context in others:
        with pytest.raises(BadWrap):
            unwrap(KEY, wrapped, *context)
    with pytest.raises(BadWrap):
        unwrap(bytes(32), wrapped, "ak", "film", 1)


@pytest.mark.parametrize("length", range(28))
def test_wrapped_bytes_that_are_cut_are_refused(length: int) -> None:
    with pytest.raises(BadWrap):
        unwrap(KEY, wrap(KEY, b"", "tk")[:length], "tk")


def test_no_two_wraps_share_a_nonce_and_a_given_one_is_used() -> None:
    assert wrap(KEY, b"x", "tk") != wrap(KEY, b"x", "tk")
    assert wrap(KEY, b"x", "tk", nonce=bytes(12))[:12] == bytes(12)


def test_a_key_of_another_length_is_a_fault() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        wrap(bytes(16), b"x", "tk")
    with pytest.raises(TypeError, match="16 bytes"):
        seal_claim(bytes(32), "viewer")
    with pytest.raises(TypeError, match="label"):
        wrap(KEY, b"x", 1)


def test_t21_a_secret_does_not_print() -> None:
    secret = Secret(b"very secret")
    assert "very" not in repr(secret) + str(secret) + f"{secret}"
    assert secret.reveal() == b"very secret"
    assert secret == Secret(b"very secret") != Secret(b"other")
    assert secret != b"very secret"
    assert len(secret) == 11
    assert hash(secret) == hash(Secret(b"very secret"))


def test_the_published_private_claim_opens() -> None:
    assert open_claim(b64url_decode(JWE["key"]), JWE["compact"]) == JWE["plaintext"]


@given(st.text(max_size=80))
def test_a_private_claim_comes_back(text: str) -> None:
    jwe = seal_claim(CLAIM_KEY, text)
    assert is_claim(jwe)
    assert open_claim(CLAIM_KEY, jwe) == text


@given(st.data())
def test_an_altered_private_claim_is_refused(data: st.DataObject) -> None:
    jwe = seal_claim(CLAIM_KEY, "viewer-7", nonce=bytes(12))
    at = data.draw(st.integers(0, len(jwe) - 1))
    letter = data.draw(st.sampled_from("AQgwZz09-_.= "))
    altered = jwe[:at] + letter + jwe[at + 1 :]
    if altered != jwe:
        with pytest.raises(BadWrap):
            open_claim(CLAIM_KEY, altered)


def header(**members: str) -> str:
    return b64url(json.dumps(members).encode())


DIRECT = header(alg="dir", enc="A128GCM")
NONCE, TAG = "A" * 16, "A" * 22
FORMS = {
    "no JWE": "viewer-7",
    "signed instead": "e30.e30.e30",
    "with a wrapped key": f"{DIRECT}.AAAA.{NONCE}.AA.{TAG}",
    "another algorithm": f"{header(alg='A128KW', enc='A128GCM')}..{NONCE}.AA.{TAG}",
    "another cipher": f"{header(alg='dir', enc='A256GCM')}..{NONCE}.AA.{TAG}",
    "compressed": f"{header(alg='dir', enc='A128GCM', zip='DEF')}..{NONCE}.AA.{TAG}",
    "short tag": f"{DIRECT}..{NONCE}.AA.AAAA",
    "short nonce": f"{DIRECT}..AAAA.AA.{TAG}",
    "too long": f"{DIRECT}..{NONCE}.{'A' * 2048}.{TAG}",
}


@pytest.mark.parametrize("jwe", FORMS.values(), ids=FORMS.keys())
def test_a_private_claim_in_another_form_is_refused(jwe: str) -> None:
    assert not is_claim(jwe)
    with pytest.raises(BadWrap):
        open_claim(CLAIM_KEY, jwe)
