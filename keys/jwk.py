"""Keys that sign, as JSON Web Keys: Ed25519 (RFC 8037) and P-256 (RFC 7518 §6.2), nothing else.

The algorithm belongs to the key, never to a token's header: Ed25519 signs `EdDSA`, P-256 signs `ES256`.
A key's ID is its RFC 7638 thumbprint unless its owner gave it another.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keys.names import b64url, b64url_decode

ALGORITHMS: Final = ("EdDSA", "ES256")
COORDINATE: Final = 32  # bytes of an Ed25519 point, and of each P-256 coordinate

PublicKey = Ed25519PublicKey | ec.EllipticCurvePublicKey
PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey


def new_private(alg: str = "EdDSA") -> PrivateKey:
    """A new random key for that algorithm. ValueError for another algorithm."""
    if alg == "EdDSA":
        return Ed25519PrivateKey.generate()
    if alg == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    raise ValueError(f"{alg!r} is not one of {', '.join(ALGORITHMS)}")


def algorithm(key: PublicKey | PrivateKey) -> str:
    """What this key signs or verifies: "EdDSA" or "ES256"."""
    return "EdDSA" if isinstance(key, Ed25519PublicKey | Ed25519PrivateKey) else "ES256"


def public_jwk(key: PublicKey) -> dict[str, str]:
    """The members that are the key itself: `kty`, `crv`, `x` and for P-256 `y`."""
    if isinstance(key, Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": b64url(key.public_bytes_raw())}
    numbers = key.public_numbers()
    x, y = (n.to_bytes(COORDINATE, "big") for n in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": b64url(x), "y": b64url(y)}


def private_jwk(key: PrivateKey) -> dict[str, str]:
    """The public members and `d`. A secret."""
    if isinstance(key, Ed25519PrivateKey):
        secret = key.private_bytes_raw()
    else:
        secret = key.private_numbers().private_value.to_bytes(COORDINATE, "big")
    return {**public_jwk(key.public_key()), "d": b64url(secret)}


def read_public(jwk: Mapping[str, object]) -> PublicKey:
    """The public key in a JWK. ValueError when it is none, or says an `alg` or `use` that is not its own."""
    kind = (jwk.get("kty"), jwk.get("crv"))
    key: PublicKey
    if kind == ("OKP", "Ed25519"):
        key = Ed25519PublicKey.from_public_bytes(_bytes(jwk, "x"))
    elif kind == ("EC", "P-256"):
        x, y = (int.from_bytes(_bytes(jwk, name), "big") for name in "xy")
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()  # ValueError off the curve
    else:
        raise ValueError(f"a key is Ed25519 or P-256, not {kind}")
    if jwk.get("alg", algorithm(key)) != algorithm(key) or jwk.get("use", "sig") != "sig":
        raise ValueError("the key is meant for something else")
    return key


def read_private(jwk: Mapping[str, object]) -> PrivateKey:
    """The private key in a JWK. ValueError also when `d` does not belong to the public members."""
    public, secret = read_public(jwk), _bytes(jwk, "d")
    key: PrivateKey
    if isinstance(public, Ed25519PublicKey):
        key = Ed25519PrivateKey.from_private_bytes(secret)
    else:
        key = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
    if public_jwk(key.public_key()) != public_jwk(public):
        raise ValueError("the private and the public half do not belong together")
    return key


def thumbprint(key: PublicKey) -> str:
    """RFC 7638: base64url of the SHA-256 over the required members. 43 characters."""
    text = json.dumps(public_jwk(key), sort_keys=True, separators=(",", ":"))
    return b64url(hashlib.sha256(text.encode()).digest())


def _bytes(jwk: Mapping[str, object], name: str) -> bytes:
    text = jwk.get(name)
    data = b64url_decode(text) if isinstance(text, str) else b""
    if len(data) != COORDINATE:
        raise ValueError(f"{name} is {COORDINATE} bytes of base64url")
    return data
