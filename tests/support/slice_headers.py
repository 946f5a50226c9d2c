"""The slice headers of a clip as our readers find them."""

from origin.media.bits import unescaped
from origin.media.boxes import need
from origin.media.codecs import VISUAL_ENTRY, inside
from origin.media.fragments import track_defaults
from origin.media.nal_units import Headers, NalConfig
from origin.media.protection import VIDEO, protectable_entry
from origin.media.samples import read_layout
from origin.media.segmenting import Init, Splitter


def header_bytes(headers: Headers, nals: list[bytes]) -> list[int]:
    """Bytes of each slice header among the NAL units, without emulation prevention."""
    found = [(nal, headers.take(nal)) for nal in nals]
    return [len(unescaped(nal[:length])) for nal, length in found if length is not None]


def pieces(clip: bytes) -> tuple[bytes, list[bytes]]:
    """Init segment and segments of a fragmented MP4."""
    splitter = Splitter()
    first, *rest = splitter.feed(clip)
    splitter.close()
    assert isinstance(first, Init)
    return first.data, [piece.data for piece in rest]


def nal_units(clip: bytes) -> tuple[Headers, list[bytes]]:
    """The parameter sets of a clip's init segment, and the NAL units of its samples."""
    init, segments = pieces(clip)
    entry = protectable_entry(init, need(init, "moov", "trak"))
    config = VIDEO[entry.type](init, inside(entry, VISUAL_ENTRY))
    assert isinstance(config, NalConfig)
    found = []
    for segment in segments:
        layout = read_layout(segment, track_defaults(init))
        at, end = layout.payload, layout.payload + sum(layout.sizes)
        while at < end:
            start = at + config.length_size
            at = start + int.from_bytes(segment[at:start], "big")
            found.append(segment[start:at])
    return config.headers(), found
