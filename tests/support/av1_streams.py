"""AV1 streams made up of sequence and frame headers with every syntax element there is, at random.

Written from the syntax tables of the AV1 Bitstream Specification §5, apart from the reader: two who agree
have both read them.
"""

import math
import random
from typing import Any

from tests.support.bit_writer import Writer

KEY, INTER, INTRA_ONLY, SWITCH = range(4)
DELIMITER = b"\x12\x00"


def obu(kind: int, payload: bytes) -> bytes:
    """An OBU with its size."""
    size, left = b"", len(payload)
    while True:
        size += bytes([left & 0x7F | (0x80 if left > 0x7F else 0)])
        left >>= 7
        if not left:
            return bytes([kind << 3 | 2]) + size + payload


def log2(block: int, target: int) -> int:
    """§5.9.16 tile_log2."""
    k = 0
    while block << k < target:
        k += 1
    return k


class Av1Stream:
    """Samples, and of each OBU with tiles: bytes of its headers, bytes of a tile's size, tiles."""

    def __init__(self, pick: random.Random, frames: int = 6) -> None:
        self._pick = pick
        self.samples: list[bytes] = []
        self.groups: list[tuple[int, int, int]] = []
        self._slots: list[dict[str, Any]] = [{}] * 8
        sequence = self._sequence()
        for number in range(1 if self._s["reduced"] else frames):
            self.samples.append((b"" if number else sequence) + self._frame(number))

    @property
    def file(self) -> bytes:
        """As a stream of its own, a temporal unit to a sample."""
        return b"".join(DELIMITER + sample for sample in self.samples)

    def _bit(self) -> int:
        return self._pick.getrandbits(1)

    def _any(self, w: Writer, count: int) -> int:
        return w.u(count, self._pick.getrandbits(count) if count else 0)

    def _su(self, w: Writer, size: int) -> int:
        value = self._any(w, size)
        return value - (1 << size) if value >> (size - 1) else value

    def _below(self, w: Writer, count: int, value: int) -> int:
        """ns(count)."""
        size = int(math.log2(count)) + 1
        short = (1 << size) - count
        if value < short:
            w.u(size - 1, value)
        else:
            w.u(size, value + short)
        return value

    def _sequence(self) -> bytes:
        r, w = self._pick, Writer(b"")
        s: dict[str, Any] = {"presentation": 0, "removal": 0, "points": [(0, 0)], "id": 0, "delta_id": 0}
        self._s = s
        profile = w.u(3, r.randrange(3))
        s["reduced"] = r.choice((0, 0, 0, 0, 1))
        w.u(1, s["reduced"]), w.u(1, s["reduced"])  # still_picture, reduced_still_picture_header
        if s["reduced"]:
            w.u(5, 8)
        else:
            self._timing(w, s)
        w.u(4, 9), w.u(4, 9)
        s["width"], s["height"] = w.u(10, r.randrange(15, 1000)) + 1, w.u(10, r.randrange(15, 1000)) + 1
        if not s["reduced"] and w.u(1, self._bit()):
            s["delta_id"] = w.u(4, r.randrange(8)) + 2
            s["id"] = w.u(3, r.randrange(4)) + s["delta_id"] + 1
        s["large"] = w.u(1, self._bit())
        w.u(2, r.randrange(4))
        s["warped"], s["order_bits"], s["motion"], s["screen"], s["integer"] = 0, 0, 0, 2, 2
        if not s["reduced"]:
            w.u(2, r.randrange(4))
            s["warped"] = w.u(1, self._bit())
            w.u(1, self._bit())
            ordered = w.u(1, r.choice((0, 1, 1)))
            if ordered:
                w.u(1, self._bit())
                s["motion"] = w.u(1, self._bit())
            if not w.u(1, self._bit()):
                s["screen"] = w.u(1, self._bit())
            if s["screen"] and not w.u(1, self._bit()):
                s["integer"] = w.u(1, self._bit())
            if ordered:
                s["order_bits"] = w.u(3, r.randrange(2, 8)) + 1
        s["superres"], s["cdef"], s["restoration"] = (
            w.u(1, self._bit()),
            w.u(1, self._bit()),
            w.u(1, self._bit()),
        )
        self._colours(w, s, profile)
        s["grain"] = w.u(1, self._bit())
        w.align()
        return obu(1, w.data())

    def _timing(self, w: Writer, s: dict[str, Any]) -> None:
        r, delay = self._pick, 0
        if w.u(1, self._bit()):
            w.u(32, 1), w.u(32, 25)
            equal = w.u(1, self._bit())
            if equal:
                w.ue(r.randrange(9))
            if w.u(1, self._bit()):
                delay = w.u(5, r.randrange(32)) + 1
                w.u(32, 1)
                s["removal"], presentation = w.u(5, r.randrange(32)) + 1, w.u(5, r.randrange(32)) + 1
                s["presentation"] = 0 if equal else presentation
        display = w.u(1, self._bit())
        s["points"] = []
        for _ in range(w.u(5, r.randrange(3)) + 1):
            layers = w.u(12, r.choice((0, 0x101, 0x202)))
            if w.u(5, r.choice((4, 9))) > 7:
                w.u(1, self._bit())
            model = w.u(1, self._bit()) if s["removal"] else 0
            if model:
                self._any(w, delay), self._any(w, delay), w.u(1, 0)
            if display and w.u(1, self._bit()):
                w.u(4, 3)
            s["points"].append((layers, model))

    def _colours(self, w: Writer, s: dict[str, Any], profile: int) -> None:
        s["planes"], s["across"], s["down"], s["apart"] = 3, 1, 1, 0
        high = w.u(1, self._bit())
        twelve = w.u(1, self._bit()) if profile == 2 and high else 0
        mono = w.u(1, self._bit()) if profile != 1 else 0
        rgb = 0
        if w.u(1, self._bit()):
            rgb = int(profile == 1 and self._bit())
            w.u(8, 1), w.u(8, 13 if rgb else 1), w.u(8, 0 if rgb else 1)
        if mono:
            w.u(1, 0)
            s["planes"] = 1
            return
        if rgb:
            s["across"] = s["down"] = 0
        else:
            w.u(1, 0)
            s["across"], s["down"] = {0: (1, 1), 1: (0, 0), 2: (1, 0)}[profile]
            if twelve:
                s["across"] = w.u(1, self._bit())
                s["down"] = w.u(1, self._bit()) if s["across"] else 0
            if s["across"] and s["down"]:
                w.u(2, 1)
        s["apart"] = w.u(1, self._bit())

    def _frame(self, number: int) -> bytes:
        """The next sample: a frame in one OBU, or in several, or one that is only shown again."""
        r, w = self._pick, Writer(b"")
        if number > 1 and r.randrange(6) == 0:
            return self._shown_again(w)
        kind = KEY if number == 0 else r.choice((KEY, INTER, INTER, INTER, INTRA_ONLY, SWITCH))
        frame = self._header(w, number, kind)
        tiles, bits, size_bytes = frame["tiles"]
        for slot in range(8):
            if frame["refreshed"] >> slot & 1:
                self._slots[slot] = frame
        if self._bit():
            return self._one_unit(w, tiles, size_bytes)
        trailing = Writer(b"")
        trailing.append(w)
        trailing.align()
        header = trailing.data()
        out = obu(3, header) + obu(7, header) * self._bit()
        first = 0
        while first < tiles:
            last = r.randrange(first, tiles)
            group = Writer(b"")
            if tiles > 1:
                whole = first == 0 and last == tiles - 1
                if group.u(1, 0 if whole and self._bit() else 1):
                    group.u(bits, first), group.u(bits, last)
                group.u(-len(group) % 8, 0)
            start = group.data() if len(group) else b""
            body = self._tiles(last - first + 1, size_bytes)
            unit = obu(4, start + body)
            self.groups.append((len(unit) - len(body), size_bytes, last - first + 1))
            out += unit
            first = last + 1
        return out

    def _one_unit(self, w: Writer, tiles: int, size_bytes: int) -> bytes:
        w.u(-len(w) % 8, 0)
        if tiles > 1:
            w.u(8, 0)
        body = self._tiles(tiles, size_bytes)
        unit = obu(6, w.data() + body)
        self.groups.append((len(unit) - len(body), size_bytes, tiles))
        return unit

    def _tiles(self, count: int, size_bytes: int) -> bytes:
        out = b""
        for tile in range(count):
            data = self._pick.randbytes(self._pick.randrange(1, 40))
            out += (len(data) - 1).to_bytes(size_bytes, "little") + data if tile < count - 1 else data
        return out

    def _shown_again(self, w: Writer) -> bytes:
        s = self._s
        number = self._pick.randrange(8)
        shown = self._slots[number]
        w.u(1, 1), w.u(3, number)
        self._any(w, s["presentation"])
        if s["id"]:
            w.u(s["id"], shown["frame_id"])
        if shown["kind"] == KEY:
            self._slots = [shown] * 8
        w.align()
        return obu(3, w.data())

    def _header(self, w: Writer, number: int, kind: int) -> dict[str, Any]:
        r, s = self._pick, self._s
        f: dict[str, Any] = {"kind": kind, "shown": 1, "showable": 0, "resilient": 1, "sized": 0}
        if not s["reduced"]:
            w.u(1, 0), w.u(2, kind)
            f["shown"] = w.u(1, 1 if number == 0 else self._bit())
            if f["shown"]:
                self._any(w, s["presentation"])
                f["showable"] = int(kind != KEY)
            else:
                f["showable"] = w.u(1, self._bit())
            if not (kind == SWITCH or (kind == KEY and f["shown"])):
                f["resilient"] = w.u(1, self._bit())
        intra = kind in (KEY, INTRA_ONLY)
        fixed = w.u(1, self._bit())
        screen = w.u(1, self._bit()) if s["screen"] == 2 else s["screen"]
        integer = 0
        if screen:
            integer = w.u(1, self._bit()) if s["integer"] == 2 else s["integer"]
        f["frame_id"] = self._any(w, s["id"])
        f["sized"] = 1 if kind == SWITCH else 0 if s["reduced"] else w.u(1, self._bit())
        f["order"] = self._any(w, s["order_bits"])
        primary = 7
        if not intra and not f["resilient"]:
            primary = w.u(3, r.randrange(8))
        if s["removal"] and w.u(1, self._bit()):
            for layers, model in s["points"]:
                if model and (layers == 0 or (layers & 1 and layers >> 8 & 1)):
                    self._any(w, s["removal"])
        f["refreshed"] = 255
        if not (kind == SWITCH or (kind == KEY and f["shown"])):
            f["refreshed"] = w.u(8, r.randrange(255))
        if (not intra or f["refreshed"] != 255) and f["resilient"] and s["order_bits"]:
            for slot in self._slots:
                w.u(s["order_bits"], slot["order"])
        copy, precise = 0, 0
        named: list[int] = []
        if intra:
            self._size(w, f)
            self._render(w)
            if screen and f["width"] == f["upscaled"]:
                copy = w.u(1, self._bit())
        else:
            named, precise = self._inter(w, f, integer)
        if not (s["reduced"] or fixed):
            w.u(1, self._bit())
        f["tiles"] = self._tile_info(w, f)
        before = self._slots[named[primary]]["segments"] if primary != 7 else None
        self._rest(w, f, copy, precise, named, before)
        return f

    def _size(self, w: Writer, f: dict[str, Any]) -> None:
        s = self._s
        f["upscaled"], f["height"] = s["width"], s["height"]
        if f["sized"]:
            f["upscaled"] = w.u(10, self._pick.randrange(15, s["width"])) + 1
            f["height"] = w.u(10, self._pick.randrange(15, s["height"])) + 1
        self._superres(w, f)

    def _superres(self, w: Writer, f: dict[str, Any]) -> None:
        f["width"] = f["upscaled"]
        if self._s["superres"] and w.u(1, self._bit()):
            by = w.u(3, self._pick.randrange(8)) + 9
            f["width"] = (f["upscaled"] * 8 + by // 2) // by

    def _render(self, w: Writer) -> None:
        if w.u(1, self._bit()):
            w.u(16, 99), w.u(16, 77)

    def _inter(self, w: Writer, f: dict[str, Any], integer: int) -> tuple[list[int], int]:
        r, s = self._pick, self._s
        named = []
        if s["order_bits"] and w.u(1, r.choice((0, 0, 1))):
            named = self._short_signalled(w.u(3, r.randrange(8)), w.u(3, r.randrange(8)), f["order"])
        short = bool(named)
        for _ in range(7):
            if not short:
                named.append(w.u(3, r.randrange(8)))
            self._any(w, s["delta_id"])
        if f["sized"] and not f["resilient"]:
            for each in named:
                if w.u(1, r.choice((0, 0, 0, 1))):
                    f["upscaled"], f["height"] = self._slots[each]["upscaled"], self._slots[each]["height"]
                    self._superres(w, f)
                    break
            else:
                self._size(w, f)
                self._render(w)
        else:
            self._size(w, f)
            self._render(w)
        precise = 0 if integer else w.u(1, self._bit())
        if not w.u(1, self._bit()):
            w.u(2, r.randrange(4))
        w.u(1, self._bit())
        if s["motion"] and not f["resilient"]:
            w.u(1, self._bit())
        return named, precise

    def _short_signalled(self, last: int, golden: int, order: int) -> list[int]:
        """§7.8, step by step as it is written there."""
        now = 1 << (self._s["order_bits"] - 1)
        hints = [now + self._distance(slot["order"], order) for slot in self._slots]
        used, named = {last, golden}, [last, -1, -1, golden, -1, -1, -1]

        def find(place: int, backward: bool, latest: bool) -> None:
            ref, best = -1, 0
            for slot, hint in enumerate(hints):
                if slot in used or (hint >= now) != backward:
                    continue
                if ref < 0 or (hint >= best if latest else hint < best):
                    ref, best = slot, hint
            if ref >= 0:
                named[place] = ref
                used.add(ref)

        find(6, backward=True, latest=True)
        find(4, backward=True, latest=False)
        find(5, backward=True, latest=False)
        for place in (1, 2, 4, 5, 6):
            if named[place] < 0:
                find(place, backward=False, latest=True)
        first = hints.index(min(hints))
        return [first if each < 0 else each for each in named]

    def _distance(self, a: int, b: int) -> int:
        """§5.9.3 get_relative_dist()."""
        m: int = 1 << (self._s["order_bits"] - 1)
        return ((a - b) & (m - 1)) - ((a - b) & m)

    def _tile_info(self, w: Writer, f: dict[str, Any]) -> tuple[int, int, int]:
        """Tiles, bits of a tile's number, bytes of a tile's size."""
        r, s = self._pick, self._s
        step = 32 if s["large"] else 16
        columns = math.ceil(2 * ((f["width"] + 7) // 8) / step)
        rows = math.ceil(2 * ((f["height"] + 7) // 8) / step)
        widest, area = 4096 // (4 * step), 4096 * 2304 // (4 * step) ** 2
        least = max(log2(widest, columns), log2(area, rows * columns))
        if w.u(1, self._bit()):
            across = self._grown(w, log2(widest, columns), log2(1, min(columns, 64)))
            down = self._grown(w, max(least - across, 0), log2(1, min(rows, 64)))
            count = 1
            for blocks, exponent in ((columns, across), (rows, down)):
                size = (blocks + 2**exponent - 1) // 2**exponent
                count *= math.ceil(blocks / size)
        else:
            wide = self._cut(w, columns, widest)
            room = (rows * columns) >> (least + 1) if least else rows * columns
            high = self._cut(w, rows, max(room // max(wide), 1))
            across, down, count = log2(1, len(wide)), log2(1, len(high)), len(wide) * len(high)
        if not across and not down:
            return count, 0, 0
        w.u(across + down, r.randrange(count))
        return count, across + down, w.u(2, r.randrange(4)) + 1

    def _grown(self, w: Writer, at: int, most: int) -> int:
        while at < most:
            if not w.u(1, self._bit()):
                break
            at += 1
        return at

    def _cut(self, w: Writer, blocks: int, most: int) -> list[int]:
        sizes = []
        while blocks:
            room = min(blocks, most)
            sizes.append(self._below(w, room, self._pick.randrange(room)) + 1)
            blocks -= sizes[-1]
        return sizes

    def _rest(
        self, w: Writer, f: dict[str, Any], copy: int, precise: int, named: list[int], before: Any
    ) -> None:
        r, s, intra = self._pick, self._s, f["kind"] in (KEY, INTRA_ONLY)
        base = w.u(8, r.choice((0, 0, 5, 200)))
        deltas = [self._delta(w)]
        if s["planes"] > 1:
            apart = w.u(1, self._bit()) if s["apart"] else 0
            deltas += [self._delta(w) for _ in range(4 if apart else 2)]
        if w.u(1, self._bit()):
            w.u(4, 1), w.u(4, 2)
            if s["apart"]:
                w.u(4, 3)
        f["segments"] = self._segments(w, before)
        if base and w.u(1, self._bit()):
            w.u(2, 1)
            if not copy and w.u(1, self._bit()):
                w.u(2, 1), w.u(1, self._bit())
        quantizers = [min(255, max(0, base + each)) for each in f["segments"]]
        lossless = not any(quantizers) and not any(deltas)
        if not lossless and not copy:
            levels = w.u(6, r.choice((0, 9))), w.u(6, r.choice((0, 9)))
            if s["planes"] > 1 and any(levels):
                w.u(6, 1), w.u(6, 2)
            w.u(3, 0)
            if w.u(1, self._bit()) and w.u(1, self._bit()):
                for _ in range(10):
                    self._delta(w)
            if s["cdef"]:
                w.u(2, 1)
                for _ in range(1 << w.u(2, r.randrange(4))):
                    self._any(w, 6 if s["planes"] == 1 else 12)
        if not (lossless and f["width"] == f["upscaled"]) and not copy and s["restoration"]:
            self._restore(w)
        if not lossless:
            w.u(1, self._bit())
        select = 0 if intra else w.u(1, self._bit())
        if select and s["order_bits"] and self._both_sides(f, named):
            w.u(1, self._bit())
        if not intra and not f["resilient"] and s["warped"]:
            w.u(1, self._bit())
        w.u(1, self._bit())
        if not intra:
            for _ in range(7):
                self._motion(w, precise)
        if s["grain"] and (f["shown"] or f["showable"]):
            self._grain(w, f["kind"], named)

    def _delta(self, w: Writer) -> int:
        return self._su(w, 7) if w.u(1, self._pick.choice((0, 0, 1))) else 0

    def _segments(self, w: Writer, before: Any) -> list[int]:
        if not w.u(1, self._bit()):
            return [0] * 8
        if before is not None:
            if w.u(1, self._bit()):
                w.u(1, self._bit())
            if not w.u(1, self._bit()):
                return list(before)
        found = []
        for _ in range(8):
            quantizer = 0
            for feature, size in enumerate((8, 6, 6, 6, 6, 3, 0, 0)):
                if w.u(1, self._pick.choice((0, 0, 1))):
                    value = self._su(w, size + 1) if feature < 5 else self._any(w, size)
                    quantizer = value if feature == 0 else quantizer
            found.append(quantizer)
        return found

    def _restore(self, w: Writer) -> None:
        s = self._s
        used = [w.u(2, self._pick.randrange(3)) for _ in range(s["planes"])]
        if any(used):
            if s["large"] or w.u(1, self._bit()):
                w.u(1, self._bit())
            if s["across"] and s["down"] and any(used[1:]):
                w.u(1, self._bit())

    def _both_sides(self, f: dict[str, Any], named: list[int]) -> bool:
        """skipModeAllowed, step by step as §5.9.22 has it."""
        distance = self._distance
        forward = backward = None
        for each in named:
            hint = self._slots[each]["order"]
            if distance(hint, f["order"]) < 0:
                if forward is None or distance(hint, forward) > 0:
                    forward = hint
            elif distance(hint, f["order"]) > 0 and (backward is None or distance(hint, backward) < 0):
                backward = hint
        if forward is None:
            return False
        if backward is not None:
            return True
        return any(distance(self._slots[each]["order"], forward) < 0 for each in named)

    def _motion(self, w: Writer, precise: int) -> None:
        if not w.u(1, self._bit()):
            return
        zoom = w.u(1, self._bit())
        translation = 0 if zoom else w.u(1, self._bit())
        if not translation:
            for _ in range(2 if zoom else 4):
                self._subexp(w, 12)
        for _ in range(2):
            self._subexp(w, 9 - (1 - precise) if translation else 12)

    def _subexp(self, w: Writer, absolute: int) -> None:
        symbols = 2 * (1 << absolute) + 1
        i = skipped = 0
        while True:
            b = 3 + i - 1 if i else 3
            if symbols <= skipped + 3 * (1 << b):
                self._below(w, symbols - skipped, self._pick.randrange(symbols - skipped))
                return
            if not w.u(1, self._pick.choice((0, 1, 1))):
                self._any(w, b)
                return
            i, skipped = i + 1, skipped + (1 << b)

    def _grain(self, w: Writer, kind: int, named: list[int]) -> None:
        r, s = self._pick, self._s
        if not w.u(1, self._bit()):
            return
        w.u(16, 7)
        if kind == INTER and not w.u(1, self._bit()):
            w.u(3, named[0])
            return
        luma = self._points(w, 15)
        from_luma = w.u(1, self._bit()) if s["planes"] > 1 else 0
        blue = red = 0
        if s["planes"] > 1 and not from_luma and not (s["across"] and s["down"] and not luma):
            blue, red = self._points(w, 11), self._points(w, 11)
        w.u(2, 1)
        lag = w.u(2, r.randrange(4))
        count = 2 * lag * (lag + 1)
        for _ in range(count if luma else 0):
            self._any(w, 8)
        for points in (blue, red):
            for _ in range(count + (luma > 0) if from_luma or points else 0):
                self._any(w, 8)
        w.u(2, 1), w.u(2, 1)
        for points in (blue, red):
            if points:
                self._any(w, 25)
        w.u(1, 0), w.u(1, 1)

    def _points(self, w: Writer, limit: int) -> int:
        count = w.u(4, self._pick.randrange(limit))
        for number in range(count):
            w.u(8, 10 * number + 3), self._any(w, 8)
        return count
