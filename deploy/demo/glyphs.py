"""Letters and digits drawn as strokes, so that the sample film needs no font on the machine.

A glyph is a list of strokes on a grid 4 wide and 6 high, y downwards. `text` turns words into an ASS drawing
(`\\p1`): every stroke becomes capsules (a bar with round ends), all wound the same way so that overlaps fill.
"""

import itertools
import math
from typing import Final

Point = tuple[float, float]
Stroke = list[Point]

GLYPH_HEIGHT: Final = 6.0
_ADVANCE: Final = 6.2


def _arc(cx: float, cy: float, rx: float, ry: float, start: float, end: float) -> Stroke:
    steps = max(6, round(abs(end - start) / 12))
    angles = (math.radians(start + (end - start) * i / steps) for i in range(steps + 1))
    return [(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in angles]


def _turned(strokes: list[Stroke]) -> list[Stroke]:
    return [[(4 - x, 6 - y) for x, y in stroke] for stroke in strokes]


_SIX: Final = [_arc(2, 4.1, 1.9, 1.9, 0, 360), [*_arc(4.6, 4.0, 4.5, 4.0, 180, 248)]]

GLYPHS: Final[dict[str, list[Stroke]]] = {
    "0": [_arc(2, 3, 2, 3, 0, 360)],
    "1": [[(0.9, 1.3), (2.4, 0), (2.4, 6)]],
    "2": [[*_arc(2, 1.9, 1.9, 1.9, -165, 30), (0, 6), (4, 6)]],
    "3": [_arc(2, 1.5, 1.7, 1.5, -150, 90), _arc(2, 4.5, 1.9, 1.5, -90, 150)],
    "4": [[(3, 6), (3, 0), (0, 4.2), (4, 4.2)]],
    "5": [[(3.6, 0), (0.7, 0), (0.45, 2.7), *_arc(1.95, 4.05, 1.95, 1.95, -130, 140)]],
    "6": _SIX,
    "7": [[(0, 0), (4, 0), (1.5, 6)]],
    "8": [_arc(2, 1.45, 1.6, 1.45, 0, 360), _arc(2, 4.45, 1.9, 1.55, 0, 360)],
    "9": _turned(_SIX),
    ":": [[(2, 1.9), (2, 1.9)], [(2, 4.3), (2, 4.3)]],
    "A": [[(0, 6), (2, 0), (4, 6)], [(0.7, 3.9), (3.3, 3.9)]],
    "C": [_arc(2.1, 3, 2.1, 3, -48, -312)],
    "D": [[(0, 6), (0, 0), *_arc(1, 3, 3, 3, -90, 90), (0, 6)]],
    "E": [[(3.6, 0), (0.2, 0), (0.2, 6), (3.6, 6)], [(0.2, 3), (3, 3)]],
    "G": [[*_arc(2.1, 3, 2.1, 3, -48, -360), (2.5, 3)], [(4.2, 3), (4.2, 5.6)]],
    "H": [[(0, 0), (0, 6)], [(4, 0), (4, 6)], [(0, 3), (4, 3)]],
    "I": [[(2, 0), (2, 6)]],
    "K": [[(0, 0), (0, 6)], [(3.8, 0), (0, 3.6)], [(1.3, 2.4), (4, 6)]],
    "L": [[(0.3, 0), (0.3, 6), (3.8, 6)]],
    "N": [[(0, 6), (0, 0), (4, 6), (4, 0)]],
    "O": [_arc(2, 3, 2.2, 3, 0, 360)],
    "S": [[*_arc(2, 1.5, 1.8, 1.5, -28, -270), *_arc(2, 4.5, 1.9, 1.5, -90, 152)]],
    "T": [[(0, 0), (4, 0)], [(2, 0), (2, 6)]],
    "U": [[(0, 0), *_arc(2, 4, 2, 2, 180, 0), (4, 0)]],
    "W": [[(-0.4, 0), (0.9, 6), (2, 1.6), (3.1, 6), (4.4, 0)]],
}


def width(words: str, scale: float) -> float:
    """How wide the words are drawn, in pixels; `scale` is pixels for one unit of the grid."""
    return max(0.0, (len(words) * _ADVANCE - (_ADVANCE - 4)) * scale)


def text(words: str, x: float, y: float, scale: float, weight: float) -> str:
    """An ASS drawing of the words with their top left corner at (x, y); `weight` is the stroke in pixels."""
    parts = []
    for place, letter in enumerate(words):
        left = x + place * _ADVANCE * scale
        for stroke in GLYPHS.get(letter, []):
            points = [(left + px * scale, y + py * scale) for px, py in stroke]
            parts += [_capsule(a, b, weight / 2) for a, b in itertools.pairwise(points)]
    return " ".join(parts)


def circle(cx: float, cy: float, radius: float) -> str:
    """An ASS drawing of a filled circle."""
    return _capsule((cx, cy), (cx, cy), radius)


def _capsule(a: Point, b: Point, radius: float) -> str:
    angle = math.atan2(b[1] - a[1], b[0] - a[0])
    steps = max(8, round(radius))
    outline = []
    for centre, turn in ((b, -math.pi / 2), (a, math.pi / 2)):
        for i in range(steps + 1):
            t = angle + turn + math.pi * i / steps
            outline.append((centre[0] + radius * math.cos(t), centre[1] + radius * math.sin(t)))
    (x, y), *rest = outline
    return f"m {x:.1f} {y:.1f} l " + " ".join(f"{px:.1f} {py:.1f}" for px, py in rest)
