"""A pace bucket as bytes, for the store that edges share: small, versioned, and harmless when damaged.

    version u8 = 1 · CRC-32 of the rest u32 · level f64 · stamp f64 · jumps f64 · items u8 · recent u8
    each item:    length u8 · name · bytes u16 · paid numbers, bit n of a little-endian integer
    each recent:  index of its item u8 · number u32
Big-endian. Bytes of another version, cut or altered are an empty bucket: a viewer waits, nobody gains.
"""

import math
import struct
import zlib
from typing import Final

from keys.pace import ITEMS, MAX_NUMBER, RECENT, PaceState

VERSION: Final = 1

_ENVELOPE = struct.Struct(">BI")
_HEAD = struct.Struct(">dddBB")
_LENGTH = struct.Struct(">H")
_RECENT = struct.Struct(">BI")


def encode(state: PaceState) -> bytes:
    """The bucket as bytes. An item's name is at most 255 bytes of UTF-8."""
    places = {item: place for place, item in enumerate(state.paid)}
    recent = [(places[item], number) for item, number in state.recent if item in places]
    parts = [_HEAD.pack(state.level, state.stamp, state.jumps, len(places), len(recent))]
    for item, bits in state.paid.items():
        name, numbers = item.encode("utf-8"), bits.to_bytes((bits.bit_length() + 7) // 8, "little")
        parts += [bytes([len(name)]), name, _LENGTH.pack(len(numbers)), numbers]
    parts += [_RECENT.pack(*row) for row in recent]
    body = b"".join(parts)
    return _ENVELOPE.pack(VERSION, zlib.crc32(body)) + body


def decode(data: bytes, now: float) -> PaceState:
    """The bucket in `data`; an empty one of `now` when the bytes are damaged or of another version."""
    try:
        return _decode(data)
    except (struct.error, ValueError, IndexError):
        return PaceState.empty(now)


def _decode(data: bytes) -> PaceState:
    version, checksum = _ENVELOPE.unpack_from(data)
    body = data[_ENVELOPE.size :]
    if version != VERSION or zlib.crc32(body) != checksum:
        raise ValueError("damaged")
    level, stamp, jumps, item_count, recent_count = _HEAD.unpack_from(body)
    if not all(map(math.isfinite, (level, stamp, jumps))) or item_count > ITEMS or recent_count > RECENT:
        raise ValueError("out of range")
    at, paid = _HEAD.size, {}
    for _ in range(item_count):
        at, name, bits = _item(body, at)
        paid[name] = bits
    items = list(paid)
    rows = [_RECENT.unpack_from(body, at + i * _RECENT.size) for i in range(recent_count)]
    if at + recent_count * _RECENT.size != len(body):
        raise ValueError("of another length")
    return PaceState(level, stamp, jumps, tuple((items[place], number) for place, number in rows), paid)


def _item(body: bytes, at: int) -> tuple[int, str, int]:
    """Where the next item starts, this one's name, its paid numbers."""
    name_end = at + 1 + body[at]
    (length,) = _LENGTH.unpack_from(body, name_end)
    end = name_end + _LENGTH.size + length
    if end > len(body) or length > MAX_NUMBER // 8:
        raise ValueError("cut")
    numbers = int.from_bytes(body[name_end + _LENGTH.size : end], "little")
    return end, body[at + 1 : name_end].decode("utf-8"), numbers
