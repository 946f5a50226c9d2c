"""A TrueType font with one empty glyph: libass draws shapes only when it has some font, and a machine may
have none. Tables as in the OpenType specification 1.9; only what FreeType asks for.
"""

import struct
from typing import Final

FAMILY: Final = "Blank"
_UNITS: Final = 1000


def build() -> bytes:
    """The font file."""
    tables = {
        b"OS/2": _os2(),
        b"cmap": _cmap(),
        b"glyf": b"\0\0\0\0",
        b"head": _head(),
        b"hhea": struct.pack(">HHhhhHhhhhhhhhhhhH", 1, 0, 800, -200, 0, 500, *[0] * 11, 1),
        b"hmtx": struct.pack(">Hh", 500, 0),
        b"loca": struct.pack(">HH", 0, 0),
        b"maxp": struct.pack(">HHHHHHHHHHHHHHHH", 1, 0, 1, *[0] * 3, 0, 2, *[0] * 8),
        b"name": _name(),
        b"post": struct.pack(">HHIhhIIIII", 3, 0, 0, -100, 50, 0, 0, 0, 0, 0),
    }
    offset = 12 + 16 * len(tables)
    directory = struct.pack(">IHHHH", 0x00010000, len(tables), 128, 3, 16 * len(tables) - 128)
    body = b""
    for tag, data in sorted(tables.items()):
        padded = data + b"\0" * (-len(data) % 4)
        directory += struct.pack(">4sIII", tag, _checksum(padded), offset + len(body), len(data))
        body += padded
    return directory + body


def _checksum(padded: bytes) -> int:
    words: tuple[int, ...] = struct.unpack(f">{len(padded) // 4}I", padded)
    return sum(words) & 0xFFFFFFFF


def _head() -> bytes:
    return struct.pack(
        ">HHHHIIHHqqhhhhHHhhh", 1, 0, 1, 0, 0, 0x5F0F3CF5, 3, _UNITS, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0
    )


def _cmap() -> bytes:
    """Format 12: every printable ASCII character is the empty glyph."""
    groups = struct.pack(">III", 0x20, 0x20, 0)
    sub = struct.pack(">HHIII", 12, 0, 16 + len(groups), 0, 1) + groups
    return struct.pack(">HHHHI", 0, 1, 3, 10, 12) + sub


def _name() -> bytes:
    texts = {1: FAMILY, 2: "Regular", 4: FAMILY, 6: FAMILY}
    records, strings = b"", b""
    for number, text in texts.items():
        data = text.encode("utf-16-be")
        records += struct.pack(">HHHHHH", 3, 1, 0x409, number, len(data), len(strings))
        strings += data
    return struct.pack(">HHH", 0, len(texts), 6 + len(records)) + records + strings


def _os2() -> bytes:
    head = struct.pack(">HhHHH", 4, 500, 400, 5, 0)
    sizes = struct.pack(">10h", 650, 600, 0, 75, 650, 600, 0, 350, 50, 300)
    tail = struct.pack(
        ">h10sIIII4sHHHhhhHH", 0, b"\0" * 10, 1, 0, 0, 0, b"NONE", 64, 32, 32, 800, -200, 0, 800, 200
    )
    return head + sizes + tail + struct.pack(">IIhhHHH", 1, 0, 500, 650, 0, 32, 1)
