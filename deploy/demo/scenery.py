"""The pictures of the sample film, as an ASS script: a sun over waves, four times of day, a running clock.

Only vector drawings, rendered by ffmpeg's libass over a soft sky. Positions are pixels of 1280 × 720,
times are seconds.
"""

import math
from dataclasses import dataclass
from typing import Final

from deploy.demo import blank_font, glyphs

WIDTH: Final = 1280
HEIGHT: Final = 720
SCENE_S: Final = 18
FADE_S: Final = 2
CLOCK: Final = (1010, 215, 128)  # centre and radius of its ring


@dataclass(frozen=True)
class Scene:
    """One time of day. Colours are RRGGBB; `sky` from top to horizon, `waves` from far to near."""

    name: str
    sky: tuple[str, str, str]
    sun: str
    sun_path: tuple[int, int, int, int]  # x, y at the start and at the end
    waves: tuple[str, ...]


SCENES: Final = (
    Scene(
        "DAWN",
        ("1d2b53", "7e5a83", "ffb58a"),
        "fff0c9",
        (420, 500, 470, 330),
        ("c98a8c", "9a6f8a", "6b5580", "433f6e", "252b52"),
    ),
    Scene(
        "NOON",
        ("1f7fc4", "63b8e4", "d8f1f5"),
        "fffbe0",
        (470, 190, 560, 150),
        ("8fd0dc", "56b4c9", "2b93b3", "167196", "0b4f74"),
    ),
    Scene(
        "DUSK",
        ("2a1a4a", "b03a5b", "ff9d4d"),
        "ffe2a0",
        (380, 330, 330, 520),
        ("d9665a", "a84460", "77305e", "4b2352", "281741"),
    ),
    Scene(
        "NIGHT",
        ("050a1f", "0f2347", "24507a"),
        "e9f2ff",
        (720, 350, 690, 140),
        ("2d5f86", "214a70", "17375a", "0f2643", "08162c"),
    ),
)
DURATION_S: Final = SCENE_S * len(SCENES)


def script() -> str:
    """The whole ASS script: scenery of every scene, title card, captions and clock."""
    head = (
        "[Script Info]\nScriptType: v4.00+\n"
        f"PlayResX: {WIDTH}\nPlayResY: {HEIGHT}\nScaledBorderAndShadow: yes\n\n"
        "[V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour, OutlineColour, BackColour, "
        "BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV\n"
        f"Style: D,{blank_font.FAMILY},20,&H00FFFFFF,&H00000000,&H00000000,1,0,0,7,0,0,0\n\n"
        "[Events]\nFormat: Layer, Start, End, Style, Text\n"
    )
    events: list[str] = []
    for index, scene in enumerate(SCENES):
        events += _scenery(scene, index)
    return head + "\n".join(events + _sea() + _title() + _clock()) + "\n"


def _event(layer: int, start: float, end: float, tags: str, drawing: str) -> str:
    return f"Dialogue: {layer},{_time(start)},{_time(end)},D,{{\\p1{tags}}}{drawing}"


def _time(value: float) -> str:
    minutes, seconds = divmod(max(0.0, min(value, DURATION_S)), 60)
    return f"0:{int(minutes):02}:{seconds:05.2f}"


def _colour(rgb: str) -> str:
    return f"\\1c&H{rgb[4:6]}{rgb[2:4]}{rgb[0:2]}&"


def _scenery(scene: Scene, index: int) -> list[str]:
    """Sun, stars and caption of a scene, which fades over into the next one."""
    start = index * SCENE_S - (FADE_S if index else 0)
    end = (index + 1) * SCENE_S
    fade_ms = FADE_S * 1000
    into = f"\\fad({fade_ms if index else 0},0)"
    both = f"\\fad({fade_ms if index else 0},{fade_ms if index + 1 < len(SCENES) else 0})"
    x0, y0, x1, y1 = scene.sun_path
    travel = f"\\move({x0},{y0},{x1},{y1})"
    events = [
        _event(
            1, start, end, f"{both}{travel}{_colour(scene.sun)}\\1a&HB0&\\blur40", glyphs.circle(0, 0, 120)
        ),
        _event(1, start, end, f"{both}{travel}{_colour(scene.sun)}\\blur2", glyphs.circle(0, 0, 58)),
    ]
    if scene.name == "NIGHT":
        events.append(
            _event(0, start, end, f"{into}\\pos(0,0){_colour('ffffff')}\\1a&H50&\\blur0.6", _stars())
        )
    caption = glyphs.text(scene.name, 64, 628, 5.5, 4.5)
    events.append(
        _event(90, start + FADE_S + 1, start + FADE_S + 9, "\\fad(800,800)\\pos(0,0)\\1a&H20&", caption)
    )
    return events


def _sea() -> list[str]:
    """Bands of waves, far to near: one drawing each, whose colour follows the time of day."""
    events = []
    for depth in range(len(SCENES[0].waves)):
        tags = _drift(depth) + _colour(SCENES[0].waves[depth])
        for index, scene in enumerate(SCENES[1:], 1):
            end = index * SCENE_S * 1000
            tags += f"\\t({end - FADE_S * 1000},{end},{_colour(scene.waves[depth])})"
        events.append(_event(10 + depth, 0, DURATION_S, tags, _wave(depth)))
    return events


def _drift(depth: int) -> str:
    """Near waves move faster than far ones, in alternating directions, and the tide falls a little."""
    shift = (2 + depth) * 260
    ends = (-shift, 0) if depth % 2 else (0, -shift)
    rise = 6 + 4 * depth
    return f"\\move({ends[0]},{rise},{ends[1]},{-rise})"


def _wavelength(depth: int) -> int:
    return 260 + 110 * depth


def _wave(depth: int) -> str:
    """A band of sea with a rounded, uneven crest, wide enough for its drift."""
    base = 432 + 52 * depth
    length = _wavelength(depth)
    height = 9 + 6 * depth
    right = WIDTH + (2 + depth) * 260
    crest = [
        (
            x,
            base
            - height * math.sin(2 * math.pi * x / length)
            - height * 0.45 * math.sin(4 * math.pi * x / length + depth),
        )
        for x in range(0, right + 20, 20)
    ]
    points = " ".join(f"{x} {y:.1f}" for x, y in crest)
    bottom = HEIGHT + 60 if depth == 4 else base + 130  # no deeper than the next band reaches: half the work
    return f"m 0 {bottom} l {points} {right} {bottom}"


def _stars() -> str:
    places = [
        ((i * 733) % WIDTH, (i * i * 97 + i * 211) % 400, 0.8 + (i * 7 % 5) * 0.35) for i in range(1, 90)
    ]
    return " ".join(glyphs.circle(x, y, r) for x, y, r in places)


def _title() -> list[str]:
    word, scale = "SLUICE", 13.0
    x = 110.0
    shadow = glyphs.text(word, x, 150, scale, 13)
    right = x + glyphs.width(word, scale)
    line = f"m {x:.0f} 262 l {right:.0f} 262 {right:.0f} 266 {x:.0f} 266"
    events = []
    for start, end in ((0.6, 8.0), (DURATION_S - 9, DURATION_S - 0.6)):
        events.append(
            _event(91, start, end, "\\fad(900,900)\\move(8,0,-8,0)\\1c&H000000&\\1a&HA0&\\blur8", shadow)
        )
        events.append(_event(92, start, end, "\\fad(900,900)\\move(8,0,-8,0)", shadow))
        events.append(_event(92, start, end, "\\fad(1400,900)\\move(30,0,-8,0)\\1a&H30&", line))
    return events


def _clock() -> list[str]:
    """A ring of sixty ticks, a dot that goes round once a minute, and minutes and seconds in the middle."""
    cx, cy, radius = CLOCK
    ticks = []
    for i in range(60):
        angle = math.radians(i * 6)
        ticks.append(
            glyphs.circle(
                cx + radius * math.sin(angle), cy - radius * math.cos(angle), 3.4 if i % 5 == 0 else 1.7
            )
        )
    hand = f"\\pos(0,0)\\org({cx},{cy})\\t(0,{DURATION_S * 1000},\\frz{-6 * DURATION_S})"
    events = [
        _event(
            80, 0, DURATION_S, "\\pos(0,0)\\1c&H000000&\\1a&HB4&\\blur12", glyphs.circle(cx, cy, radius + 22)
        ),
        _event(81, 0, DURATION_S, "\\pos(0,0)\\1a&H28&", " ".join(ticks)),
        _event(82, 0, DURATION_S, hand + _colour("ffd166"), glyphs.circle(cx, cy - radius, 9)),
    ]
    for second in range(DURATION_S):
        face = f"{second // 60}:{second % 60:02}"
        scale = 8.2
        drawing = glyphs.text(face, cx - glyphs.width(face, scale) / 2, cy - 3 * scale, scale, 7)
        events.append(_event(83, second, second + 1, "\\pos(0,0)", drawing))
    return events
