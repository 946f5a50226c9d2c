"""Captions from files of strangers: SubRip, WebVTT or TTML, told apart by what is in them. Pure.

Encodings: UTF-8, UTF-16 with its byte order mark, and what is neither as Windows-1252. What is no cue is
passed over: notes, style sheets, regions, numbers. No bound of ours is met by what people made to be read.
"""

import re
from typing import Final

from origin.media.captions import LATEST_MS, MAX_CUES, BadCaptions, Cue, checked
from origin.media.captions_markup import cleaned, settings
from origin.media.captions_ttml import read_ttml

MAX_BYTES: Final = 4 << 20

_CLOCK: Final = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES: Final = re.compile(rf"[ \t]*{_CLOCK}[ \t]*-->[ \t]*{_CLOCK}(?:[ \t]+(.*))?")
_BLANK: Final = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


def read_captions(data: bytes) -> tuple[Cue, ...]:
    """The cues, in order of time. BadCaptions when there are none, or it is none of these formats."""
    if len(data) > MAX_BYTES:
        raise BadCaptions(f"A file of captions has at most {MAX_BYTES >> 20} MiB.")
    text = decoded(data).replace("\r\n", "\n").replace("\r", "\n")
    if text.lstrip().startswith("<"):
        return checked(read_ttml(text))
    if "-->" not in text:
        raise BadCaptions("This is no file of captions that is read here: SubRip, WebVTT or TTML.")
    return checked(_blocks(text, webvtt=text.startswith("WEBVTT")))


def decoded(data: bytes) -> str:
    """The text of a file. BadCaptions for what is no text."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            raise BadCaptions("This file says it is UTF-16, and is not.") from None
    if b"\0" in data:
        raise BadCaptions("This is no text, so no file of captions.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _blocks(text: str, *, webvtt: bool) -> list[Cue]:
    cues: list[Cue] = []
    for block in _BLANK.split(text.strip("\n")):
        lines = block.split("\n")
        for number, line in enumerate(lines[:3]):  # a number or a name may stand before the times
            times = _TIMES.fullmatch(line)
            if times is not None:
                cue = _cue(times, lines[number + 1 :], webvtt=webvtt)
                cues += [cue] if cue else []
                break
        if len(cues) > MAX_CUES:
            break
    return cues


def _cue(times: re.Match[str], lines: list[str], *, webvtt: bool) -> Cue | None:
    start, end = _ms(*times.groups()[:4]), _ms(*times.groups()[4:8])
    said = cleaned("\n".join(lines))
    if not said or not start < end <= LATEST_MS:
        return None
    return Cue(start, end, said, settings(times[9] or "") if webvtt else "")


def _ms(hours: str | None, minutes: str, seconds: str, fraction: str) -> int:
    whole = (int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)
    return whole * 1000 + int(fraction.ljust(3, "0"))
