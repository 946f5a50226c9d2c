"""What is in an uploaded file: its duration, its film, its sound; or why it is refused.

The bytes are read by `probe_child.py` in jail. What the child says is checked here like any other input: a
taken-over child can lie about the film, and no more. Limits on frame size and duration are ours (SECURITY
T13).
"""

import json
import sys
import sysconfig
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from keys.problems import Problem
from origin.ingest.jail import GIB, Limits, Outcome, run_jailed
from origin.ingest.sniff import NOT_MEDIA, SNIFF_BYTES, demuxer

PROBE_LIMITS: Final = Limits(wall_s=120, cpu_s=60, memory_bytes=GIB)

CHILD: Final = Path(__file__).with_name("probe_child.py")
BROKEN: Final = "This file is damaged or cut off: no picture or sound in it can be decoded."
TOO_MUCH: Final = "This file takes too much time or memory to read; it may be damaged."

# Captions that are text, and those of CEA-608 in a track of their own; not pictures of text.
TEXT_CODECS: Final = ("subrip", "srt", "webvtt", "mov_text", "ass", "ssa", "text", "eia_608", "cc_dec")
MAX_TEXTS: Final = 16

PQ, HLG = 16, 18  # ITU-T H.273 §8.2: the transfer characteristics of high dynamic range


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """The film as it is stored: before rotation, before its pixels are made square."""

    index: int  # of the stream in the file
    codec: str  # ffmpeg's name, such as "hevc"
    width: int  # pixels
    height: int
    aspect: Fraction  # width of a pixel over its height
    rotation: int  # degrees, a multiple of 90 in 0 to 270
    average_rate: Fraction  # frames a second over the film; 0 when unknown
    base_rate: Fraction  # frames a second all times fit on; 0 when unknown
    pixels: str  # ffmpeg's pixel format
    depth: int  # bits a sample
    interlaced: bool
    transfer: int  # ITU-T H.273 §8.2


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """One audio stream as it is stored."""

    index: int
    codec: str
    channels: int
    sample_rate: int  # Hz
    language: str  # as the file has it, often ISO 639-2; may be empty
    title: str
    default: bool


@dataclass(frozen=True, slots=True)
class TextTrack:
    """One stream of captions that are text, as it is stored."""

    index: int
    codec: str
    language: str  # as the file has it; may be empty
    title: str
    default: bool
    forced: bool


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file holds that can be played."""

    demuxer: str
    size: int  # bytes
    duration: float  # seconds
    video: VideoTrack | None
    audio: tuple[AudioTrack, ...]
    text: tuple[TextTrack, ...] = ()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is too large to take in."""

    side: int = 8192  # pixels, of either side
    duration_s: float = 24 * 3600
    audio_tracks: int = 16


async def probe(path: Path, *, bounds: Bounds | None = None, require_jail: bool = False) -> Probe:
    """What is in the file. Problem not_media with a sentence when it cannot be played or is too large."""
    with path.open("rb") as file:
        container = demuxer(file.read(SNIFF_BYTES))
        outcome = await run_jailed(
            [_python(), "-I", "-S", "-B", CHILD, _site_packages(), container],
            stdin_fd=file.fileno(),
            limits=PROBE_LIMITS,
            reads=[CHILD, _site_packages(), *_standard_library()],
            require_jail=require_jail,
        )
    return read_facts(_facts(outcome), container, path.stat().st_size, bounds or Bounds())


def read_facts(facts: dict[str, Any], container: str, size: int, bounds: Bounds) -> Probe:
    """The facts as a Probe. Problem not_media when out of bounds or with nothing to decode. Pure."""
    try:
        video = _video(facts["video"]) if facts["video"] else None
        audio = tuple(_audio(row) for row in facts["audio"])[: bounds.audio_tracks]
        text = tuple(_text(row) for row in facts.get("text", ()) if row["codec"] in TEXT_CODECS)
        found = Probe(container, size, float(facts["duration"]), video, audio, text[:MAX_TEXTS])
        decoded = bool(facts["video"]["decoded"]) if facts["video"] else True
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as exc:
        raise Problem("not_media", NOT_MEDIA, detail=f"probe answered nonsense: {exc!r}") from exc
    _check_bounds(found, bounds)
    if not decoded or (video is None and not audio) or not found.duration > 0:
        raise Problem("not_media", BROKEN if video or audio else NOT_MEDIA, detail="no stream can be decoded")
    return found


def _check_bounds(found: Probe, bounds: Bounds) -> None:
    if found.video and max(found.video.width, found.video.height) > bounds.side:
        size = f"{found.video.width} × {found.video.height}"
        raise Problem(
            "not_media", f"The picture is {size} pixels; Sluice takes up to {bounds.side} on a side."
        )
    if not found.duration <= bounds.duration_s:
        hours = bounds.duration_s / 3600
        raise Problem(
            "not_media", f"This file says it runs longer than {hours:g} hours, the most Sluice takes."
        )


def _facts(outcome: Outcome) -> dict[str, Any]:
    """The child's answer. Problem not_media with the reason as its detail when there is none."""
    detail = f"probe ended with {outcome.status}, {outcome.stderr_tail[-500:]!r}"
    if outcome.over_time or outcome.over_talk or outcome.status < 0:
        raise Problem("not_media", TOO_MUCH, detail=detail)
    try:
        facts = json.loads(outcome.stdout)
        if not isinstance(facts, dict):
            raise ValueError("not an object")
    except ValueError as exc:
        raise Problem("not_media", NOT_MEDIA, detail=detail) from exc
    if "refused" in facts:
        raise Problem("not_media", BROKEN, detail=str(facts["refused"])[:500])
    return facts


def _video(row: dict[str, Any]) -> VideoTrack:
    width, height = _count(row["width"]), _count(row["height"])
    aspect = Fraction(*row["aspect"])
    return VideoTrack(
        index=_count(row["index"], least=0),
        codec=str(row["codec"])[:40],
        width=width,
        height=height,
        aspect=aspect if Fraction(1, 20) < aspect < 20 else Fraction(1),
        rotation=_count(row["rotation"], least=0) // 90 % 4 * 90,
        average_rate=_rate(row["average_rate"]),
        base_rate=_rate(row["base_rate"]),
        pixels=str(row["pixels"])[:40],
        depth=_count(row["depth"]),
        interlaced=bool(row["interlaced"]),
        transfer=_count(row["transfer"], least=0),
    )


def _audio(row: dict[str, Any]) -> AudioTrack:
    return AudioTrack(
        index=_count(row["index"], least=0),
        codec=str(row["codec"])[:40],
        channels=_count(row["channels"]),
        sample_rate=_count(row["sample_rate"]),
        language=str(row["language"])[:35],
        title="".join(c for c in str(row["title"]) if c.isprintable())[:80],
        default=bool(row["default"]),
    )


def _text(row: dict[str, Any]) -> TextTrack:
    return TextTrack(
        index=_count(row["index"], least=0),
        codec=str(row["codec"]),
        language=str(row["language"])[:35],
        title="".join(c for c in str(row["title"]) if c.isprintable())[:80],
        default=bool(row["default"]),
        forced=bool(row["forced"]),
    )


def _count(value: object, *, least: int = 1) -> int:
    if not isinstance(value, int) or not least <= value < 1 << 31:
        raise ValueError(f"{value!r} is no count")
    return value


def _rate(pair: list[int]) -> Fraction:
    found = Fraction(*pair)
    return found if 0 <= found < 1_000_000 else Fraction(0)


def _python() -> str:
    return str(Path(sys.executable).resolve())


def _site_packages() -> Path:
    """Where PyAV is installed."""
    spec = find_spec("av")
    assert spec is not None and spec.origin is not None, "PyAV is a locked dependency"
    return Path(spec.origin).parent.parent


def _standard_library() -> list[str]:
    """The directories of the interpreter's own modules and of its shared library."""
    names = ("stdlib", "platstdlib")
    return [*(sysconfig.get_path(name) for name in names), str(sysconfig.get_config_var("LIBDIR"))]
