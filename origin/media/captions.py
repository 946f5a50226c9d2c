"""Captions as cues, and cues as WebVTT (W3C WebVTT; RFC 8216 §3.5): whole, or cut into segments. Pure.

What a cue says is markup that `captions_markup` has cleaned; whatever file it came from (`captions_reading`),
nothing of that file goes out as it came.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SEGMENT_S: Final = 60  # seconds of a segment: some kilobytes
MAX_CUES: Final = 20_000
MAX_CUE_CHARACTERS: Final = 2_000
LATEST_MS: Final = 100 * 3600 * 1000  # no cue is later
WHOLE_OBJECT: Final = "captions.vtt"
# Segments of a film begin at 0, so do its captions (RFC 8216 §3.5).
TIMESTAMP_MAP: Final = "X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0"


class BadCaptions(ValueError):
    """Not captions that are read here; the text is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Cue:
    """Something to read for a while."""

    start_ms: int
    end_ms: int  # after the start
    text: str  # cleaned markup: lines, none of them empty
    settings: str = ""  # where it stands: cue settings of WebVTT, cleaned


def checked(cues: Sequence[Cue]) -> tuple[Cue, ...]:
    """The cues in order of time. BadCaptions for none, or too many."""
    if not cues:
        raise BadCaptions("There is no caption in this file.")
    if len(cues) > MAX_CUES:
        raise BadCaptions(f"This file has more than {MAX_CUES} captions.")
    return tuple(sorted(cues, key=lambda cue: (cue.start_ms, cue.end_ms)))


def write_webvtt(cues: Sequence[Cue], *, mapped: bool = False) -> bytes:
    """A WebVTT file. `mapped`: with the header that segments of HLS begin with."""
    blocks = ["WEBVTT\n" + (f"{TIMESTAMP_MAP}\n" if mapped else "")]
    for cue in cues:
        settings = f" {cue.settings}" if cue.settings else ""
        blocks.append(f"{_time(cue.start_ms)} --> {_time(cue.end_ms)}{settings}\n{cue.text}\n")
    return ("\n".join(blocks) + ("" if cues else "\n")).encode()  # a blank line ends the header


def segments(cues: Sequence[Cue], duration_s: float) -> list[bytes]:
    """Segments of SEGMENT_S, as many as `duration_s` has. A cue stands whole in each that it is seen in."""
    count = max(1, math.ceil(duration_s / SEGMENT_S))
    step = SEGMENT_S * 1000
    held: list[list[Cue]] = [[] for _ in range(count)]
    for cue in cues:
        for number in range(cue.start_ms // step, min(count, -(-cue.end_ms // step))):
            held[number].append(cue)
    return [write_webvtt(each, mapped=True) for each in held]


TIMES: Final = len("00:00:00.000 --> 00:00:00.000\n")


def segments_size(cues: Sequence[Cue], duration_s: float) -> int:
    """At least how many bytes `segments` makes of them: one that lasts a film long stands in all of it."""
    count, step = max(1, math.ceil(duration_s / SEGMENT_S)), SEGMENT_S * 1000
    return sum(
        (len(cue.text) + TIMES) * max(0, min(count, -(-cue.end_ms // step)) - cue.start_ms // step)
        for cue in cues
    )


def _time(ms: int) -> str:
    seconds, thousandths = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{thousandths:03}"
