"""The site's link-signing keys in their turn: the one it signs with, and those before it, while they count.

Only what verifying needs is here: public keys, and the keys under which links hide viewers and networks. The
private key is the site's (`issuer.json`). A key that has retired is remembered as such, so that an old copy
of that file does not bring it back. Pure; stored wrapped by the root key.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from keys.cipher import CLAIM_KEY, Secret
from keys.jws import VerifyKey
from keys.names import b64url, b64url_decode
from keys.signing import SigningKey

REMEMBERED: Final = 100  # keys, the newest first


@dataclass(frozen=True, slots=True)
class LinkKey:
    """One key links are believed under. `retires`: None until another follows it (epoch s)."""

    public: VerifyKey
    viewer_key: Secret | None = field(repr=False)
    since: float
    retires: float | None = None


@dataclass(frozen=True, slots=True)
class LinkRing:
    """Newest first."""

    iss: str
    keys: tuple[LinkKey, ...]

    @classmethod
    def of(cls, key: SigningKey, now: float) -> "LinkRing":
        """A ring of one."""
        return cls(key.iss, (_link_key(key, now),))

    def knows(self, kid: str) -> bool:
        """Whether a key is, or was, in the ring."""
        return any(key.public.kid == kid for key in self.keys)

    def at(self, now: float) -> tuple[LinkKey, ...]:
        """The keys whose links are believed at `now`."""
        return tuple(key for key in self.keys if key.retires is None or key.retires > now)

    def rotated(self, new: SigningKey, now: float, overlap_s: float) -> "LinkRing":
        """The ring in which `new` is the site's. Links of the key before it are believed for `overlap_s`."""
        before = tuple(
            LinkKey(key.public, key.viewer_key, key.since, now + overlap_s) if key.retires is None else key
            for key in self.keys
        )
        return LinkRing(new.iss, (_link_key(new, now), *before)[:REMEMBERED])

    def to_json(self) -> bytes:
        """The ring with its viewer keys. A secret: wrap it before it is stored."""
        return json.dumps({"iss": self.iss, "keys": [_row(key) for key in self.keys]}).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "LinkRing":
        """The ring as `to_json` wrote it. ValueError, which never quotes the content, when it is none."""
        try:
            found = json.loads(data)
            return cls(found["iss"], tuple(_read(row) for row in found["keys"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError("not a ring of link keys") from None


def _link_key(key: SigningKey, now: float) -> LinkKey:
    return LinkKey(key.verify_key(), key.viewer_key, now)


def _row(key: LinkKey) -> dict[str, Any]:
    hidden = b64url(key.viewer_key.reveal()) if key.viewer_key else None
    return {"jwk": key.public.jwk(), "viewer_key": hidden, "since": key.since, "retires": key.retires}


def _read(row: dict[str, Any]) -> LinkKey:
    hidden = row["viewer_key"]
    viewer_key = Secret(b64url_decode(hidden)) if hidden is not None else None
    if viewer_key is not None and len(viewer_key) != CLAIM_KEY:
        raise ValueError("a viewer key of another length")
    return LinkKey(VerifyKey.from_jwk(row["jwk"]), viewer_key, row["since"], row["retires"])
