"""What of a request to a zone with a name reaches its origin and names the answer (SECURITY T5, T6). Pure.

Routing, token, cache key and origin see one canonical path and one query, made once from the raw target. A
path is the one spelling of its RFC 3986 equivalents; what could be read in two ways is no path: dot segments,
empty ones, encoded slashes, backslashes, control characters, bytes that are no UTF-8. The token is taken out
wherever it stands: at the end of a segment, in the query, or in a cookie.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import unquote_to_bytes

from edge.deliver.path import TOKEN_NAME
from edge.zone.zone import UNDER, Zone
from keys.problems import Problem
from keys.purge import URL, Purge
from keys.renewal import COOKIE, REDIRECT, cookie_tokens

MAX_TARGET_BYTES: Final = 8192

_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)+")
_QUERY = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?\[\]|-]|%[0-9A-Fa-f]{2})*")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_AGAIN = re.compile(r"%(?:2[ef]|5c|0[0-9a-f]|1[0-9a-f]|7f)", re.IGNORECASE)  # once more decoded, a trap
_PARAMETER = re.compile(r";([A-Za-z][A-Za-z0-9_]*)=([^;/]*)(?=/|$)")


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for, of whom."""

    zone: Zone
    path: str  # canonical, below the zone's prefix: begins with a slash
    query: str  # the parameters that count; "" when there are none
    at: str  # what a client has before `path`: base URL, and the prefix unless it came by a host
    token: str = field(default="", repr=False)
    parameter: str = field(default="", repr=False)  # how the token stood in the path; "" when it did not
    way: int = 0  # COOKIE or REDIRECT (`keys.renewal`): the token came in a cookie, or in the query; else 0

    @property
    def public(self) -> str:
        """The URL clients know it by: what a token's container is matched with."""
        return self.at + self._rest

    @property
    def place(self) -> str:
        """The path and query of that URL, the path without the token."""
        return "/" + "/".join(self.public.split("/")[3:])

    @property
    def upstream(self) -> bytes:
        """The target origins are asked for."""
        return (self.zone.base + self._rest).encode("ascii")

    def key(self, scheme: str) -> str:
        """The URI it is kept by: the zone's name is its host, whatever host or prefix it came by."""
        return f"{scheme}://{self.zone.name}{self._rest}"

    @property
    def _rest(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


class Zones:
    """The zones of an edge, by name and host."""

    def __init__(self, zones: tuple[Zone, ...], public_url: str, token_name: str = TOKEN_NAME) -> None:
        """`public_url` is how clients reach this edge; `token_name` what a token may stand under besides."""
        self._public = public_url.rstrip("/")
        self.scheme = self._public.partition(":")[0]
        self._by_name = {zone.name: zone for zone in zones}
        self._by_host = {host: zone for zone in zones for host in zone.hosts}
        self.names = (TOKEN_NAME, token_name)

    def at_host(self, host: bytes | None) -> tuple[Zone, str] | None:
        """The zone that answers at this Host, and the host as it is configured; None: no zone's."""
        if not self._by_host or host is None:
            return None
        spelled = host.decode("latin-1").lower()
        for each in (spelled, spelled.rpartition(":")[0]):
            if each in self._by_host:
                return self._by_host[each], each
        return None

    @staticmethod
    def takes(raw_path: bytes) -> bool:
        """Whether such a path is a zone's, or no one's."""
        return raw_path.startswith((b"/z/", b"/z;"))

    def target(
        self, raw_path: bytes, query: bytes, cookies: bytes = b"", host: tuple[Zone, str] | None = None
    ) -> Target:
        """What a request asks for; `host` is what `at_host` said of it.

        Problem bad_request when the target has no canonical form, or more than one token; not_found when
        there is no such zone.
        """
        if len(raw_path) + len(query) > MAX_TARGET_BYTES:
            raise _odd("target too long")
        path, in_path = self._without_token(_ascii(raw_path))
        path = canonical_path(path)
        pairs, in_query = self._query(_ascii(query))
        tokens = [*(match[2] for match in in_path), *in_query]
        if len(tokens) > 1:
            raise _odd("more than one token")
        way = REDIRECT if in_query else 0
        if not tokens and cookies:
            way = COOKIE
            tokens = [value for _, value in cookie_tokens(self.names, cookies.decode("latin-1"))[:1]]
        if host is not None:
            zone, at = host[0], f"{self.scheme}://{host[1]}"
        else:
            name, slash, rest = path.removeprefix(UNDER).partition("/")
            found = self._by_name.get(name)
            if found is None or not slash or not path.startswith(UNDER):
                raise Problem("not_found", "No zone answers for this path.")
            zone, path, at = found, f"/{rest}", self._public + found.prefix.rstrip("/")
        parameter = in_path[0][0] if in_path else ""
        return Target(zone, path, _kept(pairs, zone.query), at, tokens[0] if tokens else "", parameter, way)

    def purged(self, purge: Purge) -> Purge:
        """The same purge; one by URL names what its zone keys by of it, as a request's target would."""
        zone = self._by_name.get(purge.zone)
        if zone is None or purge.kind != URL:
            return purge
        path, _, query = purge.value.partition("?")
        try:
            path = canonical_path(self._without_token(path)[0])
            kept = _kept(self._query(query)[0], zone.query)
        except Problem:
            return purge  # a request for it is refused: nothing is kept by that
        return replace(purge, value=f"{path}?{kept}" if kept else path)

    def _without_token(self, path: str) -> tuple[str, list[re.Match[str]]]:
        """The path without the tokens that stand in it as parameters, and those."""
        if ";" not in path:
            return path, []
        found = [match for match in _PARAMETER.finditer(path) if match[1] in self.names]
        for match in reversed(found):
            path = path[: match.start()] + path[match.end() :]
        if any(f"{name}=" in path for name in self.names):
            raise _odd("a token where none stands")
        return path, found

    def _query(self, query: str) -> tuple[list[str], list[str]]:
        """The parameters but the token's, as they came, and the tokens."""
        if not _QUERY.fullmatch(query):
            raise _odd("a character that has no place in a query")
        pairs = query.split("&") if query else []
        tokens = [pair.partition("=")[2] for pair in pairs if pair.partition("=")[0] in self.names]
        return [pair for pair in pairs if pair.partition("=")[0] not in self.names], tokens


def canonical_path(path: str) -> str:
    """The one spelling of a path. Problem bad_request when it has none."""
    if not _PATH.fullmatch(path):
        raise _odd("a character that has no place in a path")
    raw = unquote_to_bytes(path)
    try:
        decoded = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _odd("not UTF-8") from None
    # An encoded slash shows as one more slash after decoding than before.
    if raw.count(b"/") != path.encode("ascii").count(b"/") or "\\" in decoded or _has_controls(decoded):
        raise _odd("encoded separator or control character")
    if _AGAIN.search(decoded):
        raise _odd("encoded twice")
    if "//" in decoded or any(part.partition(";")[0] in (".", "..") for part in decoded.split("/")):
        raise _odd("empty or dot segment")
    return _ESCAPE.sub(_normal, path) if "%" in path else path


def _normal(match: re.Match[str]) -> str:
    character = chr(int(match[0][1:], 16))
    return character if character in _UNRESERVED else match[0].upper()


def _has_controls(text: str) -> bool:
    return any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text)


def _kept(pairs: list[str], wanted: tuple[str, ...] | None) -> str:
    """What counts of the query: all as it came, or the parameters that are wanted, by name."""
    if wanted is None:
        return "&".join(pairs)
    named = [(pair.partition("=")[0], pair) for pair in pairs]
    return "&".join(pair for name, pair in sorted(named, key=lambda each: each[0]) if name in wanted)


def _ascii(raw: bytes) -> str:
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError:
        raise _odd("not ASCII") from None


def _odd(why: str) -> Problem:
    return Problem("bad_request", "This address is not well formed.", detail=why)
