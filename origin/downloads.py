"""What a publisher may let viewers take away whole, and what those files are called and are. Pure.

Nothing unless he says so: the file he uploaded (`original`), one MP4 for each video rendition or M4A for each
sound (`renditions`), or both; with `-ece` behind it, encrypted only. It is one word all the way from his
choice to the descriptor, so that nothing on the way can keep the files and lose the protection. A type comes
from what was found in the file (`ingest.sniff`), never from its name.
"""

from dataclasses import dataclass
from typing import Final

from keys.problems import Problem
from origin.filenames import clean_line

FILES: Final = ("original", "renditions", "both")
ENCRYPTED: Final = "-ece"
CHOICES: Final = (*FILES, *(files + ENCRYPTED for files in FILES))

# By demuxer: suffix and type with a picture, then without one.
_TYPES: Final = {
    "mov": (("mp4", "video/mp4"), ("m4a", "audio/mp4")),
    "matroska": (("mkv", "video/matroska"), ("mka", "audio/matroska")),
    "avi": (("avi", "video/vnd.avi"),) * 2,
    "asf": (("wmv", "video/x-ms-wmv"), ("wma", "audio/x-ms-wma")),
    "mxf": (("mxf", "application/mxf"),) * 2,
    "flv": (("flv", "video/x-flv"),) * 2,
    "mpeg": (("mpg", "video/mpeg"),) * 2,
    "mpegts": (("ts", "video/mp2t"),) * 2,
    "ogg": (("ogv", "video/ogg"), ("ogg", "audio/ogg")),
    "wav": (("wav", "audio/vnd.wave"),) * 2,
    "flac": (("flac", "audio/flac"),) * 2,
    "aiff": (("aiff", "audio/aiff"),) * 2,
    "aac": (("aac", "audio/aac"),) * 2,
    "mp3": (("mp3", "audio/mpeg"),) * 2,
}
_UNKNOWN: Final = ("bin", "application/octet-stream")


@dataclass(frozen=True, slots=True)
class FileName:
    """What a download is called: in its URL, on the viewer's disk, in the store; and its type."""

    name: str
    shown: str
    rendition: str
    media_type: str


def choice(text: str) -> str:
    """The text as what may be downloaded; empty: nothing. Problem bad_request for any other word."""
    if text in ("", "none"):
        return ""
    if text not in CHOICES:
        raise Problem("bad_request", f"What may be downloaded is one of {', '.join(CHOICES)}.")
    return text


def offered(files: str, *, protect: bool) -> str:
    """The choice of these files, encrypted only or plain."""
    return files + ENCRYPTED if files and protect else files


def split_choice(text: str) -> tuple[str, str]:
    """Which files a choice means, "" for none, and the protection they leave with."""
    files = text.removesuffix(ENCRYPTED)
    return files, "clear" if files == text else "ece"


def original(asset: str, title: str, demuxer: str, head: bytes, *, picture: bool) -> FileName:
    """The uploaded file, of which `head` are the first bytes."""
    suffix, kind = _type(demuxer, head, picture=picture)
    return FileName(f"{asset}.{suffix}", f"{clean_line(title)}.{suffix}", "file-original", kind)


def rendition(asset: str, title: str, id: str, *, picture: bool) -> FileName:
    """A rendition as one file."""
    suffix, kind = _TYPES["mov"][0 if picture else 1]
    return FileName(f"{asset}-{id}.{suffix}", f"{clean_line(title)} {id}.{suffix}", f"file-{id}", kind)


def _type(demuxer: str, head: bytes, *, picture: bool) -> tuple[str, str]:
    if demuxer == "mov" and picture and head[8:12] == b"qt  ":
        return "mov", "video/quicktime"
    if demuxer == "matroska" and b"webm" in head[:64]:
        return "webm", "video/webm" if picture else "audio/webm"
    return _TYPES[demuxer][0 if picture else 1] if demuxer in _TYPES else _UNKNOWN
