"""Protection maps as they are stored: a compact form for each segment, and blocks of 16 segments' maps.

A block is object `map-<k>` of its rendition, k = segment // 16, sealed and listed as every other object. All
numbers are big-endian. A block, whose index leads to one segment's map without reading the others:

    u8 version (1) · u8 count · u32 first segment · count + 1 × u32 offset from the start of the block · maps

A map:

    u8 version (1) · u8 skip · u32 payload · for cenc, then cbcs:
        u32 bytes of head · u32 samples · u32 ranges · head · u16 ranges of each sample ·
        u32 start and u32 length of each range
"""

import struct
from collections.abc import Sequence
from typing import Final

from origin.media.boxes import BadMedia, Data
from origin.media.protection import ProtectionMap, Range, SchemeMap

VERSION: Final = 1
MAP_OBJECTS: Final = "map-"  # what their names begin with
SEGMENTS: Final = 16  # to a block

_MAP: Final = struct.Struct(">BBI")
_SCHEME: Final = struct.Struct(">III")
_BLOCK: Final = struct.Struct(">BBI")


class BadMap(BadMedia):
    """A stored protection map that is cut, of another version, or does not add up."""


def map_object(segment: int) -> str:
    """The object that holds the map of that segment."""
    return f"{MAP_OBJECTS}{segment // SEGMENTS}"


def pack(found: ProtectionMap) -> bytes:
    """The map in its stored form. BadMap when a number does not fit its field."""
    try:
        parts = [_MAP.pack(VERSION, found.skip, found.payload)]
        for scheme in (found.cenc, found.cbcs):
            counts = [len(sample) for sample in scheme.samples]
            ranges = [number for sample in scheme.samples for each in sample for number in each]
            parts.append(_SCHEME.pack(len(scheme.head), len(counts), len(ranges) // 2))
            parts.append(scheme.head)
            parts.append(struct.pack(f">{len(counts)}H", *counts))
            parts.append(struct.pack(f">{len(ranges)}I", *ranges))
    except struct.error as exc:
        raise BadMap("a segment with more than a map can hold") from exc
    return b"".join(parts)


def unpack(data: Data) -> ProtectionMap:
    """The map of that stored form. BadMap."""
    view = memoryview(data)
    if len(view) < _MAP.size:
        raise BadMap("a protection map is cut")
    version, skip, payload = _MAP.unpack_from(view)
    if version != VERSION:
        raise BadMap(f"a protection map of version {version}, not {VERSION}")
    cenc, at = _scheme(view, _MAP.size)
    cbcs, at = _scheme(view, at)
    if at != len(view):
        raise BadMap("a protection map with more after its end")
    return ProtectionMap(payload, skip, cenc, cbcs)


def _scheme(view: memoryview, at: int) -> tuple[SchemeMap, int]:
    """One scheme's part, and where the next begins."""
    if at + _SCHEME.size > len(view):
        raise BadMap("a protection map is cut")
    size, samples, ranges = _SCHEME.unpack_from(view, at)
    head = at + _SCHEME.size
    counted = head + size
    listed = counted + 2 * samples
    end = listed + 8 * ranges
    if end > len(view):
        raise BadMap("a protection map is cut")
    counts = struct.unpack_from(f">{samples}H", view, counted)
    if sum(counts) != ranges:
        raise BadMap("a protection map with other ranges than its samples have")
    rows: list[Range] = list(struct.iter_unpack(">II", view[listed:end]))
    return SchemeMap(bytes(view[head:counted]), _grouped(rows, counts)), end


def _grouped(rows: list[Range], counts: Sequence[int]) -> tuple[tuple[Range, ...], ...]:
    """The rows by sample. BadMap when they are not one after another."""
    found, at, before = [], 0, 0
    for start, length in rows:
        if start < before:
            raise BadMap("a protection map whose ranges overlap")
        before = start + length
    for count in counts:
        found.append(tuple(rows[at : at + count]))
        at += count
    return tuple(found)


def write_block(first: int, maps: Sequence[bytes]) -> bytes:
    """The block of these packed maps, of segments from `first` on: at most SEGMENTS."""
    offsets = [_BLOCK.size + 4 * (len(maps) + 1)]
    for each in maps:
        offsets.append(offsets[-1] + len(each))
    return (
        _BLOCK.pack(VERSION, len(maps), first) + struct.pack(f">{len(offsets)}I", *offsets) + b"".join(maps)
    )


def read_map(block: Data, segment: int) -> ProtectionMap:
    """The map of that segment out of its block. BadMap when it is not there."""
    view = memoryview(block)
    if len(view) < _BLOCK.size:
        raise BadMap("a block of protection maps is cut")
    version, count, first = _BLOCK.unpack_from(view)
    number = segment - first
    if version != VERSION or not 0 <= number < count or _BLOCK.size + 4 * (count + 1) > len(view):
        raise BadMap(f"no protection map of segment {segment} in its block")
    start, end = struct.unpack_from(">II", view, _BLOCK.size + 4 * number)
    if not start <= end <= len(view):
        raise BadMap("a block of protection maps is cut")
    return unpack(view[start:end])
