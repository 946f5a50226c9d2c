"""What a zone is: paths of this edge, and the origin that answers for them. Pure.

    Zone.parse("/=http://127.0.0.1:8000")        ValueError says what is wrong with it
    find(zones, "/a/b")                          the zone with the longest prefix of that path; None

A prefix ends with a slash and stays in the path the origin is asked for.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_SHAPE = re.compile(
    r"(/(?:[A-Za-z0-9._~-]+/)*)=(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?/?"
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a zone's answers come from."""

    scheme: str  # http or https
    host: str  # a name or an address, IPv6 in brackets
    port: int


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone."""

    prefix: str
    origin: Origin

    @classmethod
    def parse(cls, text: str) -> "Zone":
        """The zone this `PREFIX=URL` names. ValueError."""
        found = _SHAPE.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no zone: write it as /prefix/=http://host:port")
        prefix, scheme, host, port = found.groups()
        number = int(port) if port else {"http": 80, "https": 443}[scheme]
        if not 0 < number < 1 << 16:
            raise ValueError(f"{text!r} names no port there is")
        return cls(prefix, Origin(scheme, host.lower(), number))


def find(zones: Sequence[Zone], path: bytes) -> Zone | None:
    """The zone that answers for this raw path."""
    fitting = [zone for zone in zones if path.startswith(zone.prefix.encode())]
    return max(fitting, key=lambda zone: len(zone.prefix), default=None)
