"""Fragmented MP4 gone wrong at random, where it hurts: sizes, types, counts, and the codec's own bits.

Everything comes from one `random.Random`, so a seed makes a case again.
"""

import random

from origin.media.boxes import Box, boxes

INSIDE = {  # boxes that hold boxes, and the bytes in front of those
    "moov": 0, "trak": 0, "mdia": 0, "minf": 0, "stbl": 0, "mvex": 0, "moof": 0, "traf": 0,
    "stsd": 8, "avc1": 78, "hvc1": 78, "hev1": 78, "av01": 78, "vp09": 78, "mp4a": 28, "Opus": 28, "ac-3": 28,
}  # fmt: skip
ODD = [0, 1, 7, 8, 9, 15, 16, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]


def all_boxes(data: bytes, parent: Box | None = None, skip: int = 0) -> list[Box]:
    """Every box of good bytes, at any depth."""
    inside = None if parent is None else Box(parent.type, parent.start, parent.body + skip, parent.end)
    found = []
    for box in boxes(data, inside):
        found.append(box)
        if box.type in INSIDE:
            found += all_boxes(data, box, INSIDE[box.type])
    return found


def broken(random: random.Random, data: bytes, places: list[Box]) -> bytes:
    """The same bytes, wrong in one to three places. `places` are the boxes of the good ones."""
    found = bytearray(data)
    for _ in range(random.randint(1, 3)):
        box = random.choice(places)
        match random.randrange(8):
            case 0:  # its size
                found[box.start : box.start + 4] = random.choice(ODD).to_bytes(4, "big")
            case 1:  # a size that is nearly right
                size = max(0, box.end - box.start + random.randint(-9, 9))
                found[box.start : box.start + 4] = size.to_bytes(4, "big")
            case 2:  # its type
                found[box.start + 4 : box.start + 8] = random.choice(places).type.encode("latin-1")
            case 3:  # a field of it, or a count
                at = box.body + 4 * random.randrange(4)
                found[at : at + 4] = random.choice(ODD).to_bytes(4, "big")
            case 4:  # some byte of it
                at = random.randrange(box.body, max(box.end, box.body + 1))
                found[at : at + 1] = random.randbytes(1)
            case 5:  # gone, or there twice
                found[box.start : box.end] = bytes(found[box.start : box.end]) * random.choice((0, 2))
            case 6:  # cut off
                del found[random.randrange(len(found) + 1) :]
            case _:  # one bit, near its beginning: the headers of pictures are there
                at = box.body + random.randrange(64)
                if at < len(found):
                    found[at] ^= 1 << random.randrange(8)
    return bytes(found)
