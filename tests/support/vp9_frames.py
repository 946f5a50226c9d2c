"""How long the headers of VP9 frames are: as our reader finds it, and as ffmpeg does."""

import re
import subprocess
from pathlib import Path

import imageio_ffmpeg

from origin.media.vp9 import Vp9Cutter, frames

_ROW = re.compile(r"^(\d+) +(\S+) +([01]*) = (\d+)")


def headers(cutter: Vp9Cutter, samples: list[bytes]) -> list[int]:
    """Header bytes of each frame with data. Data is seen to end where its frame does."""
    found = []
    for sample in samples:
        starts = {end: start for start, end in frames(memoryview(sample))}
        found += [start - starts[end] for start, end in cutter.slices(memoryview(sample))]
    return found


def traced_headers(path: Path) -> list[int]:
    """Header bytes of each frame with data, as ffmpeg reads them."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "verbose", "-nostdin", "-i", str(path)]
    command += ["-c", "copy", "-bsf:v", "trace_headers", "-f", "null", "-"]
    said = subprocess.run(command, check=True, capture_output=True, timeout=120).stderr.decode("latin-1")
    rows = [line.split("] ", 1)[1] for line in said.splitlines() if line.startswith("[trace_headers")]
    found = filter(None, map(_ROW.match, rows))
    return [(int(row[1]) + len(row[3]) + 7) // 8 for row in found if row[2] == "header_size_in_bytes"]
