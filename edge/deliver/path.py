"""What a media request asks for: one canonical path and one token, read once from the raw request target.

Streams lie under `/v`, downloads under `/d`. Everything later (token match, cache key, upstream request)
uses the Route made here; nobody parses the target again. The token is a path parameter of the first segment
(RFC 9246 path style), under the RFC's name for it or the one in the settings; query style is taken on a link
only. Names need no percent-encoding, so a `%` in a
media path is never ours (SECURITY T5: encoded slashes, dots, NUL, overlong and odd forms all fall with it).
Other query parameters, such as CMCD, are ignored. Pure.
"""

import enum
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

from keys.claims import MALFORMED_URI, log_fields
from keys.names import asset_id, file_name, rendition_id
from keys.problems import Problem
from keys.renewal import cookie_tokens

TOKEN_NAME: Final = "URISigningPackage"  # noqa: S105 - the name of the attribute, not a token
MAX_TARGET_BYTES: Final = 8192
STREAM_PROTECTIONS: Final = ("aes",)  # what this release serves as streams

_MEDIA = re.compile(rb"/[vd](?![A-Za-z0-9_.~-])")  # /v, /v;…, /v/…, and odd forms such as /v%3b…; so /d
_FIRST = re.compile(r"[vd];([A-Za-z0-9_]+)=(.*)", re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,4096}(\.[A-Za-z0-9_-]{1,4096}){2}")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,=:@/-]*")  # RFC 3986 §3.3 pchar, less `%` and `;`
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")


class Kind(enum.Enum):
    """What a media path names."""

    LINK = "link"  # a link opens here: main.m3u8 without a protection
    MULTIVARIANT = "multivariant"
    MEDIA = "media"
    INIT = "init"
    SEGMENT = "segment"
    KEY = "key"
    LEAVE = "leave"  # the player says that it stops
    DOWNLOAD = "download"  # a link opens here too: which it is, the token says


_Names = tuple[Kind, str, str, str, int]  # kind, asset, protection, rendition, number


@dataclass(frozen=True, slots=True)
class Route:
    """One thing asked for. All names are well formed; whether they exist is not known yet."""

    kind: Kind
    path: str  # canonical: no token, no query
    token: str = field(repr=False)
    asset: str
    protection: str = ""  # empty on a link and on a download
    rendition: str = ""  # empty for links, multivariant playlists and downloads
    number: int = 0  # segment number, or key period
    file: str = ""  # name of a download
    token_name: str = TOKEN_NAME  # the attribute it stood in
    in_query: bool = False  # the token stood in the query: fine for a link, and for one that is renewed so
    in_cookie: bool = False  # the token came in a cookie: only a download's may, and one that is renewed so


def is_media(raw_path: bytes) -> bool:
    """Whether this target is under `/v` or `/d`, hence answered by `parse` and nobody else."""
    return _MEDIA.match(raw_path) is not None


def parse(raw_path: bytes, query: bytes = b"", cookies: bytes = b"", name: str = TOKEN_NAME) -> Route:
    """The route of a media target. A download without a token in its target may have one in `cookies`.

    `name` is what a token's attribute may be called besides TOKEN_NAME.

    Problem bad_request when the target is no canonical path, forbidden when it lacks exactly one
    well-formed token or names nothing that could exist: a stranger learns no more than that.
    """
    if len(raw_path) + len(query) > MAX_TARGET_BYTES:
        raise _refused("target too long")
    first, _, rest = _ascii(raw_path)[1:].partition("/")
    names = (TOKEN_NAME, name)
    tokens = _tokens(first, query, names)
    in_cookie = first == "d" and not tokens and cookies != b""
    if in_cookie:
        tokens = cookie_tokens(names, cookies.decode("latin-1"))[:1]
    if len(tokens) != 1 or not _TOKEN.fullmatch(tokens[0][1]):
        raise _refused("not exactly one well-formed token")
    spelled, token = tokens[0]
    segments = _segments(rest)
    in_query = ";" not in first and not in_cookie
    path = f"/{first[0]}/" + "/".join(segments)
    if first[0] == "d":
        asset, file = _download(segments)
        return Route(Kind.DOWNLOAD, path, token, asset, "", "", 0, file, spelled, in_query, in_cookie)
    kind, asset, protection, rendition, number = _read(segments)
    if in_query and kind is not Kind.LINK:
        raise _refused("query style is for links")
    return Route(kind, path, token, asset, protection, rendition, number, token_name=spelled)


def check_target(raw_path: bytes) -> None:
    """Refuses targets no route of ours could mean: Problem bad_request. For all but `/v` and `/d`."""
    decoded = unquote_to_bytes(raw_path)
    try:
        text = decoded.decode("utf-8")
    except UnicodeDecodeError:
        raise _odd("not UTF-8") from None
    # An encoded slash shows as one more slash after decoding than before.
    if decoded.count(b"/") != raw_path.count(b"/") or "\\" in text or any(ord(c) < 32 for c in text):
        raise _odd("encoded separator or control character")
    if "//" in text or any(part in (".", "..") for part in text.split("/")):
        raise _odd("empty or dot segment")


def _tokens(first: str, query: bytes, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """(name, token) of every token in the target: in its first segment, and in its query."""
    in_path = _FIRST.fullmatch(first)
    if first not in ("v", "d") and (not in_path or in_path[1] not in names):
        raise _odd("parameters of the first segment")
    in_query = []
    if query:
        pairs = (pair.decode("latin-1").partition("=") for pair in re.split(rb"[&;]", query))
        in_query = [(name, value) for name, _, value in pairs if name in names]
    return [(in_path[1], in_path[2]), *in_query] if in_path else in_query


def _segments(rest: str) -> list[str]:
    if not _PLAIN_PATH.fullmatch(rest):
        raise _odd("a character that needs no place in a media path")
    segments = rest.split("/")
    if any(part in ("", ".", "..") for part in segments):
        raise _odd("empty or dot segment")
    return segments


def _read(segments: list[str]) -> _Names:
    try:
        match segments:
            case [asset, "main.m3u8"]:
                return Kind.LINK, asset_id(asset), "", "", 0
            case [asset, protection, *tail] if protection in STREAM_PROTECTIONS:
                kind, rendition, number = _inside(tail)
                return kind, asset_id(asset), protection, rendition, number
    except Problem as problem:
        raise _refused(problem.detail) from None
    raise _refused("no such route")


def _download(segments: list[str]) -> tuple[str, str]:
    if len(segments) != 2:
        raise _refused("no such route")
    try:
        return asset_id(segments[0]), file_name(segments[1])
    except Problem as problem:
        raise _refused(problem.detail) from None


def _inside(tail: list[str]) -> tuple[Kind, str, int]:
    match tail:
        case ["main.m3u8"]:
            return Kind.MULTIVARIANT, "", 0
        case ["leave"]:
            return Kind.LEAVE, "", 0
        case [rendition, "index.m3u8"]:
            return Kind.MEDIA, rendition_id(rendition), 0
        case [rendition, "init.mp4"]:
            return Kind.INIT, rendition_id(rendition), 0
        case [rendition, name] if name.endswith(".m4s"):
            return Kind.SEGMENT, rendition_id(rendition), _number(name[:-4])
        case [rendition, "key", period]:
            return Kind.KEY, rendition_id(rendition), _number(period)
    raise _refused("no such route")


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise _refused("not a number in canonical form")
    return int(text)


def _ascii(raw: bytes) -> str:
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError:
        raise _odd("not ASCII") from None


def _odd(why: str) -> Problem:
    return Problem("bad_request", "This address is not well formed.", detail=_logged(why))


def _refused(why: str) -> Problem:
    return Problem("forbidden", detail=_logged(why))


def _logged(why: str) -> str:
    return log_fields(MALFORMED_URI, why.replace('"', "'"))
