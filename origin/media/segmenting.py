"""Where the segments are in a stream of fragmented MP4, as ffmpeg writes it to a pipe: one init, then
fragments.

Feed bytes as they come; whole pieces come back: `Init` (ftyp and moov) once, then a `Segment` for each moof
and mdat. Boxes that belong to the segment after them (styp, sidx, prft, emsg) stay in front of it; padding
and the trailer are dropped. What is held is never more than one segment, and a segment over the limit is
refused when its header is seen. ISO/IEC 23000-19 §7.3.2.3: a CMAF chunk is one moof and one mdat. Knows
nothing of pipes.
"""

from dataclasses import dataclass

from origin.media.boxes import BadBox as BadBox
from origin.media.boxes import BadMedia as BadMedia
from origin.media.boxes import Box, Data, Header, read_header
from origin.media.fragments import Defaults, read_fragment, track_defaults

SEGMENT_LIMIT = 256 << 20  # bytes held at once

# What may come next, and the state it leads to.
NEXT: dict[str, dict[str, str]] = {
    "start": {"ftyp": "header"},
    "header": {"moov": "init"},
    "between": {"styp": "between", "sidx": "between", "prft": "between", "emsg": "between", "moof": "data"},
    "data": {"mdat": "segment"},
}
DROPPED = frozenset({"free", "skip", "mfra"})


@dataclass(frozen=True, slots=True)
class Init:
    """The init segment."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """One moof and mdat with what stands in front of them. Times are ticks of the track's timescale."""

    data: bytes
    decode_time: int
    duration: int
    starts_with_sync: bool
    samples: int


class Splitter:
    """Cuts one stream. `feed` it, then `close` it; BadMedia says the stream is not what we package."""

    def __init__(self, limit: int = SEGMENT_LIMIT) -> None:
        self._limit = limit
        self._held = bytearray()  # the piece being collected, from its first byte
        self._done = 0  # bytes of it that are whole boxes
        self._moof: Box | None = None  # where it lies in what is held
        self._state = "start"
        self._defaults: dict[int, Defaults] = {}
        self._decode_time = -1  # of the segment before

    def feed(self, data: Data) -> list[Init | Segment]:
        """The pieces these bytes complete, in order. BadMedia for a box out of place, too large or wrong."""
        self._held += data
        found: list[Init | Segment] = []
        while (header := read_header(self._held, self._done)) is not None:
            size = self._checked_size(header)
            if len(self._held) < self._done + size:
                break
            self._take_box(header, size)
            if self._state == "init":
                found.append(self._init())
            elif self._state == "segment":
                found.append(self._segment())
        return found

    def close(self) -> None:
        """Says that no more bytes come. BadMedia when a piece is cut, or there was no init segment."""
        if self._held:
            raise BadMedia(f"the stream ends inside a segment, {len(self._held)} bytes into it")
        if self._state != "between":
            raise BadMedia("the stream ends before its init segment")

    def _checked_size(self, header: Header) -> int:
        if header.type not in DROPPED and header.type not in NEXT[self._state]:
            raise BadMedia(f"box {header.type!r} may not come here ({self._state})")
        if header.size is None:
            raise BadMedia(f"box {header.type!r} has no size")
        if self._done + header.size > self._limit:
            raise BadMedia(f"a segment of more than {self._limit} bytes")
        return header.size

    def _take_box(self, header: Header, size: int) -> None:
        if header.type in DROPPED:
            del self._held[self._done : self._done + size]
            return
        if header.type == "moof":
            self._moof = Box("moof", self._done, self._done + header.length, self._done + size)
        self._done += size
        self._state = NEXT[self._state][header.type]

    def _take_piece(self) -> bytes:
        with memoryview(self._held) as held:
            piece = bytes(held[: self._done])
        del self._held[: self._done]
        self._done = 0
        self._state = "between"
        return piece

    def _init(self) -> Init:
        init = Init(self._take_piece())
        self._defaults = track_defaults(init.data)
        return init

    def _segment(self) -> Segment:
        data = self._take_piece()
        fragment = read_fragment(data, self._defaults, at=self._moof)
        if fragment.decode_time <= self._decode_time:
            raise BadMedia(f"decode time {fragment.decode_time} comes after {self._decode_time}")
        self._decode_time = fragment.decode_time
        return Segment(
            data, fragment.decode_time, fragment.duration, fragment.starts_with_sync, fragment.samples
        )
