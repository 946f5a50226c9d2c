"""What an asset has beside picture and sound: captions, and a storyboard. Part of its signed descriptor.

Captions are rendition `captions`, `captions-2`, …: objects `<n>.vtt`, segments as HLS has them, and
`captions.vtt`, the whole. A storyboard is rendition `storyboard`: objects `<n>.jpg`, sheets of small pictures
in rows, one for each `interval_s`.
"""

from dataclasses import dataclass
from typing import Any, Final

from keys.names import rendition_id

STORYBOARD: Final = "storyboard"
STORYBOARD_INDEX: Final = "index.vtt"


@dataclass(frozen=True, slots=True)
class Caption:
    """What is to be read in one language."""

    id: str  # of its rendition
    language: str  # RFC 5646; may be empty
    name: str  # for people: "English"
    durations: tuple[int, ...]  # ms, one for each segment
    sizes: tuple[int, ...]  # plain bytes, one for each segment
    whole: int  # plain bytes of all in one
    forced: bool = False  # only what has to be read even by who hears it
    default: bool = False


@dataclass(frozen=True, slots=True)
class Storyboard:
    """Small pictures of the film in sheets."""

    interval_s: float  # seconds that a picture stands for
    count: int  # of pictures
    columns: int
    rows: int
    width: int  # pixels of one picture
    height: int
    sizes: tuple[int, ...]  # bytes of each sheet


def segment_text(number: int) -> str:
    """The object that holds segment `number` of captions."""
    return f"{number}.vtt"


def sheet(number: int) -> str:
    """The object that holds sheet `number` of a storyboard."""
    return f"{number}.jpg"


def read_caption(row: dict[str, Any]) -> Caption:
    """A caption of a descriptor. ValueError, TypeError or KeyError for what is none."""
    found = Caption(**{**row, "durations": tuple(row["durations"]), "sizes": tuple(row["sizes"])})
    rendition_id(found.id)
    if len(found.durations) != len(found.sizes) or not found.sizes:
        raise ValueError("captions of the wrong shape")
    return found


def read_storyboard(row: dict[str, Any]) -> Storyboard:
    """A storyboard of a descriptor. ValueError, TypeError or KeyError for what is none."""
    found = Storyboard(**{**row, "sizes": tuple(row["sizes"])})
    measures = (found.count, found.columns, found.rows, found.width, found.height)
    if min(measures) < 1 or found.interval_s <= 0 or not found.sizes:
        raise ValueError("storyboard of the wrong shape")
    if len(found.sizes) * found.columns * found.rows < found.count:
        raise ValueError("storyboard without all its sheets")
    return found


def thumbnails(board: Storyboard) -> bytes:
    """`index.vtt`: WebVTT whose cues name a part of a sheet each (`#xywh`, Media Fragments §4.2.2)."""
    lines = ["WEBVTT"]
    a_sheet = board.columns * board.rows
    for number in range(board.count):
        row, column = divmod(number % a_sheet, board.columns)
        place = f"{column * board.width},{row * board.height},{board.width},{board.height}"
        times = (_time(number * board.interval_s), _time((number + 1) * board.interval_s))
        lines += ["", f"{times[0]} --> {times[1]}", f"{sheet(number // a_sheet)}#xywh={place}"]
    return ("\n".join(lines) + "\n").encode()


def _time(seconds: float) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"
