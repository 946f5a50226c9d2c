"""A reader of HLS playlists for tests, strict where players stumble (RFC 8216)."""

import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Variant:
    """One EXT-X-STREAM-INF entry."""

    uri: str
    attributes: dict[str, str]


@dataclass(frozen=True)
class Entry:
    """One segment: number, URI, duration in seconds, URI of the key that covers it (None: clear)."""

    number: int
    uri: str
    seconds: float
    key_uri: str | None


@dataclass
class MediaPlaylist:
    """A media playlist as read."""

    map_uri: str = ""
    target: int = 0
    ended: bool = False
    entries: list[Entry] = field(default_factory=list)


def attributes(text: str) -> dict[str, str]:
    """The attribute list of a tag, quotes removed."""
    return {k: v.strip('"') for k, v in re.findall(r'([A-Z0-9-]+)=("[^"]*"|[^",]*)', text)}


def read_multivariant(text: str) -> tuple[list[Variant], list[dict[str, str]]]:
    """Variants, and the attributes of every EXT-X-MEDIA."""
    lines = text.splitlines()
    assert lines[0] == "#EXTM3U"
    variants = [
        Variant(lines[i + 1], attributes(line.split(":", 1)[1]))
        for i, line in enumerate(lines)
        if line.startswith("#EXT-X-STREAM-INF:")
    ]
    media = [attributes(line.split(":", 1)[1]) for line in lines if line.startswith("#EXT-X-MEDIA:")]
    return variants, media


def read_media(text: str) -> MediaPlaylist:
    """Segments in order, each with its key."""
    lines = text.splitlines()
    assert lines[0] == "#EXTM3U"
    found, key_uri, seconds, number = MediaPlaylist(), None, 0.0, 0
    for line in lines[1:]:
        tag, _, value = line.partition(":")
        if tag == "#EXT-X-TARGETDURATION":
            found.target = int(value)
        elif tag == "#EXT-X-MEDIA-SEQUENCE":
            number = int(value)
        elif tag == "#EXT-X-MAP":
            assert key_uri is None, "the init segment is clear, so EXT-X-MAP comes before any EXT-X-KEY"
            found.map_uri = attributes(value)["URI"]
        elif tag == "#EXT-X-KEY":
            found_key = attributes(value)
            assert found_key["METHOD"] == "AES-128" and "IV" not in found_key
            key_uri = found_key["URI"]
        elif tag == "#EXTINF":
            seconds = float(value.split(",")[0])
        elif tag == "#EXT-X-ENDLIST":
            found.ended = True
        elif line and not line.startswith("#"):
            found.entries.append(Entry(number, line, seconds, key_uri))
            number += 1
    return found
