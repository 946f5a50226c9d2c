"""What a zone is: paths of this edge, the origins that answer for them, and by which rules. Pure.

    Zone.parse("/=http://127.0.0.1:8000")        ValueError says what is wrong with it
    Zone.parse("/=http://a:8000,http://b:8000")  b is asked where a cannot be
    find(zones, "/a/b")                          the zone with the longest prefix of that path; None

A zone of a plain edge has no name: all that is valid is passed on, all that is passed on is keyed by, and its
prefix stays in the path the origin is asked for. One with a name, from the file of zones, lies under
`/z/<name>/` and at its hosts; its origin sees only what it lists, and paths without that prefix.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge.http.entry import PLAIN, Rules
from keys.addresses import disguised, kind, literal

FIRST_BYTE_S: Final = 5.0
MOST_ORIGINS: Final = 8
UNDER: Final = "/z/"  # where zones with a name lie
PASSED: Final = frozenset({"GET", "HEAD"})  # methods every zone passes on
FURTHER: Final = ("POST", "PUT", "PATCH", "DELETE")  # those it may
NEVER_FORWARDED: Final = frozenset(  # fields that are made here, or that would change what others get
    {
        "cdn-loop",
        "connection",
        "content-length",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "max-forwards",
        "proxy-authorization",
        "proxy-connection",
        "sluice-block",
        "sluice-node",
        "sluice-purges",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-original-url",
        "x-rewrite-url",
    }
)

_ORIGIN = re.compile(r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?/?")
_SHAPE = re.compile(r"(/(?:[A-Za-z0-9._~-]+/)*)=(.+)")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::[1-9][0-9]{0,4})?")
_BASE = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_HEALTH = re.compile(r"/[!$&-;=?-Z_a-z~]{0,250}")
_FIELD = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_PARAMETER = re.compile(r"[A-Za-z0-9._~-]{1,64}")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a zone's answers come from."""

    scheme: str  # http or https
    host: str  # a name or an address, IPv6 in brackets
    port: int
    shield_of: str = ""  # a shield stands there, asked for the zone of this name; "": the origin itself
    base: str = ""  # of a shield: the zone's path at its origins

    @classmethod
    def parse(cls, text: str) -> "Origin":
        """The origin at this base URL. ValueError."""
        found = _ORIGIN.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no origin; write it like https://origin.example:8443")
        scheme, host, port = found.groups()
        number = int(port) if port else _PORTS[scheme]
        if not 0 < number < 1 << 16:
            raise ValueError(f"{text!r} names no port there is")
        address = literal(host)
        if disguised(host) or (host.startswith("[") and address is None):
            raise ValueError(f"{text!r}: write an address like 192.0.2.1 or [2001:db8::1]")
        if address is not None and kind(address) == "never":
            raise ValueError(f"{text!r}: no origin can have this address; name the one it listens on")
        return cls(scheme, host.lower(), number)

    @property
    def is_address(self) -> bool:
        """Whether it was written as an address, not as a name."""
        return literal(self.host) is not None

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"{self.scheme}://{self.authority.decode('ascii')}"

    @property
    def authority(self) -> bytes:
        """Its own Host."""
        usual = self.port == _PORTS[self.scheme]
        return (self.host if usual else f"{self.host}:{self.port}").encode("ascii")


_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone."""

    prefix: str
    origins: tuple[Origin, ...]  # in the order in which they are asked
    rules: Rules = PLAIN
    name: str = ""  # of one from the file of zones; those that follow are of such a one
    hosts: tuple[str, ...] = ()  # it answers at as well, lower case; without a port at any port
    signed: bool = False  # RFC 9246; else public
    query: tuple[str, ...] | None = None  # parameters that count; None: all, as they came
    forward: frozenset[bytes] = frozenset()  # fields of a request that are passed on, and keyed by
    methods: frozenset[str] = PASSED
    host_header: str = ""  # what origins are asked for; "": their own
    base: str = ""  # path of the origins' that comes before a zone's paths
    upload_bytes: int = 1 << 20  # a request's body may have
    private: bool = False  # an origin's name may lead to a private address
    first_byte_s: float = FIRST_BYTE_S  # until an answer to a GET or HEAD without body begins
    health_path: str | None = None  # what each origin is asked for regularly, to see whether it is well

    @classmethod
    def parse(cls, text: str, *, private: bool = False) -> "Zone":
        """The zone of a plain edge this `PREFIX=URL[,URL…]` names. ValueError."""
        found = _SHAPE.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no zone: write it as /prefix/=http://host:port")
        origins = tuple(Origin.parse(each) for each in found[2].split(","))
        if len(set(origins)) < len(origins) or len(origins) > MOST_ORIGINS:
            raise ValueError(f"{text!r}: name at most {MOST_ORIGINS} origins, each once")
        return cls(found[1], origins, private=private)


def find(zones: Sequence[Zone], path: bytes) -> Zone | None:
    """The zone that answers for this raw path."""
    fitting = [zone for zone in zones if path.startswith(zone.prefix.encode())]
    return max(fitting, key=lambda zone: len(zone.prefix), default=None)


# What may stand in a file of zones. Each gives the value back, or ValueError says what to write.


def name_of(text: str) -> str:
    """A zone's name."""
    return _fitting(_NAME, text, "is no name; use up to 40 of a-z, 0-9 and -")


def host_of(text: str) -> str:
    """A host a zone answers at."""
    return _fitting(_HOST, text.lower(), "is no host; write it like films.example, without a scheme or path")


def base_of(text: str) -> str:
    """A path of the origins'."""
    return _fitting(_BASE, text.rstrip("/"), "is no plain path; write it like /bucket/films")


def health_of(text: str) -> str:
    """A path and query that an origin is asked for."""
    return _fitting(_HEALTH, text, "is no path; write it like /healthz")


def parameter_of(text: str) -> str:
    """The name of a query parameter."""
    return _fitting(_PARAMETER, text, "is no parameter's name; use A-Z, a-z, 0-9, ., _, ~ and -")


def field_of(text: str) -> bytes:
    """The name of a field that may be passed on."""
    name = _fitting(_FIELD, text.lower(), "is no field's name; write it like accept-language")
    if name in NEVER_FORWARDED:
        raise ValueError(f"{text!r} cannot be passed on: the edge says it itself, or not at all")
    return name.encode("ascii")


def method_of(text: str) -> str:
    """A method a zone passes on."""
    if text not in PASSED and text not in FURTHER:
        raise ValueError(f"{text!r} is no method a zone passes on; there are {', '.join(FURTHER)}")
    return text


def _fitting(shape: re.Pattern[str], text: str, otherwise: str) -> str:
    if not shape.fullmatch(text):
        raise ValueError(f"{text!r} {otherwise}")
    return text
