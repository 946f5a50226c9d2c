"""Sheets of small pictures of a film, for its player's bar: made in jail out of its smallest rendition.

Only keyframes are decoded, and there is one at the start of every segment, so it costs seconds for a film of
hours and each picture is of the moment it stands for.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from origin.ingest.jail import GIB, Limits, run_jailed
from origin.ingest.pipes import open_pipe, pieces
from origin.ingest.remux import feed
from origin.media.extras import Storyboard

LONG: Final = 160  # pixels of the longer side of a picture
COLUMNS: Final = 5
ROWS: Final = 5
MOST: Final = 1500  # pictures; a longer film has them further apart
MOST_BYTES: Final = 32 << 20  # of all sheets
PIECE: Final = 256 << 10
LIMITS: Final = Limits(wall_s=900, cpu_s=900, memory_bytes=2 * GIB)
SOI, EOI = b"\xff\xd8\xff", b"\xff\xd9"  # ITU-T T.81 §B.1.1: how a JPEG begins and ends

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a storyboard is to be."""

    width: int  # pixels of one picture
    height: int
    interval_s: float
    count: int

    @classmethod
    def of(cls, width: int, height: int, segment_s: float, duration_s: float) -> "Layout":
        """That of a film whose keyframes are `segment_s` apart."""
        scale = LONG / max(width, height)
        step = segment_s if segment_s > 0 else 4.0
        interval = step * max(1, math.ceil(duration_s / step / MOST))
        count = max(1, math.ceil(duration_s / interval - 0.01))
        return cls(_even(width * scale), _even(height * scale), interval, count)

    def described(self, made: Sequence[bytes]) -> Storyboard:
        """As a descriptor has it."""
        count = min(self.count, len(made) * COLUMNS * ROWS)
        sizes = tuple(map(len, made))
        return Storyboard(round(self.interval_s, 6), count, COLUMNS, ROWS, self.width, self.height, sizes)


async def sheets(
    film: AsyncIterator[bytes], layout: Layout, *, ffmpeg: Path, require_jail: bool = False
) -> list[bytes]:
    """The sheets as JPEGs, in order; none when ffmpeg made none."""
    with contextlib.ExitStack() as files:
        given, made = open_pipe(files), open_pipe(files)
        command = arguments(ffmpeg, layout, given.read.fileno(), made.write.fileno())
        failed = False
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(feed(film, given.write))
                taken = tasks.create_task(_all(made.read))
                run = tasks.create_task(
                    run_jailed(
                        command,
                        stdin_fd=asyncio.subprocess.DEVNULL,
                        limits=LIMITS,
                        pass_files=[given.read, made.write],
                        require_jail=require_jail,
                    )
                )
        except* Exception as group:  # a whole film is not given up for its small pictures
            _LOG.warning("no storyboard: %s", group.exceptions)
            failed = True
    if failed:
        return []
    outcome, data = run.result(), taken.result()
    if outcome.status != 0 or outcome.over_time or data is None:
        _LOG.warning("no storyboard: status %d, %s", outcome.status, outcome.stderr_tail[-300:])
        return []
    return split(data)[: math.ceil(layout.count / (COLUMNS * ROWS))]


def arguments(ffmpeg: Path, layout: Layout, given: int, made: int) -> list[str]:
    """The command: from one pipe to another. Pure."""
    steps = (
        f"fps=1/{layout.interval_s:.6f}:start_time=0:round=near",
        f"scale={layout.width}:{layout.height}:flags=area:out_range=full",
        "setsar=1",
        f"tile={COLUMNS}x{ROWS}",
        "format=yuvj420p",
    )
    return [
        *(str(ffmpeg), "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error"),
        *("-protocol_whitelist", "fd,pipe", "-format_whitelist", "mov,mp4", "-threads", "2"),
        *("-skip_frame", "nokey", "-f", "mov", "-i", f"pipe:{given}", "-map", "0:v:0"),
        *("-vf", ",".join(steps), "-fps_mode", "passthrough", "-map_metadata", "-1"),
        *("-c:v", "mjpeg", "-q:v", "5", "-f", "image2pipe", f"pipe:{made}"),
    ]


def split(data: bytes) -> list[bytes]:
    """JPEGs that stand one behind the other; up to the first that is none. Pure.

    Inside of one, 0xFF of its data is followed by 0, so its end is where EOI first is.
    """
    found: list[bytes] = []
    at = 0
    while data.startswith(SOI, at) and (end := data.find(EOI, at)) >= 0:
        found.append(data[at : end + len(EOI)])
        at = end + len(EOI)
    return found


async def _all(pipe: IO[bytes]) -> bytes | None:
    """What comes; None when it is more than any storyboard."""
    found = bytearray()
    async with contextlib.aclosing(pieces(pipe, PIECE)) as coming:
        async for piece in coming:
            if len(found) <= MOST_BYTES:
                found += piece
    return bytes(found) if len(found) <= MOST_BYTES else None


def _even(length: float) -> int:
    return max(2, 2 * round(length / 2))
