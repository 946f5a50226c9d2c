"""The tiles of an AV1 sample (AV1 Bitstream Specification §5.3, §5.11; AV1 ISO-BMFF binding §4): what Common
Encryption protects. Everything else of a sample stays clear: sequence and frame headers, tile group headers,
the sizes of tiles, metadata.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from origin.media.av1_frame import Frame, Frames
from origin.media.av1_sequence import Sequence, sequence_header
from origin.media.bits import LOOKED_AT, BadSyntax, Bits
from origin.media.boxes import Box, Data, Fields, need

SEQUENCE, FRAME_HEADER, TILE_GROUP, FRAME, REDUNDANT_HEADER, TILE_LIST = 1, 3, 4, 6, 7, 8  # §6.2.2
LONGEST_LEB: Final = 8  # bytes, §4.10.5
CONFIG: Final = 4  # bytes of av1C before its OBUs


@dataclass(frozen=True, slots=True)
class Unit:
    """One OBU: where its payload starts and ends."""

    kind: int
    temporal: int
    spatial: int
    start: int
    end: int


def units(data: memoryview) -> Iterator[Unit]:
    """The OBUs of a sample or of av1C, in order (§5.3.1). BadSyntax when one runs over the end."""
    at = 0
    while at < len(data):
        first = data[at]
        extended, sized = first >> 2 & 1, first >> 1 & 1
        layers = data[at + 1] if extended and at + 1 < len(data) else 0
        start = at + 1 + extended
        end = len(data)
        if sized:
            size, start = _leb128(data, start)
            end = start + size
        if first & 0x80 or start > len(data) or end > len(data):
            raise BadSyntax("an AV1 unit runs over the end of its sample")
        yield Unit(first >> 3 & 15, layers >> 5, layers >> 3 & 3, start, end)
        at = end


def _leb128(data: memoryview, at: int) -> tuple[int, int]:
    """A number of §4.10.5, and where it ends."""
    value = 0
    for index, byte in enumerate(data[at : at + LONGEST_LEB]):
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return value, at + index + 1
    raise BadSyntax("an AV1 size without end")


@dataclass(frozen=True, slots=True)
class Av1Config:
    """The sequence header of a track's sample entry, if it is there."""

    sequence: Sequence | None

    def cutter(self) -> "Av1Cutter":
        """What finds the tiles of a segment."""
        return Av1Cutter(self.sequence)


def av1_config(init: Data, entry: Box) -> Av1Config:
    """From the boxes inside an `av01` sample entry (AV1 ISO-BMFF binding §2.3). BadBox, BadSyntax."""
    fields = Fields(init, need(init, "av1C", parent=entry))
    fields.take(CONFIG)
    data, sequence = fields.take(len(fields)), None
    for unit in units(data):
        if unit.kind == SEQUENCE:
            sequence = sequence_header(Bits(bytes(data[unit.start : unit.end])))
    return Av1Config(sequence)


@dataclass(slots=True)
class Av1Cutter:
    """Finds the tiles of the samples of one segment, in order."""

    sequence: Sequence | None = None
    _frames: Frames = field(default_factory=Frames)
    _frame: Frame | None = None  # the one whose tiles come
    _next: int = 0  # tile

    def slices(self, sample: memoryview) -> Iterator[tuple[int, int]]:
        """For each tile of a sample: where its data starts and where it ends. BadSyntax."""
        for unit in units(sample):
            if unit.kind == TILE_LIST:
                raise BadSyntax("AV1 of tile lists is not protected")
            bits = Bits(bytes(sample[unit.start : min(unit.end, unit.start + LOOKED_AT)]))
            if unit.kind == SEQUENCE:
                self.sequence = sequence_header(bits)
            elif unit.kind in (FRAME_HEADER, FRAME, REDUNDANT_HEADER):
                if self._frame is None:
                    self._header(bits, unit)
                if unit.kind == FRAME:
                    bits.skip(-bits.at & 7)
                    yield from self._tiles(sample, bits, unit)
            elif unit.kind == TILE_GROUP:
                yield from self._tiles(sample, bits, unit)

    def _header(self, bits: Bits, unit: Unit) -> None:
        """§5.9.1: of several headers of a frame only the first is read."""
        if self.sequence is None:
            raise BadSyntax("an AV1 frame without its sequence header")
        frame = self._frames.header(bits, self.sequence, unit.temporal, unit.spatial)
        if frame.tiles is None:
            self._frames.decoded(frame)
        else:
            self._frame, self._next = frame, 0

    def _tiles(self, sample: memoryview, bits: Bits, unit: Unit) -> Iterator[tuple[int, int]]:
        """§5.11.1 tile_group_obu()."""
        tiles = self._frame.tiles if self._frame else None
        if self._frame is None or tiles is None:
            raise BadSyntax("AV1 tiles without a frame")
        first, last = 0, tiles.count - 1
        if tiles.count > 1 and bits.flag():  # tile_start_and_end_present_flag
            first, last = bits.u(tiles.bits), bits.u(tiles.bits)
        if first != self._next or not first <= last < tiles.count:
            raise BadSyntax("an AV1 tile group out of turn")
        at = unit.start + bits.bytes_read
        for tile in range(first, last + 1):
            end = unit.end
            if tile < last:
                size = int.from_bytes(sample[at : at + tiles.size_bytes], "little") + 1
                at += tiles.size_bytes
                end = at + size
            if end > unit.end or at >= end:
                raise BadSyntax("an AV1 tile runs over its group")
            yield at, end
            at = end
        self._next = last + 1
        if self._next == tiles.count:
            self._frames.decoded(self._frame)
            self._frame = None
