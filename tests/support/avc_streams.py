"""H.264 streams made up of parameter sets and slice headers with every syntax element there is, at random.

Written from the syntax tables of ITU-T H.264 §7.3, apart from the reader: two who agree have both read them.
"""

import math
import random

from tests.support.bit_writer import Writer, escaped

P, B, I, SP, SI = range(5)  # noqa: E741


class AvcStream:
    """NAL units, and how long each slice's header is: NAL header included, without emulation prevention."""

    def __init__(self, pick: random.Random) -> None:
        self._pick = pick
        self.nals: list[bytes] = []
        self.headers: list[int] = []
        self._sequences = [self._sequence(number) for number in pick.sample(range(32), 2)]
        self._pictures = [self._picture(n) for n in pick.sample(range(256), 3)]
        for _ in range(4):
            self._slice(random_of(pick, self._pictures))

    def _bit(self) -> int:
        return self._pick.getrandbits(1)

    def _add(self, w: Writer) -> None:
        w.align()
        self.nals.append(escaped(w.data()))

    def _sequence(self, number: int) -> dict[str, int]:
        r, w = self._pick, Writer(b"\x67")
        s = {"id": number, "chroma": 1, "separate": 0, "always_zero": 0, "order_bits": 0}
        profile = w.u(8, r.choice((66, 77, 88, 100, 122, 244)))
        w.u(8, 0), w.u(8, 40), w.ue(number)
        if profile >= 100:
            s["chroma"] = w.ue(r.randrange(4))
            if s["chroma"] == 3:
                s["separate"] = w.u(1, self._bit())
            w.ue(r.randrange(7)), w.ue(r.randrange(7)), w.u(1, 0)
            if w.u(1, self._bit()):
                for each in range(8 if s["chroma"] != 3 else 12):
                    if w.u(1, self._bit()):
                        self._scaling_list(w, 16 if each < 6 else 64)
        s["frame_num_bits"] = 4 + w.ue(r.randrange(13))
        s["order_type"] = w.ue(r.randrange(3))
        if s["order_type"] == 0:
            s["order_bits"] = 4 + w.ue(r.randrange(13))
        if s["order_type"] == 1:
            s["always_zero"] = w.u(1, self._bit())
            w.se(r.randint(-9, 9)), w.se(r.randint(-9, 9))
            for _ in range(w.ue(r.randrange(5))):
                w.se(r.randint(-99, 99))
        w.ue(r.randrange(2, 17)), w.u(1, self._bit())  # max_num_ref_frames
        s["units"] = (w.ue(r.randrange(1, 20)) + 1) * (w.ue(r.randrange(1, 20)) + 1)
        s["frames_only"] = w.u(1, self._bit())
        if not s["frames_only"]:
            w.u(1, self._bit())
        w.u(1, 1), w.u(1, 0), w.u(1, 0)  # direct_8x8_inference, no cropping, no VUI
        self._add(w)
        s["colours"] = 0 if s["separate"] else s["chroma"]
        return s

    def _scaling_list(self, w: Writer, size: int) -> None:
        last = following = 8
        for _ in range(size):
            if following:
                following = (last + w.se(self._pick.choice((-last, -1, 0, 1, 7)) if last < 120 else -3)) % 256
            last = following or last

    def _picture(self, number: int) -> dict[str, int]:
        r, w = self._pick, Writer(b"\x68")
        s = random_of(r, self._sequences)
        w.ue(number), w.ue(s["id"])
        p = {**s, "id": number, "cabac": w.u(1, self._bit()), "field_order": w.u(1, self._bit()), "rate": 0}
        groups = w.ue(r.choice((0, 0, 1, 2, 3, 7))) + 1
        if groups > 1:
            self._groups(w, groups, p)
        p["l0"], p["l1"] = w.ue(r.randrange(32)) + 1, w.ue(r.randrange(32)) + 1
        p["weighted"], p["both"] = w.u(1, self._bit()), w.u(2, r.randrange(3))
        w.se(r.randint(-20, 20)), w.se(r.randint(-20, 20)), w.se(r.randint(-12, 12))
        p["deblocking"] = w.u(1, self._bit())
        w.u(1, self._bit())
        p["redundant"] = w.u(1, self._bit())
        if self._bit():
            w.u(1, self._bit()), w.u(1, 0), w.se(r.randint(-12, 12))
        self._add(w)
        return p

    def _groups(self, w: Writer, groups: int, p: dict[str, int]) -> None:
        r = self._pick
        kind = w.ue(r.randrange(7))
        if kind == 0:
            for _ in range(groups):
                w.ue(r.randrange(p["units"]))
        elif kind == 2:
            for _ in range(groups - 1):
                top = w.ue(r.randrange(p["units"]))
                w.ue(r.randrange(top, p["units"]))
        elif kind in (3, 4, 5):
            w.u(1, self._bit())
            p["rate"] = w.ue(r.randrange(p["units"])) + 1
        elif kind == 6:
            for _ in range(w.ue(p["units"] - 1) + 1):
                w.u(math.ceil(math.log2(groups)), r.randrange(groups))

    def _slice(self, p: dict[str, int]) -> None:
        r = self._pick
        kind, idr, reference = r.randrange(5), 0, r.randrange(4)
        if kind in (I, SI) and self._bit():
            idr, reference = 1, r.randrange(1, 4)
        w = Writer(bytes((reference << 5 | (5 if idr else 1),)))
        w.ue(r.randrange(p["units"])), w.ue(kind + 5 * self._bit()), w.ue(p["id"])
        if p["separate"]:
            w.u(2, r.randrange(3))
        w.u(p["frame_num_bits"], 0 if idr else r.getrandbits(p["frame_num_bits"]))
        field = 0
        if not p["frames_only"]:
            field = w.u(1, self._bit())
            if field:
                w.u(1, self._bit())
        if idr:
            w.ue(r.randrange(65536))
        if p["order_type"] == 0:
            w.u(p["order_bits"], r.getrandbits(p["order_bits"]))
            if p["field_order"] and not field:
                w.se(r.randint(-9, 9))
        elif p["order_type"] == 1 and not p["always_zero"]:
            w.se(r.randint(-9, 9))
            if p["field_order"] and not field:
                w.se(r.randint(-9, 9))
        if p["redundant"]:
            w.ue(r.randrange(128))
        if kind == B:
            w.u(1, self._bit())
        counts = self._references(w, kind, p)
        for _ in counts:
            self._modification(w)
        if (p["weighted"] and kind in (P, SP)) or (p["both"] == 1 and kind == B):
            self._weights(w, p["colours"], counts)
        if reference:
            self._marking(w, idr)
        if p["cabac"] and kind not in (I, SI):
            w.ue(r.randrange(3))
        w.se(r.randint(-10, 10))
        if kind in (SP, SI):
            if kind == SP:
                w.u(1, self._bit())
            w.se(r.randint(-10, 10))
        if p["deblocking"] and w.ue(r.randrange(3)) != 1:
            w.se(r.randint(-6, 6)), w.se(r.randint(-6, 6))
        if p["rate"]:
            most = math.ceil(p["units"] / p["rate"])
            w.u(math.ceil(math.log2(p["units"] / p["rate"] + 1)), r.randrange(most + 1))
        self.headers.append((len(w) + 7) // 8)
        self.nals.append(escaped(w.data() + r.randbytes(40) + b"\x80"))

    def _references(self, w: Writer, kind: int, p: dict[str, int]) -> list[int]:
        if kind in (I, SI):
            return []
        lists = ["l0", "l1"][: 2 if kind == B else 1]
        if w.u(1, self._bit()):
            return [w.ue(self._pick.randrange(32)) + 1 for _ in lists]
        return [p[name] for name in lists]

    def _modification(self, w: Writer) -> None:
        if w.u(1, self._bit()):
            for _ in range(self._pick.randrange(4)):
                w.ue(self._pick.randrange(3)), w.ue(self._pick.randrange(2))
            w.ue(3)

    def _weights(self, w: Writer, colours: int, counts: list[int]) -> None:
        r = self._pick
        w.ue(r.randrange(8))
        if colours:
            w.ue(r.randrange(8))
        for count in counts:
            for _ in range(count):
                if w.u(1, self._bit()):
                    w.se(r.randint(-128, 127)), w.se(r.randint(-128, 127))
                if colours and w.u(1, self._bit()):
                    for _ in range(4):
                        w.se(r.randint(-128, 127))

    def _marking(self, w: Writer, idr: int) -> None:
        r = self._pick
        if idr:
            w.u(1, self._bit()), w.u(1, self._bit())
        elif w.u(1, self._bit()):
            for _ in range(r.randrange(4)):
                operation = w.ue(r.randrange(1, 7))
                if operation in (1, 3):
                    w.ue(r.randrange(2))
                if operation == 2:
                    w.ue(r.randrange(2))
                if operation in (3, 6):
                    w.ue(r.randrange(2))
                if operation == 4:
                    w.ue(r.randrange(2))
            w.ue(0)


def random_of(pick: random.Random, rows: list[dict[str, int]]) -> dict[str, int]:
    """One of the rows."""
    return pick.choice(rows)
