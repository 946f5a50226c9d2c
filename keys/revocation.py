"""What was taken back: the versioned log of revocations, and the set that is asked on every request.

The log lives in the keys database (`keys.stores`); this is its pure half, for keys and edges. Versions
count 1, 2, 3, … without holes, so a reader who is handed a hole knows that he missed something and starts
again from 0. Entries are names, never token text: a re-encoded token says the same names (SECURITY T4).
Each counts until every token it could concern has expired. A revocation can be lifted again, by a later
entry of the same name; what ended meanwhile stays ended.

A tenant epoch takes back all that was signed or opened for a tenant until some second, this one included.
Its value is `<tenant>/<second>`. A `slow` entry travels the same way, and ends nothing: its value is a
viewer, or a link that names none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

SID: Final = "sid"
LID: Final = "lid"
VIEWER: Final = "viewer"
ASSET: Final = "asset"
KID: Final = "kid"
EPOCH: Final = "epoch"
KINDS: Final = (SID, LID, VIEWER, ASSET, KID, EPOCH)
SLOW: Final = "slow"  # takes nothing back: who is named gets media at real time (`keys.ripping`)
ENTRIES: Final = (*KINDS, SLOW)

LIFTED: Final = 0.0  # the `until` of an entry that lifts those before it
FOREVER: Final = 253_402_300_799.0  # the year 9999: of a signing key, which goes on signing when it leaked

KEPT_S: Final = (
    86_400.0  # an entry outlives its time by this: a clock that ran ahead and was set back may need it
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One revocation: everything of `kind` named `value`, until the time `until`; LIFTED takes it back."""

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
        kind, value = str(fields["kind"]), str(fields["value"])
        if kind == EPOCH:
            read_epoch(value)
        return cls(int(fields["version"]), kind, value, float(fields["until"]))


@dataclass(frozen=True, slots=True)
class Feed:
    """An answer to "what is new after V": the log's newest version, the entries after V, keys' clock."""

    version: int
    entries: tuple[Entry, ...]
    now: float
    trust: str = ""  # the mark of whom to believe now (`keys.issuers`)

    def to_json(self) -> dict[str, Any]:
        """The body of `GET /v1/revocations`."""
        return {
            "version": self.version,
            "entries": [entry.to_json() for entry in self.entries],
            "now": self.now,
            "trust": self.trust,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Feed":
        """The feed that `to_json` wrote. KeyError, TypeError or ValueError when it is none."""
        entries = tuple(Entry.from_json(item) for item in fields["entries"])
        return cls(int(fields["version"]), entries, float(fields["now"]), str(fields.get("trust", "")))


def signing_key_name(iss: str, kid: str) -> str:
    """The value of a `kid` entry: one key of one issuer."""
    return f"{iss}/{kid}"


def epoch_name(tenant: str, second: float) -> str:
    """The value of an `epoch` entry: all of a tenant until that second."""
    return f"{tenant}/{int(second)}"


def read_epoch(value: str) -> tuple[str, int]:
    """(tenant, second) of an `epoch` entry. ValueError when it is none."""
    tenant, _, second = value.rpartition("/")
    if not tenant or not second.isdecimal():
        raise ValueError("an epoch is a tenant and a second")
    return tenant, int(second)


class RevocationSet:
    """All that is revoked, as known up to `version`. A check costs six dictionary look-ups.

    Readers loop: `revoked.apply(await client.revocations(after=revoked.version, wait_s=25))`.
    """

    def __init__(self) -> None:
        self.version = 0
        self._until: dict[tuple[str, str], float] = {}
        self._epochs: dict[str, tuple[int, float]] = {}  # tenant: the latest epoch and its `until`

    def __len__(self) -> int:
        return len(self._until) + len(self._epochs)

    def apply(self, feed: Feed) -> bool:
        """Take in an answer. False at a gap: `version` is 0 then, and so the next question is for everything.

        Nothing is un-revoked by what is missing: an entry leaves when its own time is over, or when an entry
        of its name lifts it.
        """
        self._add(feed.entries)
        whole = self.version == 0 or _joins(self.version, feed)
        self.version = feed.version if whole else 0
        return whole

    def _add(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            key = (entry.kind, entry.value)
            if entry.kind == EPOCH:
                self._add_epoch(entry)
            elif entry.until == LIFTED:
                self._until.pop(key, None)
            else:
                self._until[key] = max(entry.until, self._until.get(key, 0.0))

    def _add_epoch(self, entry: Entry) -> None:
        tenant, second = read_epoch(entry.value)
        if entry.until == LIFTED:
            self._epochs.pop(tenant, None)
        else:
            self._epochs[tenant] = max((second, entry.until), self._epochs.get(tenant, (0, 0.0)))

    def feed(self, now: float) -> Feed:
        """All of it, as an answer to who knows nothing yet. Entries are as late as `version`."""
        entries = [Entry(self.version, *name, until) for name, until in self._until.items()]
        entries += [
            Entry(self.version, EPOCH, epoch_name(tenant, second), until)
            for tenant, (second, until) in self._epochs.items()
        ]
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
        issued: tuple[str, float] | None = None,
    ) -> str | None:
        """The kind of the first revocation that concerns any of these names at `now`, or None.

        `signer` is (iss, kid) of the token; `issued` the tenant, and when the link was signed or the session
        opened: 0 when it does not say, which is before every epoch.
        """
        if not (self._until or self._epochs):
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
        if issued is not None and issued[0] in self._epochs:
            second, until = self._epochs[issued[0]]
            if until > now and int(issued[1]) <= second:
                return EPOCH
        return None

    def slows(self, name: str, now: float) -> bool:
        """Whether this viewer, or link that names none, gets media at real time only."""
        return self._until.get((SLOW, name), 0.0) > now

    def forget(self, now: float) -> int:
        """Drop entries whose time was over `KEPT_S` ago; how many were dropped."""
        ended = [key for key, until in self._until.items() if until <= now - KEPT_S]
        for key in ended:
            del self._until[key]
        over = [tenant for tenant, (_, until) in self._epochs.items() if until <= now - KEPT_S]
        for tenant in over:
            del self._epochs[tenant]
        return len(ended) + len(over)


def _joins(known: int, feed: Feed) -> bool:
    """Whether the feed continues right after version `known` and reaches its own newest version."""
    versions = [entry.version for entry in feed.entries]
    return versions == list(range(known + 1, feed.version + 1)) and feed.version >= known
