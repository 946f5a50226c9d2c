"""Where the tiles of an AV1 clip begin: as our reader finds it, and as ffmpeg does."""

import re
import subprocess
from pathlib import Path

import imageio_ffmpeg

from origin.media.av1 import FRAME, TILE_GROUP, Av1Cutter, av1_config, units
from origin.media.boxes import need
from origin.media.codecs import VISUAL_ENTRY, inside
from origin.media.fragments import track_defaults
from origin.media.protection import protectable_entry
from origin.media.samples import read_layout
from tests.support.slice_headers import pieces

_ROW = re.compile(r"^(\d+) +(\S+) +([01]+) = ")


def samples(clip: bytes) -> list[list[bytes]]:
    """The samples of each segment."""
    init, segments = pieces(clip)
    found: list[list[bytes]] = []
    for segment in segments:
        layout = read_layout(segment, track_defaults(init))
        at = layout.payload
        found.append([])
        for size in layout.sizes:
            found[-1].append(segment[at : at + size])
            at += size
    return found


def first_tiles(clip: bytes) -> list[tuple[int, int]]:
    """As `tile_starts`, of a whole clip."""
    init, _ = pieces(clip)
    config = av1_config(init, inside(protectable_entry(init, need(init, "moov", "trak")), VISUAL_ENTRY))
    return [found for segment in samples(clip) for found in tile_starts(config.cutter(), segment)]


def tile_starts(cutter: Av1Cutter, several: list[bytes]) -> list[tuple[int, int]]:
    """Of each OBU with tiles: bytes from its start to its first tile, and how many tiles it has.

    Tiles are seen to fill their OBUs.
    """
    found = []
    for sample in several:
        tiles, before = list(cutter.slices(memoryview(sample))), 0
        for unit in units(memoryview(sample)):
            if unit.kind in (FRAME, TILE_GROUP):
                own = [tile for tile in tiles if unit.start <= tile[0] < unit.end]
                found.append((own[0][0] - before, len(own)))
                assert own[-1][1] == unit.end
                assert all(start < end for start, end in own)
            before = unit.end
    return found


def traced_tiles(path: Path, *options: str) -> list[tuple[int, int]]:
    """Of each OBU with tiles, as ffmpeg reads it: bytes of its headers, and of a tile's size."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "verbose", "-nostdin", *options]
    command += ["-i", str(path), "-c", "copy", "-bsf:v", "trace_headers", "-f", "null", "-"]
    said = subprocess.run(command, check=True, capture_output=True, timeout=120).stderr.decode("latin-1")
    found: list[tuple[int, int]] = []
    bits, size_bytes, in_group = 0, 0, False
    for line in said.splitlines():
        if not line.startswith("[trace_headers"):
            continue
        text = line.split("] ", 1)[1]
        row = _ROW.match(text)
        if row is not None:
            bits = int(row[1]) + len(row[3])
            if row[2] == "tile_size_bytes_minus1":
                size_bytes = int(row[3], 2) + 1
        elif text.startswith("Tile Group"):
            in_group = True
            continue
        if row is None and in_group:
            found.append(((bits + 7) // 8, size_bytes))
            in_group = False
    return found + ([((bits + 7) // 8, size_bytes)] if in_group else [])


def disagreements(clip: bytes, path: Path) -> tuple[int, list[tuple[int, int, int]]]:
    """How many OBUs with tiles there are, and those whose first tile is not where ffmpeg reads it to be."""
    ours, theirs = first_tiles(clip), traced_tiles(path)
    assert len(ours) == len(theirs)
    wrong = [
        (number, start, header)
        for number, ((start, tiles), (header, size_bytes)) in enumerate(zip(ours, theirs, strict=True))
        if start != header + (size_bytes if tiles > 1 else 0)  # the size of a tile stands before it
    ]
    return len(ours), wrong
