"""The Protection System Specific Header box (ISO/IEC 23001-7 §8.1): what a player hands to its DRM system.

size(4) 'pssh' version(1) flags(3) SystemID(16) [v1: KID_count(4) KID(16)*] DataSize(4) Data
"""

import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_BYTES: Final = 64 << 10
_HEAD: Final = struct.Struct(">I4sB3s16s")


@dataclass(frozen=True, slots=True)
class Pssh:
    """What a box says. `kids` are empty in version 0, which has no place for them."""

    system_id: uuid.UUID
    data: bytes
    version: int = 0
    kids: tuple[uuid.UUID, ...] = ()


def write_pssh(system_id: uuid.UUID, data: bytes, kids: Sequence[uuid.UUID] = ()) -> bytes:
    """A whole box: of version 1 when it is to name key IDs, of version 0 otherwise."""
    named = b"" if not kids else struct.pack(">I", len(kids)) + b"".join(kid.bytes for kid in kids)
    size = _HEAD.size + len(named) + 4 + len(data)
    head = _HEAD.pack(size, b"pssh", 1 if kids else 0, bytes(3), system_id.bytes)
    return head + named + struct.pack(">I", len(data)) + data


def read_pssh(box: bytes) -> Pssh:
    """What `box` says; ValueError when it is anything but one whole box of version 0 or 1."""
    if not _HEAD.size + 4 <= len(box) <= MAX_BYTES:
        raise ValueError("no pssh box has that length")
    size, kind, version, flags, system = _HEAD.unpack_from(box)
    if kind != b"pssh" or size != len(box) or version > 1 or any(flags):
        raise ValueError("not one whole pssh box of version 0 or 1")
    at = _HEAD.size
    kids: list[uuid.UUID] = []
    if version == 1:
        (count,) = struct.unpack_from(">I", box, at)
        at += 4
        if at + 16 * count + 4 > len(box):
            raise ValueError("the pssh box is shorter than its key IDs")
        kids = [uuid.UUID(bytes=box[at + 16 * i : at + 16 * i + 16]) for i in range(count)]
        at += 16 * count
    (length,) = struct.unpack_from(">I", box, at)
    if at + 4 + length != len(box):
        raise ValueError("the data of the pssh box does not end with it")
    return Pssh(uuid.UUID(bytes=system), box[at + 4 :], version, tuple(kids))
