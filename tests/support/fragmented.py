"""Segments written by hand, and what a protected head says read back."""

import struct
from dataclasses import dataclass

from origin.media.box_writing import box, full_box
from origin.media.boxes import Fields, boxes, need


def segment(*samples: bytes, before: bytes = b"", traf: bytes = b"", flags: int = 0x201) -> bytes:
    """A moof and mdat of track 1 with these samples; `before` them other boxes, `traf`: more in the traf."""
    rows = struct.pack(f">{len(samples)}I", *map(len, samples))
    tfhd = full_box("tfhd", 0, 0x20000, struct.pack(">I", 1))
    tfdt = full_box("tfdt", 1, 0, bytes(8))
    length = 8 + 16 + 8 + len(tfhd) + len(tfdt) + len(traf) + 20 + len(rows)
    trun = full_box("trun", 0, flags, struct.pack(">II", len(samples), length + 8), rows)
    moof = box("moof", full_box("mfhd", 0, 0, struct.pack(">I", 1)), box("traf", tfhd, tfdt, trun, traf))
    assert len(moof) == length
    return before + moof + box("mdat", *samples)


@dataclass
class Auxiliary:
    """What senc, saiz and saio of a head say, each found where the next says it is."""

    flags: int
    entries: list[bytes]

    def subsamples(self, sample: int, iv_size: int) -> list[tuple[int, int]]:
        """Clear and protected bytes of a sample's subsamples."""
        rows = self.entries[sample][iv_size + 2 :]
        assert int.from_bytes(self.entries[sample][iv_size : iv_size + 2], "big") * 6 == len(rows)
        return list(struct.iter_unpack(">HI", rows))


def auxiliary(head: bytes) -> Auxiliary:
    """Read back, and held against each other."""
    moof = need(head, "moof")
    traf = need(head, "traf", parent=moof)
    saiz = Fields(head, need(head, "saiz", parent=traf))
    assert saiz.version_and_flags() == (0, 0)
    size, count = saiz.uint(1), saiz.uint(4)
    sizes = [size or saiz.uint(1) for _ in range(count)]
    assert len(saiz) == 0
    saio = Fields(head, need(head, "saio", parent=traf))
    assert (saio.version_and_flags(), saio.uint(4)) == ((0, 0), 1)
    at = moof.start + saio.uint(4)
    senc = need(head, "senc", parent=traf)
    fields = Fields(head, senc)
    version, flags = fields.version_and_flags()
    assert (version, fields.uint(4), at) == (0, count, senc.body + 8)
    entries = []
    for length in sizes:
        entries.append(head[at : at + length])
        at += length
    assert at == senc.end
    return Auxiliary(flags, entries)


def data_offset(head: bytes) -> int:
    """Where the first trun says the data is, from the start of the head."""
    moof = need(head, "moof")
    fields = Fields(head, need(head, "traf", "trun", parent=moof))
    fields.take(8)
    return moof.start + fields.uint(4)


def kinds(data: bytes, *path: str) -> list[str]:
    """Types of the boxes at that place."""
    return [each.type for each in boxes(data, need(data, *path) if path else None)]
