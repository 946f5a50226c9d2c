"""The keys of a region in their turn: what its edges seal shared entries with, and opened them with before.

A region key is handed to edges; it seals what generic zones keep in Redis, never media. A key retires when
no entry sealed with it can be there any more. Pure; stored wrapped by the root key.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from keys.cipher import Secret
from keys.names import b64url, b64url_decode

KEY_BYTES: Final = 32
ENTRIES_LIVE_S: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class RegionKey:
    """One key. `retires`: None while it seals, else when it opens nothing any more (epoch s)."""

    version: int
    key: Secret = field(repr=False)
    since: float
    retires: float | None = None


@dataclass(frozen=True, slots=True)
class RegionRing:
    """Newest first: the newest seals, all of them open."""

    keys: tuple[RegionKey, ...]

    @classmethod
    def of(cls, key: bytes, now: float) -> "RegionRing":
        """A ring of one."""
        return cls((RegionKey(1, Secret(key), now),))

    def at(self, now: float) -> "RegionRing":
        """The ring without what has retired."""
        return RegionRing(tuple(k for k in self.keys if k.retires is None or k.retires > now))

    def rotated(self, new: bytes, now: float) -> "RegionRing":
        """The ring in which `new` seals."""
        before = tuple(
            RegionKey(k.version, k.key, k.since, now + ENTRIES_LIVE_S) if k.retires is None else k
            for k in self.at(now).keys
        )
        return RegionRing((RegionKey(self.keys[0].version + 1, Secret(new), now), *before))

    def to_json(self) -> dict[str, Any]:
        """The ring as nodes are handed it. Holds secrets."""
        rows = [
            {"version": k.version, "key": b64url(k.key.reveal()), "since": k.since, "retires": k.retires}
            for k in self.keys
        ]
        return {"keys": rows}

    def to_bytes(self) -> bytes:
        """The ring as it is stored. A secret: wrap it before."""
        return json.dumps(self.to_json()).encode()

    @classmethod
    def from_json(cls, fields: Any) -> "RegionRing":
        """The ring `to_json` wrote. ValueError, which never quotes the content, when it is none."""
        try:
            keys = tuple(_read(row) for row in fields["keys"])
        except (ValueError, KeyError, TypeError):
            raise ValueError("not a ring of region keys") from None
        if not keys or keys[0].retires is not None:
            raise ValueError("not a ring of region keys")
        return cls(keys)

    @classmethod
    def from_bytes(cls, data: bytes) -> "RegionRing":
        """The ring `to_bytes` wrote. ValueError when it is none."""
        return cls.from_json(json.loads(data))


def _read(row: Any) -> RegionKey:
    key = b64url_decode(row["key"])
    if len(key) != KEY_BYTES:
        raise ValueError("a region key of another length")
    return RegionKey(int(row["version"]), Secret(key), float(row["since"]), row["retires"])
