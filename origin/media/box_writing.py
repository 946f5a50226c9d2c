"""Boxes put together and made longer (ISO/IEC 14496-12 §4.2)."""

import struct

from origin.media.boxes import BadBox, Box


def box(kind: str, *parts: bytes) -> bytes:
    """A box of that type with these parts as its payload."""
    payload = b"".join(parts)
    return struct.pack(">I", 8 + len(payload)) + kind.encode("latin-1") + payload


def full_box(kind: str, version: int, flags: int, *parts: bytes) -> bytes:
    """A box whose payload begins with a version and 24 bits of flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def add(data: bytearray, at: int, size: int, more: int) -> None:
    """Adds to the big-endian integer of `size` bytes at `at`. BadBox when the sum does not fit."""
    try:
        data[at : at + size] = (int.from_bytes(data[at : at + size], "big") + more).to_bytes(size, "big")
    except OverflowError as exc:
        raise BadBox(f"a field of {size} bytes cannot grow by {more}") from exc


def enlarge(data: bytearray, grown: Box, more: int) -> None:
    """Says in the header of a box that it is `more` bytes longer."""
    if int.from_bytes(data[grown.start : grown.start + 4], "big") == 1:  # §4.2.2: the size follows the type
        add(data, grown.start + 8, 8, more)
    else:
        add(data, grown.start, 4, more)
