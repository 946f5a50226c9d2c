"""A small picture of a film for lists: one frame a tenth of the way in, as JPEG, made in jail.

A film without a poster is no failure: the caller gets None, the log the reason.
"""

import logging
from pathlib import Path
from typing import Final

from origin.ingest.jail import GIB, Limits, run_jailed
from origin.ingest.ladder import picture_size
from origin.ingest.probe import HLG, PQ, Probe
from origin.ingest.transcode import MAX_PIXELS, TONE_MAP

WIDTH: Final = 640  # pixels at most
LIMITS: Final = Limits(wall_s=60, cpu_s=60, memory_bytes=2 * GIB)
_LOG: Final = logging.getLogger(__name__)


async def poster(source: Path, probe: Probe, *, ffmpeg: Path, require_jail: bool = False) -> bytes | None:
    """The JPEG, at most WIDTH wide; None for sound alone, or when no frame could be had."""
    if probe.video is None:
        return None
    for at_s in (probe.duration / 10, 0.0):  # the first frame when what is claimed is not there
        with source.open("rb") as file:
            outcome = await run_jailed(
                arguments(ffmpeg, probe, at_s),
                stdin_fd=file.fileno(),
                limits=LIMITS,
                require_jail=require_jail,
            )
        if outcome.status == 0 and outcome.stdout.startswith(b"\xff\xd8\xff") and not outcome.over_talk:
            return outcome.stdout
        _LOG.info("no poster at %.1f s: status %d, %s", at_s, outcome.status, outcome.stderr_tail[-300:])
    return None


def arguments(ffmpeg: Path, probe: Probe, at_s: float) -> list[str]:
    """The command for the frame at that second. Pure."""
    assert probe.video is not None, "only films have posters"
    width, height = picture_size(probe.video)
    wide = min(WIDTH, max(2, width))
    steps = [f"scale={wide}:{max(2, round(height * wide / width))}:flags=area:out_range=full"]
    steps += [TONE_MAP] if probe.video.transfer in (PQ, HLG) else []
    return [
        *(str(ffmpeg), "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error"),
        *("-protocol_whitelist", "fd,pipe", "-format_whitelist", probe.demuxer, "-threads", "2"),
        *("-max_pixels", str(MAX_PIXELS), "-ss", f"{at_s:.3f}", "-f", probe.demuxer, "-fd", "0", "-i", "fd:"),
        *("-map", f"0:{probe.video.index}", "-frames:v", "1", "-vf", ",".join([*steps, "format=yuvj420p"])),
        *("-map_metadata", "-1", "-c:v", "mjpeg", "-q:v", "5", "-f", "image2pipe", "pipe:1"),
    ]
