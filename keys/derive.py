"""Which key opens what: derivation of every session's and every slice's keys from the stored random ones.

    root key ─wraps→ tenant key ─wraps→ asset key AK ──→ session root SRK ──→ content keys K, ETK, SALT
                                └wraps→ storage key SK ──→ slice keys
All inputs that can change a plaintext are inputs here. Pure; 32-byte keys in, keys out. HKDF is RFC 5869 with
SHA-256. `enc` is injective: no two different field lists give the same bytes.
"""

import hashlib
import hmac
import struct
from typing import Final

_LENGTH: Final = struct.Struct(">I")
_INTEGER: Final = struct.Struct(">IQ")


def enc(label: str, *fields: str | bytes | int) -> bytes:
    """Label and fields, each as 4-byte big-endian length and bytes; an integer is 8 bytes big-endian."""
    parts: list[bytes] = []
    for field in (label, *fields):
        if isinstance(field, int):
            parts.append(_INTEGER.pack(8, field))
        else:
            data = field.encode() if isinstance(field, str) else field
            parts += (_LENGTH.pack(len(data)), data)
    return b"".join(parts)


def hkdf_extract(salt: bytes, ikm: bytes) -> bytes:
    """RFC 5869 §2.2 with SHA-256: 32 bytes."""
    return hmac.digest(salt, ikm, "sha256")


def hkdf_expand(prk: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 §2.3 with SHA-256: `length` bytes, at most 255 × 32."""
    if not 0 < length <= 255 * 32:
        raise ValueError("HKDF gives 1 to 8160 bytes")
    block, out, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(prk, block + info + bytes([counter]), "sha256")
        out += block
        counter += 1
    return out[:length]


def session_root(
    asset_key: bytes, salt: bytes, tenant: str, asset: str, generation: int, session_id: bytes
) -> bytes:
    """SRK, 32 bytes: what an edge holds to serve one session. `salt`: 32 random bytes of its record."""
    prk = hkdf_extract(salt, asset_key)
    return hkdf_expand(prk, enc("sluice1 session", tenant, asset, generation, session_id), 32)


def content_key(root: bytes, protection: str, track: str, rendition: str, period: int) -> bytes:
    """K, 16 bytes: opens a key period of a rendition of a session. cenc, cbcs: rendition "-", period 0."""
    return hkdf_expand(root, enc("sluice1 key", protection, track, rendition, period), 16)


def etag_key(root: bytes) -> bytes:
    """ETK, 32 bytes: makes the entity tags of this session's bodies."""
    return hkdf_expand(root, enc("sluice1 etag"), 32)


def download_salt(root: bytes, name: str) -> bytes:
    """SALT, 16 bytes: the RFC 8188 header salt of this session's download of object `name`."""
    return hkdf_expand(root, enc("sluice1 salt", name), 16)


def key_id(
    tenant: str, asset: str, generation: int, protection: str, track: str, rendition: str, period: int
) -> bytes:
    """KID, 16 bytes, public, the same in every session."""
    fields = enc("sluice1 kid", tenant, asset, generation, protection, track, rendition, period)
    return hashlib.sha256(fields).digest()[:16]


def cbcs_iv(kid: bytes) -> bytes:
    """CIV, 16 bytes, public: the constant IV of a `cbcs` track."""
    return hashlib.sha256(enc("sluice1 cbcs-iv", kid)).digest()[:16]


def slice_key(storage_key: bytes, rendition: str, name: str) -> bytes:
    """DEK, 32 bytes: seals the slices of one object of one (asset, generation)."""
    return hkdf_expand(storage_key, enc("sluice1 slice", rendition, name), 32)
