"""What was taken back: the versioned log of revocations, and the set that is asked on every request.

The log lives in the keys database (`keys.stores`); this is its pure half, for keys and edges. Versions
count 1, 2, 3, … without holes, so a reader who is handed a hole knows that he missed something and starts
again from 0. Entries are names, never token text: a re-encoded token says the same names (SECURITY T4).
Each counts until every token it could concern has expired.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

SID: Final = "sid"
LID: Final = "lid"
VIEWER: Final = "viewer"
ASSET: Final = "asset"
KID: Final = "kid"
KINDS: Final = (SID, LID, VIEWER, ASSET, KID)

KEPT_S: Final = (
    86_400.0  # an entry outlives its time by this: a clock that ran ahead and was set back may need it
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One revocation: everything of `kind` named `value`, until the time `until`."""

    version: int
    kind: str
    value: str
    until: float

    def to_json(self) -> dict[str, Any]:
        """The entry as the feed carries it."""
        return {"version": self.version, "kind": self.kind, "value": self.value, "until": self.until}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Entry":
        """The entry the feed carried. KeyError, TypeError or ValueError when it is none."""
        return cls(int(fields["version"]), str(fields["kind"]), str(fields["value"]), float(fields["until"]))


@dataclass(frozen=True, slots=True)
class Feed:
    """An answer to "what is new after V": the log's newest version, the entries after V, keys' clock."""

    version: int
    entries: tuple[Entry, ...]
    now: float

    def to_json(self) -> dict[str, Any]:
        """The body of `GET /v1/revocations`."""
        return {
            "version": self.version,
            "entries": [entry.to_json() for entry in self.entries],
            "now": self.now,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Feed":
        """The feed that `to_json` wrote. KeyError, TypeError or ValueError when it is none."""
        entries = tuple(Entry.from_json(item) for item in fields["entries"])
        return cls(int(fields["version"]), entries, float(fields["now"]))


def signing_key_name(iss: str, kid: str) -> str:
    """The value of a `kid` entry: one key of one issuer."""
    return f"{iss}/{kid}"


class RevocationSet:
    """All that is revoked, as known up to `version`. A check costs five dictionary look-ups.

    Readers loop: `revoked.apply(await client.revocations(after=revoked.version, wait_s=25))`.
    """

    def __init__(self) -> None:
        self.version = 0
        self._until: dict[tuple[str, str], float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def apply(self, feed: Feed) -> bool:
        """Take in an answer. False at a gap: `version` is 0 then, and so the next question is for everything.

        Nothing is ever un-revoked here: an entry leaves only when its own time is over.
        """
        self._add(feed.entries)
        whole = self.version == 0 or _joins(self.version, feed)
        self.version = feed.version if whole else 0
        return whole

    def _add(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            key = (entry.kind, entry.value)
            self._until[key] = max(entry.until, self._until.get(key, 0.0))

    def feed(self, now: float) -> Feed:
        """All of it, as an answer to who knows nothing yet. Entries are as late as `version`."""
        entries = (Entry(self.version, *name, until) for name, until in self._until.items())
        return Feed(self.version, tuple(entries), now)

    def find(
        self,
        *,
        now: float,
        sid: str | None = None,
        lid: str | None = None,
        viewer: str | None = None,
        asset: str | None = None,
        signer: tuple[str, str] | None = None,
    ) -> str | None:
        """The kind of the first revocation that concerns any of these names at `now`, or None.

        `signer` is (iss, kid) of the token.
        """
        if not self._until:
            return None
        names = (
            (SID, sid),
            (LID, lid),
            (VIEWER, viewer),
            (ASSET, asset),
            (KID, signing_key_name(*signer) if signer else None),
        )
        for kind, value in names:
            if value is not None and self._until.get((kind, value), 0.0) > now:
                return kind
        return None

    def forget(self, now: float) -> int:
        """Drop entries whose time was over `KEPT_S` ago; how many were dropped."""
        ended = [key for key, until in self._until.items() if until <= now - KEPT_S]
        for key in ended:
            del self._until[key]
        return len(ended)


def _joins(known: int, feed: Feed) -> bool:
    """Whether the feed continues right after version `known` and reaches its own newest version."""
    versions = [entry.version for entry in feed.entries]
    return versions == list(range(known + 1, feed.version + 1)) and feed.version >= known
