"""Sealing a key for one holder of an X25519 key: a compact JWE, `ECDH-ES` with `A128GCM` (RFC 7518 §4.6).

The keys are JSON Web Keys of RFC 8037. `apv` (RFC 7518 §4.6.1.3) ties what is sealed to what it is for: it
goes into the derived key and into the authenticated header, so under another one nothing opens. Pure, but
for the ephemeral key.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash

from keys.cipher import NONCE, TAG, BadWrap
from keys.names import b64url, b64url_decode
from keys.strict_json import strict_object

POINT: Final = 32  # bytes of a key
ENC: Final = "A128GCM"
KEY: Final = 16  # bytes of its key
LONGEST: Final = 2048  # characters of what is taken for such a JWE

_ZERO_NONCE: Final = bytes(NONCE)  # each key, of an ephemeral one, seals once


def public_jwk(key: X25519PublicKey) -> dict[str, str]:
    """The public JWK (RFC 8037 §2)."""
    return {"kty": "OKP", "crv": "X25519", "x": b64url(key.public_bytes_raw())}


def read_public(jwk: Mapping[str, object]) -> X25519PublicKey:
    """The key of a public JWK. ValueError when it is none, or a private one."""
    x = jwk.get("x")
    if (jwk.get("kty"), jwk.get("crv")) != ("OKP", "X25519") or not isinstance(x, str) or "d" in jwk:
        raise ValueError("not a public X25519 key")
    point = b64url_decode(x)
    if len(point) != POINT:
        raise ValueError(f"x is {POINT} bytes of base64url")
    return X25519PublicKey.from_public_bytes(point)


def private_jwk(key: X25519PrivateKey) -> dict[str, str]:
    """The public members and `d`. A secret."""
    return {**public_jwk(key.public_key()), "d": b64url(key.private_bytes_raw())}


def read_private(jwk: Mapping[str, object]) -> X25519PrivateKey:
    """The key `private_jwk` wrote. ValueError when it is none, or its halves do not belong together."""
    secret = jwk.get("d")
    key = X25519PrivateKey.from_private_bytes(b64url_decode(secret if isinstance(secret, str) else ""))
    if private_jwk(key) != dict(jwk):
        raise ValueError("not a private X25519 key")
    return key


def thumbprint(key: X25519PublicKey) -> str:
    """RFC 7638: base64url of the SHA-256 over the members. 43 characters."""
    text = json.dumps(public_jwk(key), sort_keys=True, separators=(",", ":"))
    return b64url(hashlib.sha256(text.encode()).digest())


def agreed(secret: bytes, enc: str, apu: bytes, apv: bytes, length: int = KEY) -> bytes:
    """The key derived from an agreed secret: Concat KDF with SHA-256 (RFC 7518 §4.6.2)."""
    fields = b"".join(len(each).to_bytes(4, "big") + each for each in (enc.encode(), apu, apv))
    return ConcatKDFHash(SHA256(), length, fields + (8 * length).to_bytes(4, "big")).derive(secret)


def seal(holder: X25519PublicKey, plain: bytes, apv: bytes, ephemeral: X25519PrivateKey | None = None) -> str:
    """The JWE that only `holder` opens, and only for this `apv`. ValueError for a key nobody can hold."""
    ephemeral = ephemeral or X25519PrivateKey.generate()
    members = {
        "alg": "ECDH-ES",
        "enc": ENC,
        "epk": public_jwk(ephemeral.public_key()),
        "apv": b64url(apv),
    }
    header = b64url(json.dumps(members, separators=(",", ":")).encode())
    key = agreed(ephemeral.exchange(holder), ENC, b"", apv)  # ValueError: a point of small order
    sealed = AESGCM(key).encrypt(_ZERO_NONCE, plain, header.encode())
    return f"{header}..{b64url(_ZERO_NONCE)}.{b64url(sealed[:-TAG])}.{b64url(sealed[-TAG:])}"


def opened(holder: X25519PrivateKey, jwe: str, apv: bytes) -> bytes:
    """What was sealed for this holder and this `apv`. BadWrap for anything else."""
    segments = jwe.split(".")
    try:
        if len(jwe) > LONGEST or len(segments) != 5 or segments[1]:
            raise ValueError("not a compact JWE of an agreed key")
        header, _, nonce, ciphertext, tag = (b64url_decode(each) for each in segments)
        members = strict_object(header)
        ephemeral = members.get("epk")
        if not isinstance(ephemeral, dict) or members != {
            "alg": "ECDH-ES", "enc": ENC, "epk": ephemeral, "apv": b64url(apv),
        } or (len(nonce), len(tag)) != (NONCE, TAG):  # fmt: skip
            raise ValueError("another form, or for something else")
        key = agreed(holder.exchange(read_public(ephemeral)), ENC, b"", apv)
        return AESGCM(key).decrypt(nonce, ciphertext + tag, segments[0].encode())
    except (ValueError, InvalidTag) as exc:
        raise BadWrap("not sealed for this holder and this") from exc
