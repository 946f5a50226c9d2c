"""What an init segment holds, in the words of playlists: codec string, picture size, channels, timescale.

Codec strings are RFC 6381 §3 and what each codec's binding adds: avc1 (RFC 6381 §3.3), hvc1 (ISO/IEC 14496-15
Annex E), av01 (AV1 ISO-BMFF binding §5), vp09 (VP Codec ISO Media File Format Binding), mp4a (ISO/IEC 14496-1
descriptors in `esds`). One track to an init segment; of several sample descriptions the first counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from origin.media.boxes import BadBox, Box, Data, Fields, boxes, need
from origin.media.fragments import media_timescale

TRACKS: Final = {"vide": "video", "soun": "audio"}  # §8.4.3 handler type → our word for the track

# §12.1.3, §12.2.3: bytes of a sample entry before the boxes inside it
VISUAL_ENTRY, AUDIO_ENTRY = 78, 28
SAMPLE_ENTRY = 8
VP9_LEVELS: Final = frozenset((10, 11, 20, 21, 30, 31, 40, 41, 50, 51, 52, 60, 61, 62))  # ten times each


@dataclass(frozen=True, slots=True)
class TrackInfo:
    """The track of an init segment."""

    id: int
    handler: str  # "vide" or "soun"
    codecs: str  # RFC 6381
    timescale: int  # ticks a second
    width: int = 0  # pixels; 0 for audio
    height: int = 0
    channels: int = 0  # 0 for video
    sample_rate: int = 0  # Hz; 0 for video

    @property
    def track(self) -> str:
        """`video` or `audio`."""
        return TRACKS[self.handler]


def read_init(init: Data) -> TrackInfo:
    """What the one track of `init` is. BadBox when there is none, several, or a codec we do not name."""
    moov = need(init, "moov")
    traks = [box for box in boxes(init, moov) if box.type == "trak"]
    if len(traks) != 1:
        raise BadBox(f"an init segment has one track, this one has {len(traks)}")
    trak = traks[0]
    kind = handler(init, trak)
    entry = sample_entry(init, trak)
    ticks = media_timescale(init, trak)
    if kind == "vide":
        return _video(init, entry, _track_id(init, trak), ticks)
    if kind == "soun":
        return _audio(init, entry, _track_id(init, trak), ticks)
    raise BadBox(f"a track of type {kind!r} is neither video nor audio")


def handler(init: Data, trak: Box) -> str:
    """The handler type of a track (§8.4.3): "vide", "soun" or another. BadBox when it says none."""
    fields = Fields(init, need(init, "mdia", "hdlr", parent=trak))
    fields.version_and_flags()
    fields.take(4)
    return bytes(fields.take(4)).decode("latin-1")


def _track_id(init: Data, trak: Box) -> int:
    fields = Fields(init, need(init, "tkhd", parent=trak))
    version, _ = fields.version_and_flags()
    fields.take(16 if version == 1 else 8)
    return fields.uint(4)


def sample_entry(init: Data, trak: Box) -> Box:
    """The first sample description: a box after version, flags and count (§8.5.2). BadBox if none."""
    stsd = need(init, "mdia", "minf", "stbl", "stsd", parent=trak)
    entries = boxes(init, Box("stsd", stsd.start, stsd.body + 8, stsd.end))
    entry = next(entries, None)
    if entry is None:
        raise BadBox("stsd has no sample description")
    return entry


def inside(entry: Box, skip: int) -> Box:
    """The part of a sample entry that holds boxes, after VISUAL_ENTRY or AUDIO_ENTRY bytes. BadBox if cut."""
    if entry.body + skip > entry.end:
        raise BadBox(f"sample entry {entry.type!r} is cut")
    return Box(entry.type, entry.start, entry.body + skip, entry.end)


def _video(init: Data, entry: Box, track_id: int, ticks: int) -> TrackInfo:
    fields = Fields(init, entry)
    fields.take(SAMPLE_ENTRY + 16)
    width, height = fields.uint(2), fields.uint(2)
    codecs = _codecs(VIDEO_CODECS, init, entry, inside(entry, VISUAL_ENTRY))
    return TrackInfo(track_id, "vide", codecs, ticks, width=width, height=height)


def _audio(init: Data, entry: Box, track_id: int, ticks: int) -> TrackInfo:
    fields = Fields(init, entry)
    fields.take(SAMPLE_ENTRY + 8)
    channels = fields.uint(2)
    fields.take(6)
    rate = fields.uint(4) >> 16  # 16.16; 0 when the rate does not fit, and then the timescale is the rate
    codecs = _codecs(AUDIO_CODECS, init, entry, inside(entry, AUDIO_ENTRY))
    return TrackInfo(track_id, "soun", codecs, ticks, channels=channels, sample_rate=rate or ticks)


def _codecs(table: dict[str, Callable[[Data, Box], str]], init: Data, entry: Box, inside: Box) -> str:
    name = table.get(entry.type)
    if name is None:
        raise BadBox(f"no codec string is known for {entry.type!r}")
    return name(init, inside)


def _avc(init: Data, entry: Box) -> str:
    """Profile, constraints and level: bytes 1 to 3 of avcC (ISO/IEC 14496-15 §5.3.3)."""
    fields = Fields(init, need(init, "avcC", parent=entry))
    fields.take(1)
    return f"{entry.type}.{bytes(fields.take(3)).hex()}"


def _hevc(init: Data, entry: Box) -> str:
    """ISO/IEC 14496-15 Annex E.3: profile, compatibility (bits reversed), tier and level, constraints."""
    fields = Fields(init, need(init, "hvcC", parent=entry))
    fields.take(1)
    profile = fields.uint(1)
    space = ("", "A", "B", "C")[profile >> 6]
    compatibility = int(f"{fields.uint(4):032b}"[::-1], 2)
    constraints = bytes(fields.take(6)).rstrip(b"\0")
    tier = "H" if profile & 0x20 else "L"
    parts = [entry.type, f"{space}{profile & 0x1F}", f"{compatibility:X}", f"{tier}{fields.uint(1)}"]
    return ".".join(parts + [f"{byte:X}" for byte in constraints])


def _av1(init: Data, entry: Box) -> str:
    """AV1 ISO-BMFF binding §5: profile, level and tier, bit depth."""
    fields = Fields(init, need(init, "av1C", parent=entry))
    fields.take(1)
    levels, depths = fields.uint(1), fields.uint(1)
    tier = "H" if depths & 0x80 else "M"
    depth = 8 if not depths & 0x40 else 12 if depths & 0x20 else 10
    return f"av01.{levels >> 5}.{levels & 0x1F:02}{tier}.{depth:02}"


def _vp9(init: Data, entry: Box) -> str:
    """VP Codec ISO Media File Format Binding: profile, level, bit depth, then chroma, colours and range.

    BadBox when one of the first three is none of those there are: players refuse the track then.
    """
    fields = Fields(init, need(init, "vpcC", parent=entry))
    version, _ = fields.version_and_flags()
    profile, level, depths = fields.uint(1), fields.uint(1), fields.uint(1)
    depth = depths >> 4
    if version != 1 or profile > 3 or level not in VP9_LEVELS or depth not in (8, 10, 12):
        raise BadBox(f"vpcC {version} of profile {profile}, level {level} and {depth} bits")
    colours = (depths >> 1 & 7, *fields.take(3), depths & 1)
    return ".".join(["vp09", *(f"{number:02}" for number in (profile, level, depth, *colours))])


def _mpeg4_audio(init: Data, entry: Box) -> str:
    """RFC 6381 §3.3: object type indication, and for 0x40 the audio object type in decimal."""
    fields = Fields(init, need(init, "esds", parent=entry))
    fields.version_and_flags()
    _enter(fields, 0x03)  # ISO/IEC 14496-1 §7.2.6.5 ES_Descriptor
    fields.take(2)
    flags = fields.uint(1)
    fields.take(2 if flags & 0x80 else 0)
    fields.take(fields.uint(1) if flags & 0x40 else 0)
    fields.take(2 if flags & 0x20 else 0)
    _enter(fields, 0x04)  # §7.2.6.6 DecoderConfigDescriptor
    object_type = fields.uint(1)
    if object_type != 0x40:
        return f"mp4a.{object_type:02x}"
    fields.take(12)
    _enter(fields, 0x05)  # §7.2.6.7 DecoderSpecificInfo: ISO/IEC 14496-3 §1.6.2.1 AudioSpecificConfig
    config = fields.uint(2)
    audio_type = config >> 11
    if audio_type == 31:
        audio_type = 32 + (config >> 5 & 0x3F)
    return f"mp4a.40.{audio_type}"


def _enter(fields: Fields, tag: int) -> None:
    """Steps over a descriptor's tag and length (ISO/IEC 14496-1 §8.3.3): 7 bits a byte, at most 4 bytes."""
    if fields.uint(1) != tag:
        raise BadBox(f"esds has no descriptor {tag:#04x} where it belongs")
    for _ in range(4):
        if not fields.uint(1) & 0x80:
            return
    raise BadBox("esds has a descriptor length without end")


def _plain(init: Data, entry: Box) -> str:
    """The sample entry's own type is the whole codec string."""
    return entry.type


VIDEO_CODECS: Final[dict[str, Callable[[Data, Box], str]]] = {
    "avc1": _avc,
    "avc3": _avc,
    "hvc1": _hevc,
    "hev1": _hevc,
    "av01": _av1,
    "vp09": _vp9,
}
AUDIO_CODECS: Final[dict[str, Callable[[Data, Box], str]]] = {
    "mp4a": _mpeg4_audio,
    "Opus": _plain,
    "fLaC": _plain,
    "ac-3": _plain,
    "ec-3": _plain,
}
