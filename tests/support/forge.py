"""Tokens as an attacker would make them: forged, respelled, or under the keys of others."""

import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keys.cipher import CLAIM_KEY, Secret
from keys.jwk import thumbprint
from keys.jws import sign
from keys.names import b64url, b64url_decode
from keys.signing import SigningKey
from keys.tokens import Issuer, Trust

NOW = 1_800_000_000.0
URI = "http://edge.example:8010/v/film/main.m3u8"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def fixed(iss: str, number: int, alg: str = "EdDSA") -> SigningKey:
    """The same key in every run, so that what it signs can be published (tests/vectors)."""
    secret = bytes([number] * 32)
    private = (
        Ed25519PrivateKey.from_private_bytes(secret)
        if alg == "EdDSA"
        else ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
    )
    return SigningKey(iss, thumbprint(private.public_key()), private, Secret(bytes([number] * CLAIM_KEY)))


SITE = fixed("site", 1)
SITE_P256 = fixed("site", 2, "ES256")
STRANGER = fixed("stranger", 3)
OTHER_SITE = fixed("other", 4)
KEYS = fixed("sluice", 5)

TRUST = Trust(
    [
        Issuer("site", "link", (SITE.verify_key(), SITE_P256.verify_key()), 86_400),
        Issuer("other", "link", (OTHER_SITE.verify_key(),), 86_400),
        Issuer("sluice", "session", (KEYS.verify_key(),), 86_400),
    ]
)

Payload = dict[str, Any]


def payload(**changes: object) -> Payload:
    """A link's claims that are allowed, but for the changes. A change to ... leaves the claim out."""
    claims: Payload = {
        "iss": "site",
        "aud": "sluice",
        "nbf": int(NOW) - 30,
        "iat": int(NOW),
        "exp": int(NOW) + 3600,
        "cdniuc": r"regex:http://edge\.example:8010/v/film/main\.(m3u8|mpd)",
        "lid": "AAAAAAAAAAAAAAAAAAAAAA",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not ...}


def token(*, key: SigningKey = SITE, **changes: object) -> str:
    return sign(key.private, key.kid, payload(**changes))


def signed(text: str | bytes, header: str | None = None, key: SigningKey = SITE) -> str:
    """The token of exactly this payload, and this header, with a signature that holds."""
    header = header or json.dumps({"alg": key.alg, "kid": key.kid})
    data = text.encode() if isinstance(text, str) else text
    start = f"{b64url(header.encode())}.{b64url(data)}"
    return f"{start}.{b64url(raw_signature(key, start))}"


def raw_signature(key: SigningKey, text: str) -> bytes:
    if isinstance(key.private, Ed25519PrivateKey):
        return key.private.sign(text.encode())
    how = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)  # RFC 6979: the same in every run
    r, s = decode_dss_signature(key.private.sign(text.encode(), how))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def with_header(**members: object) -> str:
    """A token whose header has these members too, signed all the same."""
    header = {"alg": SITE.alg, "kid": SITE.kid, **members}
    return signed(json.dumps(payload()), json.dumps({k: v for k, v in header.items() if v is not ...}))


def with_signature(change: Callable[[bytes], bytes], key: SigningKey = SITE) -> str:
    head, body, signature = token(key=key).split(".")
    return f"{head}.{body}.{b64url(change(b64url_decode(signature)))}"


def hs256(secret: bytes, kid: str = SITE_P256.kid) -> str:
    """The attack of RFC 8725 §2.1: a MAC whose key is the public key in some spelling."""
    header = json.dumps({"alg": "HS256", "kid": kid})
    start = f"{b64url(header.encode())}.{b64url(json.dumps(payload()).encode())}"
    mac = hmac.HMAC(secret, hashes.SHA256())
    mac.update(start.encode())
    return f"{start}.{b64url(mac.finalize())}"


def spelled(value: str) -> str:
    """A token whose `exp` is spelled so."""
    return signed(json.dumps(payload(exp=...))[:-1] + f', "exp": {value}}}')


def der(signature: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))


def malleated(signature: bytes) -> bytes:
    s = int.from_bytes(signature[32:], "big")
    return signature[:32] + (P256_ORDER - s).to_bytes(32, "big")


PEM = SITE_P256.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
DER = SITE_P256.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
GOOD = token()
LAST = GOOD[-1]
# The last character of 64 bytes carries four bits that must be zero.
NON_CANONICAL = GOOD[:-1] + chr(ord(LAST) + 1)
