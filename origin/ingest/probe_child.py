"""Looks at one media file: `python -I -S probe_child.py <site-packages> <demuxer>`, the file as standard
input.

Stands alone, runs in jail, imported by nobody: the standard library and PyAV only. Writes one line of JSON:
the facts `probe.py` reads, or {"refused": "..."} with a reason for the log. Decides nothing; judges nobody's
limits.
"""

import json
import os
import sys
from fractions import Fraction
from typing import Any

TRIED_PACKETS = 300  # before a stream without a decodable frame is given up
END_S = 10.0  # how far before the claimed end is looked for packets
AV_TIME_BASE = 1_000_000
ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC: a cover, not a film
FORCED = 0x40  # AV_DISPOSITION_FORCED
DEFAULT = 0x1  # AV_DISPOSITION_DEFAULT


def main() -> None:
    """Opens standard input as the demuxer named and says what is in it."""
    sys.path.insert(0, sys.argv[1])
    import av

    try:
        print(json.dumps(look(av, sys.argv[2])))
    except (av.error.FFmpegError, ValueError, MemoryError, OverflowError) as exc:
        print(json.dumps({"refused": f"{type(exc).__name__}: {exc}"[:500]}))


def look(av: Any, demuxer: str) -> dict[str, Any]:
    """All facts, as JSON values."""
    with opened(av, demuxer) as file:
        films = [s for s in file.streams.video if not s.disposition & ATTACHED_PICTURE]
        films = [s for s in films if decodable(s)]
        film = max(films, key=lambda s: (s.disposition & DEFAULT, s.width * s.height), default=None)
        sounds = [s for s in file.streams.audio if decodable(s)]
        chosen = [*([film] if film else []), *sounds]
        facts = {
            "video": video_facts(file, film) if film else None,
            "audio": [audio_facts(s) for s in sounds],
            "text": [text_facts(s) for s in file.streams if s.type == "subtitle" and s.codec_context],
        }
        numbers = [stream.index for stream in chosen]
        end = verified_end(file, chosen) if chosen else 0.0
    if end is None:
        with opened(av, demuxer) as file:
            end = scanned_end(file, [file.streams[number] for number in numbers])
    return {**facts, "duration": end}


def opened(av: Any, demuxer: str) -> Any:
    """The file behind descriptor 0, read by that demuxer and by no other, opening nothing else."""
    os.lseek(0, 0, os.SEEK_SET)
    limits = {"fd": "0", "protocol_whitelist": "fd,pipe", "format_whitelist": demuxer}
    return av.open("fd:", format=demuxer, options=limits, metadata_errors="replace")


def decodable(stream: Any) -> bool:
    """Whether there is a decoder for it, and the container says enough to start one."""
    context = stream.codec_context
    if context is None or context.codec is None:
        return False
    return bool(context.width and context.height) if stream.type == "video" else bool(context.sample_rate)


def video_facts(file: Any, stream: Any) -> dict[str, Any]:
    """Facts of the film. `decoded` is false when no frame came out of its first packets."""
    context = stream.codec_context
    context.thread_count = 1
    # A frame past any sensible size is measured by its header only: `probe.py` refuses it.
    frame = first_frame(file, stream) if context.width * context.height <= 1 << 27 else None
    aspect = stream.sample_aspect_ratio or context.sample_aspect_ratio or Fraction(1)
    return {
        "index": stream.index,
        "codec": context.name,
        "width": frame.width if frame else context.width,
        "height": frame.height if frame else context.height,
        "aspect": [aspect.numerator, aspect.denominator],
        "rotation": round(frame.rotation) % 360 if frame else 0,
        "average_rate": rate(stream.average_rate),
        "base_rate": rate(stream.base_rate),
        "pixels": frame.format.name if frame else (context.pix_fmt or ""),
        "depth": max((c.bits for c in frame.format.components), default=8) if frame else 8,
        "interlaced": bool(frame.interlaced_frame) if frame else False,
        "transfer": int(context.color_trc or 0),
        "decoded": frame is not None,
    }


def first_frame(file: Any, stream: Any) -> Any:
    """The first frame that decodes, or None."""
    import av

    for number, packet in enumerate(file.demux(stream)):
        if number > TRIED_PACKETS:
            return None
        try:
            for frame in packet.decode():
                return frame
        except av.error.FFmpegError:
            continue
    return None


def rate(value: Any) -> list[int]:
    """A rate as [numerator, denominator]; [0, 1] when unknown."""
    return [value.numerator, value.denominator] if value else [0, 1]


def audio_facts(stream: Any) -> dict[str, Any]:
    """Facts of one audio stream."""
    context = stream.codec_context
    return {
        "index": stream.index,
        "codec": context.name,
        "channels": context.layout.nb_channels,
        "sample_rate": context.sample_rate,
        "language": stream.metadata.get("language", ""),
        "title": stream.metadata.get("title", ""),
        "default": bool(stream.disposition & DEFAULT),
    }


def text_facts(stream: Any) -> dict[str, Any]:
    """Facts of one stream of captions."""
    return {
        "index": stream.index,
        "codec": stream.codec_context.name or "",
        "language": stream.metadata.get("language", ""),
        "title": stream.metadata.get("title", ""),
        "default": bool(stream.disposition & DEFAULT),
        "forced": bool(stream.disposition & FORCED),
    }


def verified_end(file: Any, streams: list[Any]) -> float | None:
    """The claimed duration in seconds when packets are found near it; None when it is missing or a lie."""
    import av

    if not file.duration or file.duration <= 0:
        return None
    claimed = file.duration / AV_TIME_BASE
    start = (file.start_time or 0) / AV_TIME_BASE
    try:
        file.seek(int((start + max(0.0, claimed - END_S)) * AV_TIME_BASE))
        latest = last_time(file, streams)
    except av.error.FFmpegError:
        return None
    return claimed if latest is not None and latest - start >= claimed - max(1.0, claimed * 0.01) else None


def scanned_end(file: Any, streams: list[Any]) -> float:
    """Seconds from the first packet's time to the end of the last one that is there."""
    latest = last_time(file, streams)
    start = (file.start_time or 0) / AV_TIME_BASE
    return max(0.0, latest - start) if latest is not None else 0.0


def last_time(file: Any, streams: list[Any]) -> float | None:
    """The latest end of a packet from here on, in seconds; None without packets. A broken tail ends it."""
    import av

    latest: float | None = None
    try:
        for packet in file.demux(streams):
            time = packet.pts if packet.pts is not None else packet.dts
            if time is not None:
                end = float((time + (packet.duration or 0)) * packet.time_base)
                latest = end if latest is None else max(latest, end)
    except av.error.FFmpegError:
        pass
    return latest


if __name__ == "__main__":
    main()
