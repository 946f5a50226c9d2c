"""TTML (W3C TTML2, IMSC text profile) as cues: paragraphs with times, their text and bold, italic, underline.

XML from strangers, read by expat with what `keys.plain_xml` refuses refused here too: document types,
entities, processing instructions, depth. Styles and regions are passed over: a page shows captions its way.
"""

import re
from typing import Any, Final, NoReturn
from xml.parsers import expat

from origin.media.captions import LATEST_MS, MAX_CUES, BadCaptions, Cue
from origin.media.captions_markup import cleaned, escaped

MAX_DEPTH: Final = 32
MAX_ELEMENTS: Final = 8 * MAX_CUES
NAMESPACE: Final = re.compile(r"http://www\.w3\.org/(ns/ttml|2006/(04|10)/ttaf1)(#styling|#parameter)?")

_CLOCK: Final = re.compile(r"(\d{2,3}):(\d{2}):(\d{2})(?:\.(\d{1,9})|:(\d{1,3}))?")
_OFFSET: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(h|ms|m|s|f|t)")


def read_ttml(text: str) -> list[Cue]:
    """The cues of a document, as they come. BadCaptions when it is no TTML."""
    return _Reader().read(text)


class _Reader:
    def __init__(self) -> None:
        self._frame_rate = 30.0
        self._tick_rate = 0.0
        self._open: list[tuple[str, float, float | None, str]] = []  # name, start, end, closing tags
        self._elements = 0
        self._said: list[str] = []
        self._inside = 0  # depth of a paragraph that is open, else 0
        self._cues: list[Cue] = []

    def read(self, text: str) -> list[Cue]:
        parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = _refuse
        parser.EntityDeclHandler = _refuse
        parser.ExternalEntityRefHandler = _refuse
        parser.ProcessingInstructionHandler = _refuse
        try:
            parser.Parse(text.encode("utf-8", "replace"), True)
        except expat.ExpatError as exc:
            raise BadCaptions(f"This is no well-formed XML ({exc}), so no TTML.") from None
        return self._cues

    def _start(self, tag: str, given: dict[str, str]) -> None:
        namespace, _, name = tag.rpartition(" ")
        self._elements += 1
        if len(self._open) >= MAX_DEPTH or self._elements > MAX_ELEMENTS:
            raise BadCaptions("This document has too many elements, or too deep ones.")
        if not self._open and (name != "tt" or not NAMESPACE.fullmatch(namespace)):
            raise BadCaptions("This XML is no TTML: its element is not tt of the TTML namespace.")
        attributes = {key.rpartition(" ")[2]: value for key, value in given.items()}
        if not self._open:
            self._rates(attributes)
        start, end = self._span(attributes)
        closing = ""
        if name == "p" and not self._inside:
            self._inside, self._said = len(self._open) + 1, []
        elif self._inside and name == "br":
            self._said.append("\n")
        if self._inside:
            for letter in _looks(attributes):
                self._said.append(f"<{letter}>")
                closing = f"</{letter}>{closing}"
        self._open.append((name, start, end, closing))

    def _end(self, _tag: str) -> None:
        _, start, end, closing = self._open[-1]
        self._said.append(closing)
        if self._inside == len(self._open):
            self._inside = 0
            said = cleaned("".join(self._said))
            if said and end is not None and len(self._cues) <= MAX_CUES:
                first, last = (min(LATEST_MS, round(s * 1000)) for s in (start, end))
                if first < last:
                    self._cues.append(Cue(first, last, said))
        self._open.pop()

    def _characters(self, text: str) -> None:
        if self._inside and self._open[-1][0] in ("p", "span"):
            self._said.append(escaped(re.sub(r"\s+", " ", text)))  # xml:space="default", TTML2 §8.1.1

    def _rates(self, attributes: dict[str, str]) -> None:
        for name in ("frameRate", "tickRate"):
            text = attributes.get(name, "")
            if re.fullmatch(r"[1-9]\d{0,8}", text):
                setattr(self, "_frame_rate" if name == "frameRate" else "_tick_rate", float(text))
        found = re.fullmatch(r"([1-9]\d{0,5}) ([1-9]\d{0,5})", attributes.get("frameRateMultiplier", ""))
        if found:
            self._frame_rate *= int(found[1]) / int(found[2])

    def _span(self, attributes: dict[str, str]) -> tuple[float, float | None]:
        """When an element is there, in seconds: times are counted from its parent's begin (§12.2)."""
        base, until = (self._open[-1][1], self._open[-1][2]) if self._open else (0.0, None)
        begin, end, lasts = (self._seconds(attributes.get(name, "")) for name in ("begin", "end", "dur"))
        start = base + (begin or 0.0)
        ends = [base + end] if end is not None else []
        ends += [start + lasts] if lasts is not None else []
        ends += [until] if until is not None else []
        return start, min(ends, default=None)

    def _seconds(self, text: str) -> float | None:
        clock = _CLOCK.fullmatch(text)
        if clock:
            whole = (int(clock[1]) * 60 + int(clock[2])) * 60 + int(clock[3])
            return whole + (float(f"0.{clock[4]}") if clock[4] else int(clock[5] or 0) / self._frame_rate)
        offset = _OFFSET.fullmatch(text)
        if offset is None:
            return None
        ticks = self._tick_rate or self._frame_rate
        unit = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "f": 1 / self._frame_rate, "t": 1 / ticks}
        return float(offset[1]) * unit[offset[2]]


def _looks(attributes: dict[str, str]) -> list[str]:
    """The tags of WebVTT that say how an element looks."""
    looks = {"b": ("fontWeight", "bold"), "i": ("fontStyle", "italic"), "u": ("textDecoration", "underline")}
    return [letter for letter, (name, value) in looks.items() if attributes.get(name) == value]


def _refuse(*_: Any) -> NoReturn:
    raise BadCaptions("This document has a DOCTYPE, entities or instructions, which are not read here.")
