"""The frames of a VP9 sample (VP9 Bitstream Specification Annex B; VP Codec ISO Media File Format Binding,
Sample Encryption): what Common Encryption protects of each is all after its uncompressed header.

A sample is one frame, or a superframe: hidden frames and the one that is shown, behind them an index of their
sizes, which stays clear. A frame that is only shown again is a header and nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from origin.media.bits import BadSyntax
from origin.media.boxes import Box, Data, need
from origin.media.vp9_frame import Frames

INDEX: Final = 0b110  # superframe_marker, the high bits of its first and last byte; no frame ends in them


def frames(sample: memoryview) -> Iterator[tuple[int, int]]:
    """Where each frame of a sample starts and where it ends, in order. BadSyntax when the index is wrong."""
    if not sample:
        return
    last = sample[-1]
    if last >> 5 != INDEX:
        yield 0, len(sample)
        return
    count, size_bytes = (last & 7) + 1, (last >> 3 & 3) + 1
    index = len(sample) - 2 - count * size_bytes
    if index < 0 or sample[index] != last:
        raise BadSyntax("a VP9 superframe without its index")
    at = 0
    for place in range(index + 1, len(sample) - 1, size_bytes):
        size = int.from_bytes(sample[place : place + size_bytes], "little")
        if not size or at + size > index:
            break
        yield at, at + size
        at += size
        count -= 1
    if count or at != index:
        raise BadSyntax("a VP9 superframe that is not as long as its frames")


@dataclass(frozen=True, slots=True)
class Vp9Config:
    """A VP9 track: every segment says all that its frames need."""

    def cutter(self) -> "Vp9Cutter":
        """What finds the frames of a segment."""
        return Vp9Cutter()


def vp9_config(init: Data, entry: Box) -> Vp9Config:
    """From the boxes inside a `vp09` sample entry, which must be there and say nothing of headers. BadBox."""
    need(init, "vpcC", parent=entry)
    return Vp9Config()


@dataclass(slots=True)
class Vp9Cutter:
    """Finds the frames of the samples of one segment, in order."""

    _frames: Frames = field(default_factory=Frames)

    def slices(self, sample: memoryview) -> Iterator[tuple[int, int]]:
        """For each frame of a sample: where its data starts, after its header, and ends. BadSyntax."""
        for start, end in frames(sample):
            header = self._frames.header(sample[start:end])
            if start + header < end:
                yield start + header, end
