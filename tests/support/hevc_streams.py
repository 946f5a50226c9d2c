"""H.265 streams made up of parameter sets and slice headers with every syntax element there is, at random.

Written from the syntax tables of ITU-T H.265 §7.3, apart from the reader: two who agree have both read them.
"""

import math
import random
from typing import Any

from tests.support.bit_writer import Writer, escaped

B, P, I = range(3)  # noqa: E741
Set = dict[int, bool]  # a reference picture set: difference of picture order → used


def header(kind: int) -> bytes:
    """A NAL unit header of layer 0, temporal layer 0."""
    return bytes((kind << 1, 1))


def bits_for(count: int) -> int:
    """Ceil(Log2(count))."""
    return math.ceil(math.log2(count))


class HevcStream:
    """NAL units, and how long each slice's header is: NAL header included, without emulation prevention."""

    def __init__(self, pick: random.Random) -> None:
        self._pick = pick
        self.nals: list[bytes] = []
        self.headers: list[int] = []
        self._video()
        self._sequences = [self._sequence(number) for number in pick.sample(range(16), 2)]
        self._pictures = [self._picture(number) for number in pick.sample(range(64), 3)]
        for _ in range(4):
            self._slice(pick.choice(self._pictures))

    def _bit(self) -> int:
        return self._pick.getrandbits(1)

    def _add(self, w: Writer) -> None:
        w.align()
        self.nals.append(escaped(w.data()))

    def _profile(self, w: Writer, layers: int) -> None:
        w.u(8, 4), w.u(32, 1 << 27), w.u(48, 0), w.u(8, 93)
        present = [(w.u(1, self._bit()), w.u(1, self._bit())) for _ in range(layers)]
        if layers:
            w.u(2 * (8 - layers), 0)
        for profile, level in present:
            if profile:
                w.u(8, 4), w.u(32, 1 << 27), w.u(48, 0)
            if level:
                w.u(8, 90)

    def _video(self) -> None:
        w = Writer(header(32))
        w.u(4, 0), w.u(2, 3), w.u(6, 0), w.u(3, 2), w.u(1, 1), w.u(16, 0xFFFF)
        self._profile(w, 2)
        w.u(1, 0), w.ue(15), w.ue(2), w.ue(0)
        w.u(6, 0), w.ue(0), w.u(1, 0), w.u(1, 0)
        self._add(w)

    def _sequence(self, number: int) -> dict[str, Any]:
        r, w = self._pick, Writer(header(33))
        s: dict[str, Any] = {"id": number, "separate": 0}
        layers = r.randrange(3)
        w.u(4, 0), w.u(3, layers), w.u(1, 1)
        self._profile(w, layers)
        w.ue(number)
        chroma = w.ue(r.randrange(4))
        if chroma == 3:
            s["separate"] = w.u(1, self._bit())
        s["colours"] = 0 if s["separate"] else chroma
        width, height = w.ue(8 * r.randrange(1, 99)), w.ue(8 * r.randrange(1, 99))
        if w.u(1, self._bit()):
            w.ue(0), w.ue(1), w.ue(0), w.ue(1)
        w.ue(r.randrange(7)), w.ue(r.randrange(7))
        s["order_bits"] = 4 + w.ue(r.randrange(13))
        for _ in range(layers + 1 if w.u(1, self._bit()) else 1):
            w.ue(15), w.ue(2), w.ue(0)
        w.ue(0)
        size = 8 << w.ue(r.randrange(1, 4))
        s["columns"], s["rows"] = math.ceil(width / size), math.ceil(height / size)
        w.ue(0), w.ue(r.randrange(2)), w.ue(r.randrange(2)), w.ue(r.randrange(2))
        if w.u(1, self._bit()) and w.u(1, self._bit()):
            self._scaling_lists(w)
        w.u(1, self._bit())
        s["offsets"] = w.u(1, self._bit())
        if w.u(1, self._bit()):
            w.u(4, 0), w.u(4, 0), w.ue(0), w.ue(0), w.u(1, self._bit())
        s["sets"] = []
        count = w.ue(r.choice((0, 1, 2, 5, 20)))
        for _ in range(count):
            s["sets"].append(self._set(w, s["sets"], count))
        s["long"] = None
        if w.u(1, self._bit()):
            s["long"] = []
            for _ in range(w.ue(r.randrange(5))):
                w.u(s["order_bits"], r.getrandbits(s["order_bits"]))
                s["long"].append(w.u(1, self._bit()))
        s["motion"] = w.u(1, self._bit())
        w.u(1, self._bit()), w.u(1, 0), w.u(1, 0)
        self._add(w)
        return s

    def _scaling_lists(self, w: Writer) -> None:
        for size in range(4):
            for matrix in range(0, 6, 3 if size == 3 else 1):
                if not w.u(1, self._bit()):
                    w.ue(self._pick.randrange(matrix // (3 if size == 3 else 1) + 1))
                    continue
                if size > 1:
                    w.se(self._pick.randint(-7, 99))
                for _ in range(16 if size == 0 else 64):
                    w.se(self._pick.randint(-128, 127))

    def _set(self, w: Writer, known: list[Set], count: int) -> Set:
        r = self._pick
        if known and w.u(1, self._bit()):
            back = 1
            if len(known) == count:
                back = 1 + w.ue(r.randrange(len(known)))
            return self._predicted(w, known[-back])
        found: Set = {}
        before, after = w.ue(r.randrange(4)), w.ue(r.randrange(4))
        for sign, number in ((-1, before), (1, after)):
            order = 0
            for _ in range(number):
                order += sign * (1 + w.ue(r.randrange(3)))
                found[order] = bool(w.u(1, self._bit()))
        return found

    def _predicted(self, w: Writer, base: Set) -> Set:
        r = self._pick
        negative, size = w.u(1, self._bit()), 1 + w.ue(r.randrange(3))
        step = -size if negative else size
        before = sorted((order for order in base if order < 0), reverse=True)
        found: Set = {}
        for order in [*before, *sorted(order for order in base if order > 0), 0]:
            room = len(found) < 8
            used = w.u(1, self._bit() if room else 0)
            if (used or w.u(1, self._bit() if room else 0)) and order + step:
                found[order + step] = bool(used)
        return found

    def _picture(self, number: int) -> dict[str, Any]:
        r, w = self._pick, Writer(header(34))
        s = r.choice(self._sequences)
        w.ue(number), w.ue(s["id"])
        p = {**s, "id": number}
        p["dependent"], p["output"], p["extra"] = (
            w.u(1, self._bit()),
            w.u(1, self._bit()),
            w.u(3, r.randrange(3)),
        )
        w.u(1, self._bit())
        p["cabac"] = w.u(1, self._bit())
        p["refs"] = [w.ue(r.randrange(15)) + 1, w.ue(r.randrange(15)) + 1]
        w.se(r.randint(-9, 9)), w.u(1, self._bit())
        skipping = w.u(1, self._bit())
        if w.u(1, self._bit()):
            w.ue(1)
        w.se(r.randint(-12, 12)), w.se(r.randint(-12, 12))
        p["chroma_offsets"], p["weighted"], p["both"] = (
            w.u(1, self._bit()),
            w.u(1, self._bit()),
            w.u(1, self._bit()),
        )
        w.u(1, self._bit())
        tiles, waves = w.u(1, self._bit()), w.u(1, self._bit())
        p["points"] = self._tiles(w, tiles, waves, p)
        p["across"] = w.u(1, self._bit())
        p["override"] = p["off"] = 0
        if w.u(1, self._bit()):
            p["override"], p["off"] = w.u(1, self._bit()), w.u(1, self._bit())
            if not p["off"]:
                w.se(r.randint(-6, 6)), w.se(r.randint(-6, 6))
        if w.u(1, self._bit()):
            self._scaling_lists(w)
        p["modification"] = w.u(1, self._bit())
        w.ue(0)
        p["extension"] = w.u(1, self._bit())
        p["offset_list"] = 0
        if w.u(1, self._bit()):
            ranges = w.u(1, self._bit())
            w.u(7, 0)
            if ranges:
                self._range_extension(w, skipping, p)
        self._add(w)
        return p

    def _tiles(self, w: Writer, tiles: int, waves: int, p: dict[str, Any]) -> int | None:
        """Most entry points a slice may have; None when none are told."""
        columns = rows = 1
        if tiles:
            columns, rows = min(3, p["columns"]), min(3, p["rows"])
            if columns == rows == 1:
                columns, rows = 1, 1
            w.ue(columns - 1), w.ue(rows - 1)
            if not w.u(1, self._bit()):
                for _ in range(columns - 1 + rows - 1):
                    w.ue(0)
            w.u(1, self._bit())
        if not tiles and not waves:
            return None
        return columns * (p["rows"] if waves else rows) - 1

    def _range_extension(self, w: Writer, skipping: int, p: dict[str, Any]) -> None:
        if skipping:
            w.ue(0)
        w.u(1, 0)
        p["offset_list"] = w.u(1, self._bit())
        if p["offset_list"]:
            w.ue(0)
            for _ in range(w.ue(self._pick.randrange(6)) + 1):
                w.se(3), w.se(-3)
        w.ue(0), w.ue(0)

    def _slice(self, p: dict[str, Any]) -> None:
        r = self._pick
        kind = r.choice((0, 1, 6, 9, 16, 18, 19, 20, 21))
        w = Writer(header(kind))
        blocks = p["columns"] * p["rows"]
        first = w.u(1, self._bit() if blocks > 1 else 1)
        if kind >= 16:
            w.u(1, self._bit())
        w.ue(p["id"])
        dependent = 0
        if not first:
            if p["dependent"]:
                dependent = w.u(1, self._bit())
            w.u(bits_for(blocks), r.randrange(blocks))
        if not dependent:
            self._own(w, kind, p)
        if p["points"] is not None and (points := w.ue(r.randrange(min(40, p["points"]) + 1))):
            size = w.ue(r.randrange(32)) + 1
            for _ in range(points):
                w.u(size, r.getrandbits(size) >> r.randrange(size))
        if p["extension"]:
            for _ in range(w.ue(r.choice((0, 1, 5, 256)))):
                w.u(8, r.choice((0, 0, 1, 200)))
        w.align()
        self.headers.append(len(w) // 8)
        self.nals.append(escaped(w.data() + r.randbytes(40) + b"\x80"))

    def _own(self, w: Writer, kind: int, p: dict[str, Any]) -> None:
        r = self._pick
        instant = kind in (19, 20)
        # A picture with references is decided on before the sets are written, by what they may hold.
        w.u(p["extra"], r.getrandbits(p["extra"]) if p["extra"] else 0)
        body = Writer(b"")
        total, motion = 0, 0
        if not instant:
            body.u(p["order_bits"], r.getrandbits(p["order_bits"]))
            total = self._short_term(body, p) + self._long_term(body, p)
            if p["motion"]:
                motion = body.u(1, self._bit())
        slice_type = w.ue(r.randrange(3) if total and kind < 16 else I)
        if p["output"]:
            w.u(1, self._bit())
        if p["separate"]:
            w.u(2, r.randrange(3))
        w.append(body)
        luma = chroma = 0
        if p["offsets"]:
            luma = w.u(1, self._bit())
            if p["colours"]:
                chroma = w.u(1, self._bit())
        if slice_type != I:
            self._prediction(w, slice_type, total, motion, p)
        w.se(r.randint(-9, 9))
        if p["chroma_offsets"]:
            w.se(0), w.se(0)
        if p["offset_list"]:
            w.u(1, self._bit())
        off = p["off"]
        if p["override"] and w.u(1, self._bit()):
            off = w.u(1, self._bit())
            if not off:
                w.se(r.randint(-6, 6)), w.se(r.randint(-6, 6))
        if p["across"] and (luma or chroma or not off):
            w.u(1, self._bit())

    def _short_term(self, w: Writer, p: dict[str, Any]) -> int:
        sets = p["sets"]
        if sets and w.u(1, self._bit()):
            index = self._pick.randrange(len(sets))
            w.u(bits_for(len(sets)), index)
            return sum(sets[index].values())
        if not sets:
            w.u(1, 0)
        return sum(self._set(w, sets, len(sets)).values())

    def _long_term(self, w: Writer, p: dict[str, Any]) -> int:
        if p["long"] is None:
            return 0
        r, listed, used = self._pick, p["long"], 0
        named = w.ue(r.randrange(min(2, len(listed)) + 1)) if listed else 0
        for each in range(named + w.ue(r.randrange(3))):
            if each < named:
                index = r.randrange(len(listed))
                w.u(bits_for(len(listed)), index)
                used += listed[index]
            else:
                w.u(p["order_bits"], r.getrandbits(p["order_bits"]))
                used += w.u(1, self._bit())
            if w.u(1, self._bit()):
                w.ue(0)
        return used

    def _prediction(self, w: Writer, slice_type: int, total: int, motion: int, p: dict[str, Any]) -> None:
        r = self._pick
        lists = 2 if slice_type == B else 1
        counts = p["refs"][:lists]
        if w.u(1, self._bit()):
            counts = [w.ue(r.randrange(15)) + 1 for _ in range(lists)]
        if p["modification"] and total > 1:
            for count in counts:
                if w.u(1, self._bit()):
                    for _ in range(count):
                        w.u(bits_for(total), r.randrange(total))
        if slice_type == B:
            w.u(1, self._bit())
        if p["cabac"]:
            w.u(1, self._bit())
        if motion:
            which = 0
            if slice_type == B:
                which = 1 - w.u(1, self._bit())
            if counts[which] > 1:
                w.ue(r.randrange(counts[which]))
        if (p["weighted"] and slice_type == P) or (p["both"] and slice_type == B):
            self._weights(w, p["colours"], counts)
        w.ue(r.randrange(5))

    def _weights(self, w: Writer, colours: int, counts: list[int]) -> None:
        r = self._pick
        w.ue(3)
        if colours:
            w.se(r.randint(-3, 4))
        for count in counts:
            luma = [w.u(1, self._bit()) for _ in range(count)]
            colour = [w.u(1, self._bit()) if colours else 0 for _ in range(count)]
            for each in range(count):
                if luma[each]:
                    w.se(r.randint(-128, 127)), w.se(r.randint(-128, 127))
                if colour[each]:
                    for _ in range(2):
                        w.se(r.randint(-128, 127)), w.se(r.randint(-99, 99))
