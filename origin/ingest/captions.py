"""Captions inside an uploaded file: each stream of text as WebVTT from ffmpeg in jail, read and cleaned.

What ffmpeg says is a stranger's file still, so it goes the way of any other
(`origin.media.captions_reading`). Captions that are pictures are passed over, and those of CEA-608 that hide
in the picture too.
"""

import logging
from pathlib import Path
from typing import Final

from origin.captions import Given
from origin.ingest.jail import GIB, Limits, run_jailed
from origin.ingest.ladder import language_name, language_tag
from origin.ingest.probe import Probe, TextTrack
from origin.media.captions import BadCaptions
from origin.media.captions_reading import read_captions

LIMITS: Final = Limits(wall_s=600, cpu_s=300, memory_bytes=GIB)
_LOG: Final = logging.getLogger(__name__)


async def inside(source: Path, found: Probe, *, ffmpeg: Path, require_jail: bool = False) -> list[Given]:
    """The captions of a file that can be read, in its order; of one language and kind, the first."""
    made: list[Given] = []
    for track in found.text:
        language = language_tag(track.language)
        if any((each.language, each.forced) == (language, track.forced) for each in made):
            continue
        with source.open("rb") as file:
            outcome = await run_jailed(
                arguments(ffmpeg, found, track),
                stdin_fd=file.fileno(),
                limits=LIMITS,
                require_jail=require_jail,
            )
        if outcome.over_talk or outcome.over_time or outcome.status != 0:
            _LOG.info("captions of stream %d left out: %s", track.index, outcome.stderr_tail[-300:])
            continue
        try:
            cues = read_captions(outcome.stdout)
        except BadCaptions as exc:
            _LOG.info("captions of stream %d left out: %s", track.index, exc)
            continue
        name = track.title or language_name(language) or f"Captions {len(made) + 1}"
        made.append(Given(language, name, cues, track.forced, track.default))
    return made


def arguments(ffmpeg: Path, found: Probe, track: TextTrack) -> list[str]:
    """The command for one stream. Pure."""
    return [
        *(str(ffmpeg), "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error"),
        *("-protocol_whitelist", "fd,pipe", "-format_whitelist", found.demuxer),
        *("-f", found.demuxer, "-fd", "0", "-i", "fd:", "-map", f"0:{track.index}"),
        *("-map_metadata", "-1", "-c:s", "webvtt", "-f", "webvtt", "pipe:1"),
    ]
