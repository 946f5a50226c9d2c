"""Wrapping: small secrets at rest (keys under keys, records) and private claims in a token.

`wrap` is AES-256-GCM with a random 96-bit nonce before the ciphertext; the additional data is `enc` of what
the secret is for, so a wrapped key put in another's place does not open (SECURITY 3.3). `seal_claim` is a
compact JWE with `dir` and `A128GCM` (RFC 7516, RFC 7518 §4.5, §5.3), the form RFC 9246 asks of `sub` and
`cdniip`. Random nonces bound a key to fewer than 2^32 uses.
"""

import hmac
import json
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.derive import enc
from keys.names import b64url, b64url_decode
from keys.strict_json import strict_object

NONCE: Final = 12  # bytes
TAG: Final = 16  # bytes
CLAIM_KEY: Final = 16  # bytes
MAX_CLAIM: Final = 2048  # characters of a compact JWE inside a token


class BadWrap(Exception):
    """Bytes that this key did not wrap for this purpose, or that were altered since."""


class Secret:
    """Bytes that do not print. `reveal()` is the only way to them; comparing takes constant time."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = bytes(data)

    def reveal(self) -> bytes:
        """The bytes themselves."""
        return self._data

    def __len__(self) -> int:
        return len(self._data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._data, other._data)

    def __hash__(self) -> int:
        return hash((Secret, self._data))

    def __repr__(self) -> str:
        return "Secret(***)"


def wrap(key: bytes, plain: bytes, *context: str | bytes | int, nonce: bytes | None = None) -> bytes:
    """nonce ‖ ciphertext ‖ tag under a 32-byte key. `context`: label, then what the secret belongs to."""
    nonce = os.urandom(NONCE) if nonce is None else nonce
    return nonce + AESGCM(_key(key)).encrypt(nonce, plain, _context(context))


def unwrap(key: bytes, wrapped: bytes, *context: str | bytes | int) -> bytes:
    """What was wrapped under this key for this context. BadWrap for anything else."""
    if len(wrapped) < NONCE + TAG:
        raise BadWrap("too short")
    try:
        return AESGCM(_key(key)).decrypt(wrapped[:NONCE], wrapped[NONCE:], _context(context))
    except InvalidTag as exc:
        raise BadWrap("not wrapped by this key for this") from exc


def _key(key: bytes) -> bytes:
    if len(key) != 32:
        raise ValueError("a wrapping key is 32 bytes")
    return key


def _context(context: tuple[str | bytes | int, ...]) -> bytes:
    label, *fields = context
    if not isinstance(label, str):
        raise TypeError("the context starts with a label")
    return enc(label, *fields)


def seal_claim(key: bytes, text: str, *, nonce: bytes | None = None) -> str:
    """The text as compact JWE under a 16-byte key: `header..nonce.ciphertext.tag`."""
    nonce = os.urandom(NONCE) if nonce is None else nonce
    header = b64url(json.dumps({"alg": "dir", "enc": "A128GCM"}, separators=(",", ":")).encode())
    sealed = AESGCM(_claim_key(key)).encrypt(nonce, text.encode("utf-8"), header.encode("ascii"))
    return f"{header}..{b64url(nonce)}.{b64url(sealed[:-TAG])}.{b64url(sealed[-TAG:])}"


def open_claim(key: bytes, jwe: str) -> str:
    """The text a compact JWE holds. BadWrap unless it is `dir`, `A128GCM` and of this key."""
    try:
        header, nonce, ciphertext, tag = _jwe_parts(jwe)
        plain = AESGCM(_claim_key(key)).decrypt(nonce, ciphertext + tag, header)
        return plain.decode("utf-8")
    except (InvalidTag, ValueError) as exc:
        raise BadWrap("not a private claim of this key") from exc


def is_claim(jwe: str) -> bool:
    """Whether the text has the form of a private claim: five segments, `dir`, `A128GCM`. Opens nothing."""
    try:
        _jwe_parts(jwe)
    except ValueError:
        return False
    return True


def _jwe_parts(jwe: str) -> tuple[bytes, bytes, bytes, bytes]:
    """Protected header as sent (the additional data), nonce, ciphertext, tag. ValueError for another form."""
    segments = jwe.split(".")
    if len(jwe) > MAX_CLAIM or len(segments) != 5 or segments[1]:
        raise ValueError("not a compact JWE with a direct key")
    header, _, nonce, ciphertext, tag = (b64url_decode(s) for s in segments)
    members = strict_object(header)
    if members.get("alg") != "dir" or members.get("enc") != "A128GCM" or {"zip", "crit"} & members.keys():
        raise ValueError("not dir and A128GCM")
    if len(nonce) != NONCE or len(tag) != TAG:
        raise ValueError("nonce or tag of the wrong length")
    return segments[0].encode("ascii"), nonce, ciphertext, tag


def _claim_key(key: bytes) -> bytes:
    if len(key) != CLAIM_KEY:
        raise TypeError("a private claim's key is 16 bytes")
    return key
