"""Captions in HLS (RFC 8216 §3.5, §4.3.4.1): their rows in the multivariant playlist, and their playlists.

Under `aes` their segments are encrypted whole as all others are. Sample encryption is of samples in MP4 and
knows no WebVTT, so there they go out as they are, to sessions alone.
"""

from typing import Final

from origin.media.asset import Descriptor
from origin.media.captions import SEGMENT_S
from origin.media.extras import STORYBOARD, STORYBOARD_INDEX, Caption, segment_text

GROUP: Final = "captions"
STORYBOARD_URI: Final = f"{STORYBOARD}/{STORYBOARD_INDEX}"


def group(descriptor: Descriptor) -> str:
    """The SUBTITLES attribute of variants; empty without captions."""
    return f'"{GROUP}"' if descriptor.captions else ""


def media_tags(descriptor: Descriptor) -> list[str]:
    """A row for each of an asset's captions."""
    lines: list[str] = []
    names: set[str] = set()
    for each in descriptor.captions:
        name = _quoted(each.name or each.language or each.id)
        name = f"{name} ({each.id})" if name in names else name  # §4.3.4.1.1: unique in a group
        names.add(name)
        language = f',LANGUAGE="{_quoted(each.language)}"' if each.language else ""
        lines.append(
            f'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="{GROUP}",NAME="{name}"{language}'
            f",DEFAULT={_yes(each.default)},AUTOSELECT=YES,FORCED={_yes(each.forced)}"
            f',URI="{each.id}/index.m3u8"'
        )
    return lines


def media(descriptor: Descriptor, caption: Caption, protection: str) -> bytes:
    """`<rendition>/index.m3u8` of captions. Its target duration is its own (draft-pantos-hls-rfc8216bis
    §6.2.4 allows that of subtitles on demand)."""
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{SEGMENT_S}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:VOD",
    ]
    for number, ms in enumerate(caption.durations):
        if protection == "aes" and number % descriptor.period_segments == 0:
            lines.append(f'#EXT-X-KEY:METHOD=AES-128,URI="key/{number // descriptor.period_segments}"')
        lines += [f"#EXTINF:{ms / 1000:.3f},", segment_text(number)]
    return ("\n".join([*lines, "#EXT-X-ENDLIST"]) + "\n").encode()


def _yes(value: bool) -> str:
    return "YES" if value else "NO"


def _quoted(text: str) -> str:
    return "".join(c for c in text if c != '"' and c.isprintable())
