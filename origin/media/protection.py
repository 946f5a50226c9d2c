"""What of a segment Common Encryption protects, worked out once (ISO/IEC 23001-7): the protection map.

A map serves every session: it has no key in it. For each scheme it holds the bytes that take the place of all
that comes before the media data, and which runs of the media data are encrypted, sample by sample:

    cenc   AES-128-CTR. A sample's IV is `sample_iv`; its counter runs on over the sample's ranges (§9.5).
    cbcs   AES-128-CBC from the track's constant IV, anew at each range (§9.6, §10.4). Of `skip` + 1 blocks
           the first is encrypted; with `skip` 0, every block. Part of a block at the end of a range stays
           clear.

In video the slices, of AV1 the tiles, of VP9 the frames, are protected after their headers (§9.5.2.2,
ISO/IEC 14496-15), all else stays clear. `cenc` protects whole blocks, the remainder goes to the clear run
before them; `cbcs` does so in VP9 alone. Sound is protected by whole samples.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from origin.media.av1 import av1_config
from origin.media.boxes import BadBox, Box, Data, boxes, need
from origin.media.codecs import AUDIO_ENTRY, VISUAL_ENTRY, handler, inside, sample_entry
from origin.media.fragments import track_defaults
from origin.media.nal_units import avc_config, hevc_config
from origin.media.protected_head import Auxiliary, Run, protected_head
from origin.media.samples import Layout, read_layout
from origin.media.vp9 import vp9_config

SCHEMES: Final = ("cbcs", "cenc")  # `keys.names.PROTECTIONS` that a protection map serves
BLOCK: Final = 16  # bytes of an AES block
VIDEO_SKIP: Final = 9  # §10.4.2: one block in ten
IV_SIZE: Final = 8  # bytes of a `cenc` IV


class Cutter(Protocol):
    """Finds what is protected in the samples of one segment."""

    def slices(self, sample: memoryview) -> Iterable[tuple[int, int]]:
        """For each slice, tile or frame of the next sample: where its data starts and ends. BadSyntax."""


class Config(Protocol):
    """What a video sample entry says of its samples."""

    def cutter(self) -> Cutter:
        """A new one: every segment is read by itself."""


VIDEO: Final[dict[str, Callable[[Data, Box], Config]]] = {
    "avc1": avc_config,
    "avc3": avc_config,
    "hvc1": hevc_config,
    "hev1": hevc_config,
    "av01": av1_config,
    "vp09": vp9_config,
}
# VP Codec ISO Media File Format Binding, Sample Encryption: blocks are aligned by the clear bytes before them
ALIGNED: Final = frozenset(("vp09",))
AUDIO: Final = frozenset(("mp4a", "Opus", "ac-3", "ec-3"))

Range = tuple[int, int]  # first byte in the payload of mdat, bytes
Slices = tuple[tuple[int, int], ...]  # of a sample: where the data of a slice, tile or frame starts and ends


class Unprotected(BadBox):
    """A codec, or a use of one, whose samples we cannot protect in part."""


@dataclass(frozen=True, slots=True)
class SchemeMap:
    """What one scheme does to a segment."""

    head: bytes  # in place of the first `ProtectionMap.payload` bytes of the clear segment
    samples: tuple[tuple[Range, ...], ...]  # the protected ranges of each sample, in order


@dataclass(frozen=True, slots=True)
class ProtectionMap:
    """One segment, both schemes."""

    payload: int  # bytes of the clear segment before its media data
    skip: int  # cbcs: blocks left clear after each encrypted one; 0: every block is encrypted
    cenc: SchemeMap
    cbcs: SchemeMap


def sample_iv(rendition: int, position: int, sample: int) -> bytes:
    """The 8-byte `cenc` IV of a sample: rendition index, segment position, number in the segment.

    BadBox when one does not fit its field: an IV may never come twice under a key.
    """
    try:
        return rendition.to_bytes(2, "big") + position.to_bytes(3, "big") + sample.to_bytes(3, "big")
    except OverflowError as exc:
        raise BadBox(f"no IV for sample {sample} of segment {position} of rendition {rendition}") from exc


class Protector:
    """Works out the maps of one rendition. `index`: the rendition's, unique in the asset.

    Unprotected when the init segment's codec is one we cannot protect; BadMedia when it does not parse.
    """

    def __init__(self, init: Data, index: int) -> None:
        trak = need(init, "moov", "trak")
        entry = protectable_entry(init, trak)
        self._index = index
        self._defaults = track_defaults(init)
        self._video = entry.type in VIDEO
        self._aligned = entry.type in ALIGNED
        if self._video:
            self._config = VIDEO[entry.type](init, inside(entry, VISUAL_ENTRY))

    def map_of(self, segment: Data, position: int) -> ProtectionMap:
        """The map of the clear segment with that number. BadMedia when it is not one we understand."""
        layout = read_layout(segment, self._defaults)
        cut = self._slices(memoryview(segment), layout) if self._video else None
        cenc = [
            Auxiliary(sample_iv(self._index, position, number), runs)
            for number, runs in enumerate(_runs(layout, cut, whole_blocks=True))
        ]
        cbcs = [Auxiliary(b"", runs) for runs in _runs(layout, cut, whole_blocks=self._aligned)]
        return ProtectionMap(
            layout.payload,
            VIDEO_SKIP if self._video else 0,
            SchemeMap(protected_head(segment, layout, cenc), _ranges(layout, cenc)),
            SchemeMap(protected_head(segment, layout, cbcs), _ranges(layout, cbcs)),
        )

    def _slices(self, segment: memoryview, layout: Layout) -> list[Slices]:
        """The slices of each sample. Every segment starts from what the init segment says."""
        cutter, at, found = self._config.cutter(), layout.payload, []
        for size in layout.sizes:
            found.append(tuple(cutter.slices(segment[at : at + size])))
            at += size
        return found


def protectable_entry(init: Data, trak: Box) -> Box:
    """The one sample entry of a track. Unprotected when it is of a codec we cannot protect."""
    entry, kind = sample_entry(init, trak), handler(init, trak)
    if not (kind == "vide" and entry.type in VIDEO) and not (kind == "soun" and entry.type in AUDIO):
        raise Unprotected(f"Common Encryption of {entry.type!r} is not supported")
    stsd = need(init, "mdia", "minf", "stbl", "stsd", parent=trak)
    if len(list(boxes(init, Box("stsd", stsd.start, stsd.body + 8, stsd.end)))) != 1:
        raise Unprotected("a track with several sample descriptions is not protected")
    inside(entry, VISUAL_ENTRY if kind == "vide" else AUDIO_ENTRY)
    return entry


def _runs(
    layout: Layout, cut: list[Slices] | None, *, whole_blocks: bool
) -> Iterable[tuple[Run, ...] | None]:
    """The clear and protected runs of each sample, in turn; None for a sample protected whole."""
    if cut is None:
        return [None] * len(layout.sizes)
    return [_sample_runs(size, inner, whole_blocks) for size, inner in zip(layout.sizes, cut, strict=True)]


def _sample_runs(size: int, inner: Slices, whole_blocks: bool) -> tuple[Run, ...]:
    runs, at = [], 0
    for start, end in inner:
        if end - start < BLOCK:  # nothing in it would be encrypted
            continue
        start += (end - start) % BLOCK if whole_blocks else 0
        runs.append((start - at, end - start))
        at = end
    if at < size:
        runs.append((size - at, 0))
    return tuple(runs)


def _ranges(layout: Layout, samples: list[Auxiliary]) -> tuple[tuple[Range, ...], ...]:
    """The protected ranges of each sample, from the start of the payload."""
    found: list[tuple[Range, ...]] = []
    at = 0
    for size, sample in zip(layout.sizes, samples, strict=True):
        end = at + size
        if sample.runs is None:
            found.append(((at, size),) if size else ())
        else:
            ranges = []
            for clear, protected in sample.runs:
                if protected:
                    ranges.append((at + clear, protected))
                at += clear + protected
            found.append(tuple(ranges))
        at = end
    return tuple(found)
