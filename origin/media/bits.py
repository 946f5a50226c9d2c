"""Bits of coded video, most significant first: fixed fields and Exp-Golomb codes, and where in its bytes they
lie.

A NAL unit is carried with emulation prevention (ITU-T H.264 §7.4.1, H.265 §7.4.2): after two zero bytes a 3
is put in that is not part of the syntax. `unescaped` takes those out, `escaped_length` says how many carried
bytes hold a given number of syntax bytes. Every read consumes at least one bit or raises, so whatever the
bytes claim, a loop over reads ends with them.
"""

from typing import Final

from origin.media.boxes import BadMedia

_ESCAPE: Final = b"\0\0\3"
LOOKED_AT: Final = 16_384  # bytes of a NAL unit that are read: no slice header or parameter set is longer
LONGEST_CODE: Final = 32  # leading zero bits of an Exp-Golomb code; none of H.264 and H.265 is longer


class BadSyntax(BadMedia):
    """Coded video whose syntax does not add up, or is of a kind we do not read."""


def unescaped(nal: bytes) -> bytes:
    """The syntax bytes of a NAL unit: each 0, 0, 3 is 0, 0 (H.264 §7.3.1)."""
    return nal.replace(_ESCAPE, b"\0\0")


def escaped_length(nal: bytes, length: int) -> int:
    """Bytes of `nal`, from its start, that hold its first `length` syntax bytes."""
    at = 0
    while (found := nal.find(_ESCAPE, at)) >= 0 and found + 2 < length:
        length += 1
        at = found + 3
    return length


def width(count: int) -> int:
    """Ceil(Log2(count)): bits of a field that tells `count` values apart."""
    return max(0, count - 1).bit_length()


class Bits:
    """Reads syntax elements in order. BadSyntax when the bytes end in one."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self._size = len(data) * 8
        self.at = at  # bits read so far

    def u(self, count: int) -> int:
        """The next `count` bits as an unsigned number, u(n)."""
        end = self.at + count
        if end > self._size:
            raise BadSyntax("coded video ends in a field")
        word = int.from_bytes(self._data[self.at >> 3 : (end + 7) >> 3], "big")
        self.at = end
        return word >> (-end & 7) & ((1 << count) - 1)

    def flag(self) -> bool:
        """The next bit, u(1)."""
        return self.u(1) == 1

    def skip(self, count: int) -> None:
        """Steps over `count` bits."""
        if self.at + count > self._size:
            raise BadSyntax("coded video ends in a field")
        self.at += count

    def ue(self, most: int = (1 << LONGEST_CODE) - 1) -> int:
        """An unsigned Exp-Golomb code, ue(v) (H.264 §9.1). BadSyntax when it is over `most`."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > LONGEST_CODE:
                raise BadSyntax("an Exp-Golomb code without end")
        value = (1 << zeros) - 1 + self.u(zeros)
        if value > most:
            raise BadSyntax(f"a field of {value} may be {most} at most")
        return value

    def se(self) -> int:
        """A signed Exp-Golomb code, se(v) (H.264 §9.1.1)."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)

    def align(self) -> None:
        """Steps over byte_alignment() (H.265 §7.3.2.5): a one, and zeros up to the next byte."""
        if not self.flag():
            raise BadSyntax("no alignment bit where a slice header ends")
        self.skip(-self.at & 7)

    @property
    def bytes_read(self) -> int:
        """Bytes touched so far: the last may be read in part."""
        return (self.at + 7) >> 3
