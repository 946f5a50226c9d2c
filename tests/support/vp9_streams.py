"""VP9 streams made up of frame headers with every syntax element there is, at random, in superframes or not.

Written from the syntax tables of the VP9 Bitstream Specification §6.2 and Annex B, apart from the reader: two
who agree have both read them.
"""

import random
import struct

from tests.support.bit_writer import Writer

RGB = 7
SIGNED_BITS = ((8, 1), (6, 1), (2, 0), (0, 0))  # of segmentation features: bits, and whether a sign follows
WIDTHS = (1, 64, 255, 256, 511, 512, 513, 1920, 4096, 4097, 16384, 65536)


class Vp9Stream:
    """Samples; of each, where the data of its frames begins and ends; header bytes of frames with data."""

    def __init__(self, pick: random.Random, samples: int = 8) -> None:
        self._pick = pick
        self.profile = pick.randrange(4)
        self.samples: list[bytes] = []
        self.slices: list[list[tuple[int, int]]] = []
        self.headers: list[int] = []
        self._widths = [0] * 8
        for number in range(samples):
            frames = [self._frame(first=number == 0)]
            while len(frames) < 8 and pick.randrange(3) == 0:
                frames.append(self._frame(first=False))
            self._add(frames)

    @property
    def file(self) -> bytes:
        """The samples as an IVF file."""
        rows = [struct.pack("<IQ", len(each), number) + each for number, each in enumerate(self.samples)]
        return struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, b"VP90", 64, 64, 25, 1, len(rows), 0) + b"".join(
            rows
        )

    def _add(self, frames: list[tuple[bytes, bytes]]) -> None:
        """A sample of these headers and data."""
        found, at = [], 0
        for header, data in frames:
            if data:
                found.append((at + len(header), at + len(header) + len(data)))
                self.headers.append(len(header))
            at += len(header) + len(data)
        whole = b"".join(header + data for header, data in frames)
        if len(frames) > 1 or self._bit():
            whole += self._index([len(header) + len(data) for header, data in frames])
        self.samples.append(whole)
        self.slices.append(found)

    def _index(self, sizes: list[int]) -> bytes:
        """Annex B superframe_index()."""
        least = (max(sizes).bit_length() + 7) // 8
        width = self._pick.randrange(least, 5)
        marker = bytes([0b110 << 5 | (width - 1) << 3 | (len(sizes) - 1)])
        return marker + b"".join(size.to_bytes(width, "little") for size in sizes) + marker

    def _bit(self) -> int:
        return self._pick.getrandbits(1)

    def _any(self, w: Writer, count: int) -> int:
        return w.u(count, self._pick.getrandbits(count) if count else 0)

    def _maybe(self, w: Writer, *sizes: int) -> None:
        if w.u(1, self._bit()):
            for size in sizes:
                self._any(w, size)

    def _frame(self, *, first: bool) -> tuple[bytes, bytes]:
        """Header and data of the next frame; no data where one is shown again."""
        r, w = self._pick, Writer(b"")
        w.u(2, 2), w.u(1, self.profile & 1), w.u(1, self.profile >> 1)
        if self.profile == 3:
            w.u(1, 0)
        if w.u(1, 0 if first else int(r.randrange(8) == 0)):
            self._any(w, 3)
            w.u(-len(w) % 8, 0)
            return w.data(), b""
        self._header(w, key=first or r.randrange(6) == 0)
        data = r.randbytes(r.randrange(1, 90)) + b"\0"  # the last byte is none that an index ends in
        w.u(16, r.randrange(1, len(data) + 1))
        w.u(-len(w) % 8, 0)
        return w.data(), data

    def _header(self, w: Writer, *, key: bool) -> None:
        """From frame_type on, up to header_size_in_bytes."""
        w.u(1, 0 if key else 1)
        shown, resilient = w.u(1, self._bit()), w.u(1, self._bit())
        refreshed, intra = 0xFF, 0
        if key:
            self._sync(w)
            self._colours(w)
            wide = self._size(w)
        else:
            intra = 0 if shown else w.u(1, self._bit())
            if not resilient:
                self._any(w, 2)
            if intra:
                self._sync(w)
                if self.profile > 0:
                    self._colours(w)
            refreshed = self._any(w, 8)
            wide = self._size(w) if intra else self._inter(w)
        if not resilient:
            self._any(w, 2)
        self._any(w, 2)
        self._filters(w)
        self._segmentation(w)
        self._tiles(w, wide)
        for slot in range(8):
            if refreshed & 1 << slot:
                self._widths[slot] = wide

    def _sync(self, w: Writer) -> None:
        w.u(8, 0x49), w.u(8, 0x83), w.u(8, 0x42)

    def _colours(self, w: Writer) -> None:
        if self.profile >= 2:
            self._any(w, 1)
        space = w.u(3, self._pick.choice((0, 1, 2, 5, RGB) if self.profile & 1 else (0, 1, 2, 5)))
        if space != RGB:
            self._any(w, 1)
            if self.profile & 1:
                w.u(2, self._pick.randrange(3)), w.u(1, 0)  # all but 4:2:0
        elif self.profile & 1:
            w.u(1, 0)

    def _size(self, w: Writer) -> int:
        r = self._pick
        wide = w.u(16, r.choice((r.choice(WIDTHS), r.randrange(1, 2000))) - 1) + 1
        w.u(16, r.randrange(2000))
        self._maybe(w, 16, 16)
        return wide

    def _inter(self, w: Writer) -> int:
        named = []
        for _ in range(3):
            named.append(self._any(w, 3))
            self._any(w, 1)
        wide = 0
        for slot in named:
            if w.u(1, self._bit()):
                wide = self._widths[slot]
                self._maybe(w, 16, 16)
                break
        wide = wide or self._size(w)
        self._any(w, 1)
        if not w.u(1, self._bit()):
            self._any(w, 2)
        return wide

    def _filters(self, w: Writer) -> None:
        """Loop filter and quantization."""
        self._any(w, 6), self._any(w, 3)
        if w.u(1, self._bit()) and w.u(1, self._bit()):
            for _ in range(6):
                self._maybe(w, 6, 1)
        self._any(w, 8)
        for _ in range(3):
            self._maybe(w, 4, 1)

    def _segmentation(self, w: Writer) -> None:
        if not w.u(1, self._bit()):
            return
        if w.u(1, self._bit()):
            for _ in range(7):
                self._maybe(w, 8)
            if w.u(1, self._bit()):
                for _ in range(3):
                    self._maybe(w, 8)
        if w.u(1, self._bit()):
            self._any(w, 1)
            for _ in range(8):
                for bits, sign in SIGNED_BITS:
                    self._maybe(w, bits, sign)

    def _tiles(self, w: Writer, wide: int) -> None:
        """§6.2.13, §6.2.14, step by step as they are written there."""
        blocks = (((wide + 7) >> 3) + 7) >> 3
        least = 0
        while (64 << least) < blocks:
            least += 1
        most = 1
        while (blocks >> most) >= 4:
            most += 1
        most -= 1
        at = least
        while at < most:
            if not w.u(1, self._bit()):
                break
            at += 1
        if w.u(1, self._bit()):
            self._any(w, 1)
