"""The head of a protected segment: its boxes before the media data, with `senc`, `saiz` and `saio` in `traf`.

ISO/IEC 23001-7 §7.2 (senc), ISO/IEC 14496-12 §8.7.8 (saiz), §8.7.9 (saio: from the start of the moof). All
that says how long or how far something is grows with them: `moof`, `traf`, the offsets of each `trun`, and
the reference of a `sidx` in front.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from origin.media.box_writing import add, enlarge, full_box
from origin.media.boxes import BadBox, Box, Data, Fields, boxes
from origin.media.fragments import TRUN_DATA_OFFSET
from origin.media.samples import Layout

SUBSAMPLES: Final = 0x2  # §7.2 flags of senc
CLEAR_LIMIT: Final = 0xFFFF  # bytes of clear data one subsample holds
INFO_LIMIT: Final = 0xFF  # bytes of one sample's information that saiz can count
PROTECTED_ALREADY: Final = ("senc", "saiz", "saio")

Run = tuple[int, int]  # clear bytes, then protected bytes


@dataclass(frozen=True, slots=True)
class Auxiliary:
    """What a player must know of a sample: its IV, empty for the constant one, and its runs; None: whole."""

    iv: bytes
    runs: tuple[Run, ...] | None

    def written(self) -> bytes:
        """Its entry in senc."""
        if self.runs is None:
            return self.iv
        rows = [row for run in self.runs for row in _subsamples(*run)]
        return self.iv + struct.pack(">H", len(rows)) + b"".join(struct.pack(">HI", *row) for row in rows)


def _subsamples(clear: int, protected: int) -> list[Run]:
    """A run, cut so that its clear bytes fit their field."""
    whole, rest = divmod(clear, CLEAR_LIMIT)
    rows = [(CLEAR_LIMIT, 0)] * whole
    return [*rows, (rest, protected)] if rest or protected else rows


def protected_head(segment: Data, layout: Layout, samples: Sequence[Auxiliary]) -> bytes:
    """The bytes in place of all that comes before the media data. BadBox when they cannot be made.

    Where no sample has anything to say (`cbcs` sound) they are the clear ones.
    """
    if any(box.type in PROTECTED_ALREADY for box in boxes(segment, layout.traf)):
        raise BadBox("the segment is protected already")
    head = bytearray(segment[: layout.payload])
    entries = [sample.written() for sample in samples]
    if not any(entries):
        return bytes(head)
    added = _auxiliary(entries, layout, subsamples=samples[0].runs is not None)
    more = len(added)
    enlarge(head, layout.moof, more)
    enlarge(head, layout.traf, more)
    for run in layout.runs:
        if head[run.body + 3] & TRUN_DATA_OFFSET:
            add(head, run.body + 8, 4, more)
    for box in boxes(segment):
        if box.type == "sidx":
            _enlarge_reference(head, box, more)
    head[layout.traf.end : layout.traf.end] = added
    return bytes(head)


def _auxiliary(entries: list[bytes], layout: Layout, *, subsamples: bool) -> bytes:
    sizes = {len(entry) for entry in entries}
    if max(sizes) > INFO_LIMIT:
        raise BadBox(
            f"a sample of too many slices: {max(sizes)} bytes of subsamples, {INFO_LIMIT} can be told"
        )
    count = struct.pack(">I", len(entries))
    if len(sizes) == 1:
        saiz = full_box("saiz", 0, 0, bytes(sizes), count)
    else:
        saiz = full_box("saiz", 0, 0, b"\0", count, bytes(map(len, entries)))
    senc = full_box("senc", 0, SUBSAMPLES if subsamples else 0, count, *entries)
    saio = full_box("saio", 0, 0, struct.pack(">II", 1, 0))
    offset = (
        layout.traf.end - layout.moof.start + len(saiz) + len(saio) + (len(senc) - sum(map(len, entries)))
    )
    return saiz + saio[:-4] + struct.pack(">I", offset) + senc


def _enlarge_reference(head: bytearray, sidx: Box, more: int) -> None:
    """§8.16.3: the one reference of an index in front of the segment is that segment."""
    fields = Fields(head, sidx)
    version, _ = fields.version_and_flags()
    fields.take(8 + (16 if version else 8) + 2)
    count, at = fields.uint(2), sidx.end - len(fields)
    if count != 1:
        raise BadBox(f"a segment index of {count} references in front of one segment")
    fields.take(12)
    add(head, at, 4, more)
