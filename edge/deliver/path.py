"""What a media request asks for: one canonical path and one token, read once from the raw request target.

Streams lie under `/v`, downloads under `/d`. Everything later (token match, cache key, upstream request)
uses the Route made here; nobody parses the target again. The token is a path parameter of the first segment
(RFC 9246 path style), under the RFC's name for it or the one in the settings; query style is taken on a link
only. Names need no percent-encoding, so a `%` in a
media path is never ours (SECURITY T5: encoded slashes, dots, NUL, overlong and odd forms all fall with it).
A link may name the protection its session is to begin with, `?protection=cbcs`. Other query parameters, such
as CMCD, are ignored. Pure.
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
WHOLE: Final = "aes"  # of the protections of streams, the one of whole segments
COMMON: Final = ("cbcs", "cenc")  # Common Encryption: of samples
# What a link opens that asks for none: all Clear Key decryptors know cenc, not all know cbcs (W3C EME §9.1).
UNASKED: Final = {"main.m3u8": WHOLE, "main.mpd": "cenc"}
DRM: Final = "drm"  # of samples too, with keys that a DRM provider knows: for all sessions the same
STREAM_PROTECTIONS: Final = (WHOLE, *COMMON, DRM)
WHOLE_TEXT: Final = -1  # in place of the number of a segment of captions
FILE_PROTECTIONS: Final = ("ece",)  # of downloads, besides plain

_MEDIA = re.compile(rb"/[vd](?![A-Za-z0-9_.~-])")  # /v, /v;…, /v/…, and odd forms such as /v%3b…; so /d
_FIRST = re.compile(r"[vd];([A-Za-z0-9_]+)=(.*)", re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,4096}(\.[A-Za-z0-9_-]{1,4096}){2}")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,=:@/-]*")  # RFC 3986 §3.3 pchar, less `%` and `;`
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
_WANTED = re.compile(rb"(?:^|[&;])protection=([^&;]*)")


class Kind(enum.Enum):
    """What a media path names."""

    LINK = "link"  # a link opens here: main.m3u8 or main.mpd without a protection
    MULTIVARIANT = "multivariant"
    MANIFEST = "manifest"
    MEDIA = "media"
    INIT = "init"
    TEXT = "captions"  # a segment of them, or all in one (WHOLE_TEXT)
    INDEX = "storyboard"  # where the pictures of it lie on its sheets
    SHEET = "sheet"
    SEGMENT = "segment"
    KEY = "key"
    LICENSE = "license"  # of Common Encryption: the keys of a session, by POST
    LEAVE = "leave"  # the player says that it stops
    DOWNLOAD = "download"  # a link opens here too: which it is, the token says
    FILE_KEY = "file key"  # of a download that leaves encrypted
    OFFLINE = "offline license"  # of such a one, by POST


OF_COMMON: Final = (Kind.MANIFEST, Kind.LICENSE)
_Names = tuple[Kind, str, str, str, int, str]  # kind, asset, protection, rendition, number, file


@dataclass(frozen=True, slots=True)
class Route:
    """One thing asked for. All names are well formed; whether they exist is not known yet."""

    kind: Kind
    path: str  # canonical: no token, no query
    token: str = field(repr=False)
    asset: str
    protection: str = ""  # on a link the one it asks for, or empty; empty on a plain download
    rendition: str = ""  # empty for links, multivariant playlists, manifests and downloads
    number: int = 0  # segment number, or key period
    file: str = ""  # name of a download, or of what a link opens
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
        kind, asset, protection, file = _download(segments)
        return Route(kind, path, token, asset, protection, "", 0, file, spelled, in_query, in_cookie)
    kind, asset, protection, rendition, number, file = _read(segments)
    if in_query and kind is not Kind.LINK:
        raise _refused("query style is for links")
    if kind is Kind.LINK:
        protection = _wanted(query)
        if file == "main.mpd" and protection == WHOLE:
            raise _refused("no manifest of that protection")
    return Route(kind, path, token, asset, protection, rendition, number, file, spelled)


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


def _wanted(query: bytes) -> str:
    """The protection a link asks for; empty when it leaves that to us."""
    found = _WANTED.findall(query)
    if not found:
        return ""
    name: str = found[0].decode("latin-1")
    if len(found) > 1 or name not in STREAM_PROTECTIONS:
        raise _refused("not one protection of streams")
    return name


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
            case [asset, file] if file in UNASKED:
                return Kind.LINK, asset_id(asset), "", "", 0, file
            case [asset, protection, *tail] if protection in STREAM_PROTECTIONS:
                kind, rendition, number = _inside(tail)
                if kind in OF_COMMON and protection == WHOLE:
                    raise _refused(f"no {kind.value} of that protection")
                return kind, asset_id(asset), protection, rendition, number, ""
    except Problem as problem:
        raise _refused(problem.detail) from None
    raise _refused("no such route")


def _download(segments: list[str]) -> tuple[Kind, str, str, str]:
    try:
        match segments:
            case [asset, file]:
                return Kind.DOWNLOAD, asset_id(asset), "", file_name(file)
            case [asset, protection, file] if protection in FILE_PROTECTIONS:
                return Kind.DOWNLOAD, asset_id(asset), protection, file_name(file)
            case [asset, protection, file, "key"] if protection in FILE_PROTECTIONS:
                return Kind.FILE_KEY, asset_id(asset), protection, file_name(file)
            case [asset, protection, file, "license"] if protection in FILE_PROTECTIONS:
                return Kind.OFFLINE, asset_id(asset), protection, file_name(file)
    except Problem as problem:
        raise _refused(problem.detail) from None
    raise _refused("no such route")


def _inside(tail: list[str]) -> tuple[Kind, str, int]:
    match tail:
        case ["main.m3u8"]:
            return Kind.MULTIVARIANT, "", 0
        case ["main.mpd"]:
            return Kind.MANIFEST, "", 0
        case ["leave"]:
            return Kind.LEAVE, "", 0
        case ["license"]:
            return Kind.LICENSE, "", 0
        case [rendition, "index.m3u8"]:
            return Kind.MEDIA, rendition_id(rendition), 0
        case [rendition, "init.mp4"]:
            return Kind.INIT, rendition_id(rendition), 0
        case ["storyboard", "index.vtt"]:
            return Kind.INDEX, "storyboard", 0
        case ["storyboard", name] if name.endswith(".jpg"):
            return Kind.SHEET, "storyboard", _number(name[:-4])
        case [rendition, "captions.vtt"]:
            return Kind.TEXT, rendition_id(rendition), WHOLE_TEXT
        case [rendition, name] if name.endswith(".vtt"):
            return Kind.TEXT, rendition_id(rendition), _number(name[:-4])
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
