"""What a purge is: which answers of a zone are to go from every edge, and the log edges read. Pure.

    url      the answer kept by this path and query, in all its variants
    prefix   all whose path and query begin so; end it with a slash to mean a folder
    key      all with this surrogate key (`Surrogate-Key`, `Cache-Tag`)
    zone     all of the zone

A hard purge takes them away; a soft one makes them stale, so that they are validated, or served within the
windows they have while they are renewed. It concerns what was asked of the origin before an edge heard of it,
also what is still on its way then. Versions count 1, 2, 3, … without holes. A reader for whom there is a hole
in front of the next entry (he was away for longer than the log goes back, or the log was put back) takes it
for a soft purge of everything.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from keys.problems import Problem
from keys.zone_names import is_name

URL: Final = "url"
PREFIX: Final = "prefix"
KEY: Final = "key"
ZONE: Final = "zone"
KINDS: Final = (URL, PREFIX, KEY, ZONE)

NEW: Final = -1  # the version of a reader who knows nothing yet: he is told where the log stands
ANSWERED_MOST: Final = 1000  # purges in one answer; who missed more is told of none
MOST_VALUE: Final = 2048  # characters of a path and query
MOST_KEY: Final = 256

_PLACE = re.compile(r"/(?:[!-$&-~]|%[0-9A-Fa-f]{2})*")  # printable ASCII, escapes whole
_LABEL = re.compile(r"[!-+\x2d-~]+(?: +[!-+\x2d-~]+)*")  # printable ASCII without a comma
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@dataclass(frozen=True, slots=True)
class Purge:
    """One purge."""

    version: int
    zone: str
    kind: str
    value: str  # "" of a zone
    soft: bool

    def to_json(self) -> dict[str, Any]:
        """As the log carries it."""
        return {
            "version": self.version,
            "zone": self.zone,
            "kind": self.kind,
            "value": self.value,
            "soft": self.soft,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Purge":
        """The purge `to_json` wrote. KeyError, TypeError or ValueError when it is none."""
        kind, soft = str(fields["kind"]), fields["soft"]
        if kind not in KINDS or not isinstance(soft, bool):
            raise ValueError("a purge is of a kind, and soft or not")
        return cls(int(fields["version"]), str(fields["zone"]), kind, str(fields["value"]), soft)


@dataclass(frozen=True, slots=True)
class Purges:
    """An answer to "what is new after V": the newest version, and the purges after V that are still known."""

    version: int
    entries: tuple[Purge, ...] = ()

    def joins(self, known: int) -> bool:
        """Whether nothing is missing between version `known` and these."""
        return [each.version for each in self.entries] == list(range(known + 1, self.version + 1)) and (
            self.version >= known >= 0
        )

    def to_json(self) -> dict[str, Any]:
        """The body of `GET /v1/purges`."""
        return {"version": self.version, "entries": [each.to_json() for each in self.entries]}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Purges":
        """The answer `to_json` wrote. KeyError, TypeError or ValueError when it is none."""
        return cls(int(fields["version"]), tuple(Purge.from_json(each) for each in fields["entries"]))


def named(zone: str, kind: str, value: str) -> tuple[str, str, str]:
    """The same, as the log has it: a path in its one spelling. Problem bad_request says what to write."""
    if not is_name(zone):
        raise Problem("bad_request", "Name one zone to purge in: up to 40 of a-z, 0-9 and -.")
    if kind not in KINDS:
        raise Problem("bad_request", f"A purge is of a kind: {', '.join(KINDS)}.")
    if kind == ZONE:
        if value:
            raise Problem("bad_request", "A purge of a whole zone has no value.")
    elif kind == KEY:
        if len(value) > MOST_KEY or not _LABEL.fullmatch(value):
            raise Problem(
                "bad_request", f"A surrogate key has 1 to {MOST_KEY} characters of ASCII and no comma."
            )
    elif len(value) > MOST_VALUE or not _PLACE.fullmatch(value) or "#" in value:
        raise Problem("bad_request", f"Give a path from /, in ASCII, of at most {MOST_VALUE} characters.")
    else:
        path, mark, query = value.partition("?")
        value = _ESCAPE.sub(_spelled, path) + mark + query
    return zone, kind, value


def _spelled(escape: re.Match[str]) -> str:
    """RFC 3986 §6.2.2: what needs no escape has none, other escapes are in capitals."""
    character = chr(int(escape[0][1:], 16))
    return character if character in _UNRESERVED else escape[0].upper()


class Rate:
    """So many at once, and so many a second on the long run. Times are seconds of one clock."""

    def __init__(self, a_second: float, at_once: int) -> None:
        self._a_second, self._at_once = a_second, at_once
        self._left, self._at = float(at_once), 0.0

    def take(self, now: float) -> bool:
        """Whether one more may be done now. A clock that was set back gives nothing."""
        self._left = min(self._at_once, self._left + max(0.0, now - self._at) * self._a_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
