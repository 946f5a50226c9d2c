"""A signed text, taken apart and believed only in its one strict form (RFC 7515 compact, RFC 8725).

Answers two questions: is this text exactly `header.payload.signature` in canonical base64url with a header
we accept (`parse`), and does this key's signature hold over it (`VerifyKey.holds`). What the payload says
is for `keys.claims`. Libraries for JSON Web Tokens let through padding, names said twice and foreign forms
of a signature; so the bytes are checked here, and only the curve arithmetic is `cryptography`'s.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from keys.jwk import PrivateKey, PublicKey, algorithm, public_jwk, read_public, thumbprint
from keys.names import b64url, b64url_decode
from keys.strict_json import strict_object

MAX_BYTES: Final = 4096  # of the whole token
MAX_MEMBERS: Final = 10  # of the header
MAX_KID: Final = 128  # characters
SIGNATURE: Final = 64  # bytes, for Ed25519 and for P-256 (r and s, RFC 7518 §3.4)
# Members that would let a token choose its own key, encoding or rules.
FORBIDDEN: Final = frozenset({"crit", "b64", "jku", "jwk", "x5u", "x5c", "zip"})


class Malformed(ValueError):
    """A text that is no token of ours, whoever signed it."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A token in its three parts. Nothing in it is true until a key's signature holds."""

    alg: str
    kid: str
    typ: str  # "" when the header names none
    payload: bytes
    signing_input: bytes
    signature: bytes


def parse(text: str) -> Parsed:
    """The parts of a compact JWS. Malformed unless it is in the one form SECURITY 4 allows."""
    if len(text) > MAX_BYTES:
        raise Malformed("too long")
    segments = text.split(".")
    if len(segments) != 3 or not all(segments):
        raise Malformed("not three segments")
    try:
        header_bytes, payload, signature = (b64url_decode(s) for s in segments)
        header = strict_object(header_bytes)
    except ValueError as exc:
        raise Malformed(str(exc)) from exc
    alg, kid, typ = _header(header)
    return Parsed(alg, kid, typ, payload, f"{segments[0]}.{segments[1]}".encode("ascii"), signature)


def _header(header: dict[str, object]) -> tuple[str, str, str]:
    alg, kid, typ = header.get("alg"), header.get("kid"), header.get("typ", "")
    if len(header) > MAX_MEMBERS or FORBIDDEN & header.keys():
        raise Malformed("a header member we do not take")
    if not (isinstance(alg, str) and isinstance(kid, str) and isinstance(typ, str)):
        raise Malformed("alg, kid and typ are strings")
    if not 0 < len(kid) <= MAX_KID:
        raise Malformed("kid of the wrong length")
    return alg, kid, typ


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A public key under the ID its tokens name. Its algorithm is the key's own."""

    kid: str
    public: PublicKey

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, object]) -> "VerifyKey":
        """The key of a public JWK; without `kid`, its thumbprint. ValueError when it is no key of ours."""
        public = read_public(jwk)
        kid = jwk.get("kid", thumbprint(public))
        if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID:
            raise ValueError("kid is a string of 1 to 128 characters")
        return cls(kid, public)

    @property
    def alg(self) -> str:
        """ "EdDSA" or "ES256"."""
        return algorithm(self.public)

    @property
    def thumbprint(self) -> str:
        """Of the key itself (RFC 7638), whatever its ID."""
        return thumbprint(self.public)

    def jwk(self) -> dict[str, str]:
        """The public JWK with `kid`, `alg` and `use`."""
        return {**public_jwk(self.public), "kid": self.kid, "alg": self.alg, "use": "sig"}

    def holds(self, parsed: Parsed) -> bool:
        """Whether this key signed exactly these parts, with its own algorithm."""
        if parsed.alg != self.alg or len(parsed.signature) != SIGNATURE:
            return False
        try:
            if isinstance(self.public, Ed25519PublicKey):
                self.public.verify(parsed.signature, parsed.signing_input)
            else:
                self.public.verify(_der(parsed.signature), parsed.signing_input, ec.ECDSA(SHA256()))
        except (InvalidSignature, ValueError):
            return False
        return True


def sign(private: PrivateKey, kid: str, payload: Mapping[str, object], typ: str = "JWT") -> str:
    """The compact JWS of `payload` under this key."""
    header = {"alg": algorithm(private), "kid": kid, "typ": typ}
    text = f"{b64url(_json(header))}.{b64url(_json(payload))}"
    if isinstance(private, Ed25519PrivateKey):
        signature = private.sign(text.encode())
    else:
        r, s = decode_dss_signature(private.sign(text.encode(), ec.ECDSA(SHA256())))
        signature = r.to_bytes(SIGNATURE // 2, "big") + s.to_bytes(SIGNATURE // 2, "big")
    return f"{text}.{b64url(signature)}"


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _der(raw: bytes) -> bytes:
    r, s = (int.from_bytes(raw[i : i + SIGNATURE // 2], "big") for i in (0, SIGNATURE // 2))
    if not (r and s):
        raise ValueError("r and s are not zero")
    return encode_dss_signature(r, s)
