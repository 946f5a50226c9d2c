"""Keys that travel encrypted: opened by their recipient, and by nobody when they were touched."""

import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from keys.cpix import ContentKey
from keys.cpix_xml import BadCpix, read_cpix
from tests.support.cpix_documents import (
    KEY,
    KID,
    certificate,
    encrypted_document,
)

PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def test_an_encrypted_key_is_opened_by_its_recipient() -> None:
    found = read_cpix(encrypted_document(PRIVATE), PRIVATE)
    assert found.keys == (ContentKey(uuid.UUID(KID), KEY, "cenc"),)


OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mac": bytes(64)}, "MAC does not hold"),
        ({"mac": b""}, "MAC does not hold"),
        ({"by": bytes(32)}, "not 16 bytes"),
        ({"plain": KEY[:15] + bytes([1])}, "not 16 bytes"),
        ({"plain": KEY + bytes(15) + bytes([15])}, "not 16 bytes"),
        ({"value": b""}, "not 16 bytes"),
        ({"document key": bytes(16)}, "not 32 bytes"),
        ({"certificate": certificate(OTHER)}, "not encrypted to"),
        ({"certificate": b"certificate"}, "certificate in the document is none"),
    ],
)
def test_an_encrypted_key_that_was_touched_is_refused(change: dict[str, bytes], words: str) -> None:
    with pytest.raises(BadCpix, match=words):
        read_cpix(encrypted_document(PRIVATE, change), PRIVATE)


@pytest.mark.parametrize("algorithm", ["aes256-cbc", "rsa-oaep-mgf1p", "hmac-sha512"])
def test_other_ways_to_encrypt_are_refused(algorithm: str) -> None:
    text = encrypted_document(PRIVATE).replace(f'{algorithm}"/>'.encode(), b'none"/>')
    text = text.replace(f'{algorithm}"><pskc:MACKey'.encode(), b'none"><pskc:MACKey')
    with pytest.raises(BadCpix, match="not"):
        read_cpix(text, PRIVATE)
