"""The slices of a video sample: NAL units behind their lengths (ISO/IEC 14496-15 §4.3), headers told from
data.

The parameter sets come from the sample entry's `avcC` (§5.3.3) or `hvcC` (§8.3.3), and from the samples where
they are in band.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from origin.media.avc import AvcHeaders
from origin.media.bits import LOOKED_AT, BadSyntax
from origin.media.boxes import Box, Data, Fields, need
from origin.media.hevc import HevcHeaders

_HVCC_LENGTH: Final = 21  # bytes of hvcC before the one that says how long the lengths are


class Headers(Protocol):
    """Parameter sets in force, which say how long slice headers are."""

    def take(self, nal: bytes) -> int | None:
        """Bytes of NAL and slice header; None when the NAL unit holds no slice. BadSyntax."""


@dataclass(frozen=True, slots=True)
class NalConfig:
    """How the NAL units of a track are written, and the parameter sets of its sample entry."""

    length_size: int  # bytes of the length before each NAL unit: 1, 2 or 4
    sets: AvcHeaders | HevcHeaders

    def headers(self) -> Headers:
        """The parameter sets a segment starts with."""
        return self.sets.copy()

    def cutter(self) -> "NalCutter":
        """What finds the slices of a segment."""
        return NalCutter(self.length_size, self.headers())


@dataclass(frozen=True, slots=True)
class NalCutter:
    """Finds the slices of the samples of one segment, in order."""

    length_size: int
    headers: Headers

    def slices(self, sample: memoryview) -> Iterator[tuple[int, int]]:
        """As `slices`."""
        return slices(sample, self.length_size, self.headers)


def avc_config(init: Data, entry: Box) -> NalConfig:
    """From the boxes inside an `avc1` or `avc3` sample entry. BadBox, BadSyntax."""
    fields = Fields(init, need(init, "avcC", parent=entry))
    fields.take(4)
    length_size = (fields.uint(1) & 3) + 1
    sets = AvcHeaders()
    for mask in (0x1F, 0xFF):  # sequence, then picture parameter sets
        for _ in range(fields.uint(1) & mask):
            _take(sets, bytes(fields.take(fields.uint(2))))
    return _checked(length_size, sets)


def hevc_config(init: Data, entry: Box) -> NalConfig:
    """From the boxes inside an `hvc1` or `hev1` sample entry. BadBox, BadSyntax."""
    fields = Fields(init, need(init, "hvcC", parent=entry))
    fields.take(_HVCC_LENGTH)
    length_size = (fields.uint(1) & 3) + 1
    sets = HevcHeaders()
    for _ in range(fields.uint(1)):
        fields.take(1)
        for _ in range(fields.uint(2)):
            _take(sets, bytes(fields.take(fields.uint(2))))
    return _checked(length_size, sets)


def _checked(length_size: int, sets: AvcHeaders | HevcHeaders) -> NalConfig:
    if length_size == 3:
        raise BadSyntax("NAL units with lengths of 3 bytes")
    return NalConfig(length_size, sets)


def _take(sets: Headers, nal: bytes) -> None:
    if nal:
        sets.take(nal)


def slices(sample: memoryview, length_size: int, headers: Headers) -> Iterator[tuple[int, int]]:
    """For each slice of a sample: where its data starts, after its header, and where it ends.

    Bytes count from the start of the sample. BadSyntax when the lengths do not fit or a unit does not parse.
    """
    at = 0
    while at < len(sample):
        start = at + length_size
        end = start + int.from_bytes(sample[at:start], "big")
        if end > len(sample) or start > len(sample):
            raise BadSyntax("a NAL unit runs over the end of its sample")
        if end > start:
            header = headers.take(bytes(sample[start : min(end, start + LOOKED_AT)]))
            if header is not None:
                yield start + header, end
        at = end
