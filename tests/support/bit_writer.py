"""Writes NAL units, the other way round from `origin.media.bits`; and what ffmpeg reads in their headers."""

import re
import subprocess
from pathlib import Path

import imageio_ffmpeg

_ROW = re.compile(r"^(\d+) +(\S+) +([01]+) = ")


class Writer:
    """Bits of a NAL unit, without emulation prevention."""

    def __init__(self, header: bytes) -> None:
        self._bits = [f"{byte:08b}" for byte in header]

    def u(self, count: int, value: int) -> int:
        """Writes u(n)."""
        assert 0 <= value < 1 << count or (count, value) == (0, 0)
        self._bits.append(f"{value:0{count}b}" if count else "")
        return value

    def ue(self, value: int) -> int:
        """Writes ue(v)."""
        code = f"{value + 1:b}"
        self._bits.append("0" * (len(code) - 1) + code)
        return value

    def se(self, value: int) -> int:
        """Writes se(v)."""
        self.ue(2 * value - 1 if value > 0 else -2 * value)
        return value

    def __len__(self) -> int:
        return sum(map(len, self._bits))

    def append(self, other: "Writer") -> None:
        """Writes the bits of another writer."""
        self._bits += other._bits

    def align(self) -> None:
        """A one and zeros up to the next byte: how parameter sets and H.265 slice headers end."""
        self.u(1, 1)
        self.u(-len(self) % 8, 0)

    def data(self) -> bytes:
        """The bytes so far; the last is filled with ones, as CABAC slices begin."""
        text = "".join(self._bits)
        text += "1" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")


def escaped(rbsp: bytes) -> bytes:
    """With emulation prevention, byte by byte as the standards put it (H.264 §7.4.1.1)."""
    out = bytearray()
    zeros = 0
    for byte in rbsp:
        if zeros == 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def traced(path: Path, *options: str) -> list[int]:
    """Bytes of each slice header in a file, NAL header included, without emulation prevention: as ffmpeg
    parses them."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "verbose", "-nostdin", *options, "-i", str(path)]
    command += ["-c", "copy", "-bsf:v", "trace_headers", "-f", "null", "-"]
    said = subprocess.run(command, check=True, capture_output=True, timeout=120).stderr.decode("latin-1")
    found: list[int] = []
    in_slice = False
    for line in said.splitlines():
        if not line.startswith("[trace_headers"):
            continue
        text = line.split("] ", 1)[1]
        row = _ROW.match(text)
        if row is None:
            in_slice = text.startswith("Slice")
            found += [0] * in_slice
        elif in_slice and row[2] != "cabac_alignment_one_bit":
            found[-1] = (int(row[1]) + len(row[3]) + 7) // 8
    return found
