"""What is where in ISO BMFF bytes (ISO/IEC 14496-12 §4.2): boxes of size, type and payload.

Gives positions, copies nothing, and asks for no memory by a size the bytes claim. A walk goes one level at a
time; `find` follows a path in a loop, so depth costs no stack. What the payloads mean is left to `fragments`
and `codecs`.

    BadMedia          bytes that are not the fragmented MP4 we package
    └─ BadBox         a box whose size or fields do not fit where it stands
"""

from collections.abc import Iterator
from dataclasses import dataclass

Data = bytes | bytearray | memoryview

LONG_HEADER = 32  # bytes: size, type, 64-bit size and the 16-byte type of `uuid`; no header is longer


class BadMedia(Exception):
    """Bytes that are not the fragmented MP4 we package."""


class BadBox(BadMedia):
    """A box whose size or fields do not fit where it stands."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first bytes of a box. `size` counts the header too; None means up to the end of the file."""

    type: str  # four characters, Latin-1
    length: int  # bytes of header: 8, 16 or, for `uuid`, 16 more
    size: int | None


@dataclass(frozen=True, slots=True)
class Box:
    """One box and where it lies: header from `start`, payload from `body` up to `end`."""

    type: str
    start: int
    body: int
    end: int


def read_header(data: Data, at: int = 0) -> Header | None:
    """The header at `at`, or None while too few bytes are there. BadBox when its size is impossible."""
    head = bytes(memoryview(data)[at : at + LONG_HEADER])  # a copy: a growing buffer may not be looked into
    if len(head) < 8:
        return None
    kind = head[4:8].decode("latin-1")
    size, length = int.from_bytes(head[:4], "big"), 8
    if size == 1:  # §4.2.2: the 64-bit size follows the type
        length = 16
        if len(head) < length:
            return None
        size = int.from_bytes(head[8:16], "big")
    length += 16 if kind == "uuid" else 0
    if size != 0 and size < length:
        raise BadBox(f"box {kind!r} of {size} bytes is smaller than its header")
    if len(head) < length:
        return None
    return Header(kind, length, size or None)


def boxes(data: Data, parent: Box | None = None) -> Iterator[Box]:
    """The boxes directly inside `parent`, or of the whole file. BadBox when one does not fit."""
    at = 0 if parent is None else parent.body
    end = len(data) if parent is None else parent.end
    while at < end:
        box = _box_at(data, at, end, top=parent is None)
        yield box
        at = box.end


def first(data: Data, kind: str, parent: Box | None = None) -> Box | None:
    """The first box of that type directly inside `parent`, or of the file; None when there is none."""
    return next((box for box in boxes(data, parent) if box.type == kind), None)


def find(data: Data, *path: str, parent: Box | None = None) -> Box | None:
    """The first box at `path`, such as "moov", "mvex", below `parent` or the file; None when absent."""
    box = parent
    for kind in path:
        box = first(data, kind, box)
        if box is None:
            return None
    return box


def need(data: Data, *path: str, parent: Box | None = None) -> Box:
    """The first box at `path`. BadBox when it is absent."""
    box = find(data, *path, parent=parent)
    if box is None:
        raise BadBox(f"no {'/'.join(path)}")
    return box


def _box_at(data: Data, at: int, end: int, *, top: bool) -> Box:
    header = read_header(memoryview(data)[:end], at)
    if header is None:
        raise BadBox(f"{end - at} bytes at {at} are no box")
    if header.size is None and not top:  # §4.2.2: size 0 only for the last box of the file
        raise BadBox(f"box {header.type!r} at {at} has no size")
    stop = end if header.size is None else at + header.size
    if stop > end or at + header.length > stop:
        raise BadBox(f"box {header.type!r} at {at} runs over the end")
    return Box(header.type, at, at + header.length, stop)


class Fields:
    """Reads big-endian fields of a box payload in order. BadBox when the payload is too short."""

    def __init__(self, data: Data, box: Box) -> None:
        self._left = memoryview(data)[box.body : box.end]
        self._name = box.type

    def __len__(self) -> int:
        """Bytes not yet read."""
        return len(self._left)

    def take(self, size: int) -> memoryview:
        """The next `size` bytes, not copied."""
        if size > len(self._left):
            raise BadBox(f"box {self._name!r} ends in a field")
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def uint(self, size: int) -> int:
        """The next `size` bytes as an unsigned integer."""
        return int.from_bytes(self.take(size), "big")

    def version_and_flags(self) -> tuple[int, int]:
        """The first four bytes of a FullBox (§4.2.2): version and 24 bits of flags."""
        word = self.uint(4)
        return word >> 24, word & 0xFFFFFF
