"""Decoded frames by their MD5, as ffmpeg's framemd5 muxer writes them; how two runs of them differ. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Decoded:
    """MD5 of every decoded frame of each stream, in order. Output stream 0 is the picture, 1 the sound."""

    video: list[str] = field(default_factory=list)
    audio: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        """One line of framemd5: `stream, dts, pts, duration, size, md5`; comments are passed over."""
        if line.startswith("#") or not line.strip():
            return
        stream, *_, md5 = (part.strip() for part in line.split(","))
        (self.video if stream == "0" else self.audio).append(md5)


def difference(got: Sequence[str], wanted: Sequence[str]) -> str:
    """How what was decoded differs from what should have been; empty when it is the same."""
    if list(got) == list(wanted):
        return ""
    at = next((n for n, (a, b) in enumerate(zip(got, wanted, strict=False)) if a != b), None)
    if at is None:
        at = min(len(got), len(wanted))
    return f"{len(got)} frames for {len(wanted)}, the first that differs is number {at}"
