"""Signing keys in their turn: announced, active, then retiring until all they signed has expired.

Answers: which key signs now, which keys verifiers must know, and what the ring is after a rotation. A new
key is announced before it signs, so that verifiers know it when they meet it. Pure; where the ring is kept,
wrapped by the root key, is for the stores.
"""

import json
from dataclasses import dataclass

from keys.names import b64url, b64url_decode
from keys.signing import SigningKey


@dataclass(frozen=True, slots=True)
class RingKey:
    """A key in the ring. Times are epoch seconds. `retires`: None until another follows it."""

    key: SigningKey
    retires: float | None = None  # when verifiers may forget it
    starts: float = 0.0  # when it begins to sign


@dataclass(frozen=True, slots=True)
class Keyring:
    """Newest first. Exactly one key, the newest, does not retire."""

    keys: tuple[RingKey, ...]

    def __post_init__(self) -> None:
        if sum(ring_key.retires is None for ring_key in self.keys) != 1:
            raise ValueError("a keyring has exactly one active key")
        if self.keys[0].retires is not None:
            raise ValueError("a keyring's newest key does not retire")
        if len({ring_key.key.kid for ring_key in self.keys}) != len(self.keys):
            raise ValueError("a keyring has no key twice")

    @classmethod
    def of(cls, key: SigningKey) -> "Keyring":
        """A ring of one."""
        return cls((RingKey(key),))

    def active(self, now: float) -> SigningKey:
        """The key that signs at `now`: the newest that has begun to; the oldest where none has."""
        return next((k.key for k in self.keys if k.starts <= now), self.keys[-1].key)

    def public_jwks(self, now: float) -> list[dict[str, str]]:
        """What verifiers must know at `now`, newest first."""
        return [ring_key.key.public_jwk() for ring_key in self.trimmed(now).keys]

    def rotated(self, new: SigningKey, now: float, longest_token_s: float, lead_s: float = 0.0) -> "Keyring":
        """The ring in which `new` signs from `lead_s` seconds on, and is announced until then.

        The key before it retires once the longest token it may still sign has expired.
        """
        starts = now + lead_s
        retiring = tuple(
            RingKey(k.key, starts + longest_token_s, k.starts) if k.retires is None else k
            for k in self.trimmed(now).keys
        )
        return Keyring((RingKey(new, None, starts), *retiring))

    def trimmed(self, now: float) -> "Keyring":
        """The ring without the keys that have retired."""
        return Keyring(tuple(k for k in self.keys if k.retires is None or k.retires > now))

    def without(self, kid: str) -> "Keyring":
        """The ring without a retiring key, at once: it leaked. ValueError for the active one: rotate it."""
        return Keyring(tuple(k for k in self.keys if k.key.kid != kid))

    def to_json(self) -> bytes:
        """The ring with its private keys. A secret: wrap it before it is stored."""
        rows = [{"key": b64url(k.key.to_json()), "retires": k.retires, "starts": k.starts} for k in self.keys]
        return json.dumps({"keys": rows}, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Keyring":
        """The ring as `to_json` wrote it. ValueError, which never quotes the content, when it is none."""
        try:
            rows = json.loads(data)["keys"]
            return cls(
                tuple(
                    RingKey(SigningKey.from_json(b64url_decode(r["key"])), r["retires"], r.get("starts", 0.0))
                    for r in rows
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            raise ValueError("not a keyring") from None
