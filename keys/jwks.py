"""A site's published keys (JWK Set, RFC 7517 §5), read as strictly as everything strangers send. Pure.

Keys of kinds we do not verify with, and those for something else than signatures, are passed over, as the RFC
asks; a set that says one key ID twice, or holds a private key, is not believed at all.
"""

from typing import Final

from keys.jws import VerifyKey
from keys.strict_json import strict_object

MAX_BYTES: Final = 64 * 1024
MAX_KEYS: Final = 50
_OURS: Final = (("OKP", "Ed25519"), ("EC", "P-256"))


def read_jwks(data: bytes) -> tuple[VerifyKey, ...]:
    """The signing keys of a set: at least one. ValueError when it is none, or cannot be believed."""
    if len(data) > MAX_BYTES:
        raise ValueError("a key set that is too large")
    rows = strict_object(data).get("keys")
    if not isinstance(rows, list) or len(rows) > MAX_KEYS:
        raise ValueError(f"a key set has keys, a list of at most {MAX_KEYS}")
    found = [VerifyKey.from_jwk(row) for row in rows if _is_ours(row)]
    if not found:
        raise ValueError("a key set without a key we verify with: Ed25519 or P-256")
    if len({key.kid for key in found}) != len(found):
        raise ValueError("a key set that has one key ID twice")
    return tuple(found)


def _is_ours(row: object) -> bool:
    if not isinstance(row, dict):
        raise ValueError("a key set with something that is no key")
    if "d" in row:
        raise ValueError("a key set with a private key: it must be thought lost")
    return (row.get("kty"), row.get("crv")) in _OURS and row.get("use", "sig") == "sig"
