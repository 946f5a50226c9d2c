"""The names of things: assets, renditions, objects, sessions, protections. Parsed once, at the border.

A name that passed its parser is safe as a path part, a database value, a Redis key part and a URL segment.
"""

import base64
import re
from typing import Final

from keys.problems import Problem

PROTECTIONS: Final = ("clear", "aes", "cbcs", "cenc", "drm", "ece")  # one table of names, in URLs and in code
DEFAULT_TENANT: Final = "default"
SESSION_ID_BYTES: Final = 16

_ASSET = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_RENDITION = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_OBJECT = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}(\.[a-z0-9]{1,8})?")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_DOWNLOAD = re.compile(r"/d/([^/]+)/(?:(ece)/)?([^/]+)")


def asset_id(text: str) -> str:
    """The text as an asset ID: 1 to 64 of `a-z 0-9 _ -`, no sign first. Problem bad_request if not."""
    return _parse(
        _ASSET, text, "an asset ID is 1 to 64 of a-z, 0-9, _ and -, starting with a letter or digit"
    )


def rendition_id(text: str) -> str:
    """The text as a rendition ID: 1 to 32 of `a-z 0-9 -`. Problem bad_request if not."""
    return _parse(_RENDITION, text, "a rendition ID is 1 to 32 of a-z, 0-9 and -")


def object_name(text: str) -> str:
    """The text as the name of an object in a rendition, such as `init.mp4` or `7.m4s`."""
    return _parse(_OBJECT, text, "an object name is like init.mp4 or 7.m4s")


def file_name(text: str) -> str:
    """The text as the last part of a download's URL, such as `film-720p.mp4`. Problem bad_request if not."""
    return _parse(_FILE, text, "a download is named by 1 to 128 of A-Z, a-z, 0-9, `.`, _ and -")


def download_path(asset: str, file: str, protection: str = "clear") -> str:
    """The path of a download at an edge: `/d/film/film.mp4`, encrypted `/d/film/ece/film.mp4`."""
    return f"/d/{asset}/{file}" if protection == "clear" else f"/d/{asset}/{protection}/{file}"


def split_download(path: str) -> tuple[str, str, str] | None:
    """Asset, file and protection of a download's path; None for any other. Problem for names of no form."""
    found = _DOWNLOAD.fullmatch(path)
    return None if found is None else (asset_id(found[1]), file_name(found[3]), found[2] or "clear")


def _parse(pattern: re.Pattern[str], text: str, rule: str) -> str:
    if not pattern.fullmatch(text):
        raise Problem("bad_request", f"{rule[0].upper()}{rule[1:]}.", detail=f"got {text[:80]!r}")
    return text


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 4648 §5, RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


_B64URL = re.compile(r"[A-Za-z0-9_-]*")


def b64url_decode(text: str) -> bytes:
    """The bytes of canonical, unpadded base64url. ValueError for padding, space, set trailing bits."""
    if not _B64URL.fullmatch(text) or len(text) % 4 == 1:
        raise ValueError("not base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if b64url(data) != text:
        raise ValueError("base64url is not canonical")
    return data
