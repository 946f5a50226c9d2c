"""Which container a file's first bytes are, so that ffmpeg is told its demuxer and never guesses (SECURITY
T13).

An allow-list: what is not named here is refused, so formats that name other files (HLS and DASH playlists,
concat scripts, SDP, SMIL, SVG, Matroska segment links aside) have no way in. File names and claimed types
play no part. Pure: bytes in, demuxer out.
"""

from collections.abc import Callable
from typing import Final

from keys.problems import Problem

SNIFF_BYTES: Final = 4096  # of the start of a file: what `demuxer` wants to see

NOT_MEDIA: Final = "This file is no video or audio that Sluice can read."
EMPTY: Final = "This file is empty."
A_LIST: Final = "This file is a playlist or a description of other files, not a video; add the video itself."

_ASF: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_MXF: Final = bytes.fromhex("060e2b34020501010d0102")
_EBML: Final = b"\x1aE\xdf\xa3"
# ISO/IEC 14496-12 and QuickTime: types a file may open with. Reference movies are refused where they are
# found.
_FIRST_BOXES: Final = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
# Brands of `ftyp` that are still pictures, in the same boxes.
_PICTURES: Final = frozenset(
    {b"avif", b"avis", b"heic", b"heix", b"heif", b"mif1", b"msf1", b"jxl ", b"jp2 ", b"crx "}
)
# What lists of other files open with, or have in their first kilobyte; lower case.
_LIST_OPENS: Final = (
    b"#extm3u",
    b"ffconcat",
    b"<mpd",
    b"<smil",
    b"<asx",
    b"v=0\r\n",
    b"v=0\n",
    b"[playlist]",
)
_LIST_HAS: Final = (
    *_LIST_OPENS[:5], b"#ext-x-", b"<smoothstreamingmedia", b"<playlist", b"[reference]", b"rtsptext",
    b"file '", b"m=video", b"m=audio",
)  # fmt: skip


def demuxer(head: bytes) -> str:
    """The name ffmpeg has for the container these first bytes open. Problem not_media if none of ours.

    Wants the first SNIFF_BYTES of the file, or all of it when it is shorter.
    """
    if not head:
        raise Problem("not_media", EMPTY)
    start = _after_id3(head)
    for name, matches in _CONTAINERS:
        if matches(start) or (name == "mp3" and start is not head):
            return name
    raise Problem(
        "not_media", A_LIST if _names_other_files(head) else NOT_MEDIA, detail=f"begins {head[:16].hex()}"
    )


def _names_other_files(head: bytes) -> bool:
    text = head[:1024].lower()
    if b"\0" in text:
        return False  # lists are text
    return text.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_LIST_OPENS) or any(
        word in text for word in _LIST_HAS
    )


def _after_id3(head: bytes) -> bytes:
    """What follows an ID3v2 tag (28-bit size in 7-bit bytes); the head itself when there is none."""
    if head[:3] != b"ID3" or len(head) < 10:
        return head
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return head[10 + size :]


def _is_mov(head: bytes) -> bool:
    if head[4:8] not in _FIRST_BOXES:
        return False
    return head[4:8] != b"ftyp" or head[8:12] not in _PICTURES


def _is_matroska(head: bytes) -> bool:
    return head.startswith(_EBML) and (b"webm" in head[:64] or b"matroska" in head[:64])


def _is_transport_stream(head: bytes) -> bool:
    """0x47 at every 188th byte, or every 192nd after four bytes of time (M2TS): all there are, at least 2."""
    for first, packet in ((0, 188), (4, 192)):
        syncs = head[first : first + 5 * packet : packet]
        if len(syncs) > 1 and set(syncs) == {0x47}:
            return True
    return False


def _is_adts(head: bytes) -> bool:
    """Two ADTS headers in a row: sync word and layer 0, the second where the first says it is."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return False
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return len(head) >= size + 2 and head[size] == 0xFF and head[size + 1] & 0xF6 == 0xF0


def _is_mp3(head: bytes) -> bool:
    """An MPEG audio frame header with no reserved value (ISO/IEC 11172-3 §2.4.1.3)."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    return version != 1 and layer != 0 and head[2] >> 4 not in (0, 15) and head[2] >> 2 & 3 != 3


def _riff(kind: bytes) -> Callable[[bytes], bool]:
    return lambda head: head[:4] in (b"RIFF", b"RF64") and head[8:12] == kind


def _opens(*marks: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(marks)


# In the order they are tried: longer marks first.
_CONTAINERS: Final[tuple[tuple[str, Callable[[bytes], bool]], ...]] = (
    ("matroska", _is_matroska),
    ("mov", _is_mov),
    ("avi", _riff(b"AVI ")),
    ("wav", _riff(b"WAVE")),
    ("asf", _opens(_ASF)),
    ("mxf", _opens(_MXF)),
    ("flv", _opens(b"FLV\x01")),
    ("ogg", _opens(b"OggS")),
    ("flac", _opens(b"fLaC")),
    ("aiff", lambda head: head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC")),
    ("mpeg", _opens(b"\x00\x00\x01\xba")),
    ("mpegts", _is_transport_stream),
    ("aac", _is_adts),
    ("mp3", _is_mp3),
)
