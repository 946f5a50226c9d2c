"""The frame header of AV1 (AV1 Bitstream Specification §5.9.2 uncompressed_header()): where the tiles begin.

Every syntax element is stepped over. Frame headers depend on the frames before: sizes, order hints, types and
segments' quantizers of the eight reference slots are kept (§7.20). Short signalling of references is refused;
no encoder we know writes it.
"""

from dataclasses import dataclass, field, replace

from origin.media import av1_params as params
from origin.media.av1_params import Quantizers, Tiles
from origin.media.av1_sequence import SELECT, Sequence
from origin.media.bits import BadSyntax, Bits

KEY, INTER, INTRA_ONLY, SWITCH = range(4)  # frame_type
SLOTS, REFERENCES, NO_PRIMARY, ALL_SLOTS = 8, 7, 7, 0xFF


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a frame in pixels."""

    upscaled: int  # width
    width: int  # as coded
    height: int


@dataclass(frozen=True, slots=True)
class Reference:
    """What later frame headers depend on."""

    kind: int  # frame_type
    order: int  # OrderHint
    size: Size
    segments: Quantizers


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame header. `tiles` is None where a frame is only shown again."""

    tiles: Tiles | None
    refreshed: int  # slots it goes into once it is decoded, a bit each
    reference: Reference


@dataclass(slots=True)
class _Head:
    """What of a header its later parts need."""

    kind: int = KEY
    shown: bool = True
    showable: bool = False
    resilient: bool = True
    fixed: bool = False  # disable_cdf_update
    screen: bool = False  # allow_screen_content_tools
    integer: bool = False  # force_integer_mv
    sized: bool = False  # frame_size_override_flag
    order: int = 0
    primary: int = NO_PRIMARY
    refreshed: int = ALL_SLOTS
    block_copy: bool = False  # allow_intrabc
    precise: bool = False  # allow_high_precision_mv
    named: list[int] = field(default_factory=list)  # ref_frame_idx[]

    @property
    def intra(self) -> bool:
        return self.kind in (KEY, INTRA_ONLY)


class Frames:
    """Reads the frame headers of one stream in order."""

    def __init__(self) -> None:
        self._slots: list[Reference | None] = [None] * SLOTS

    def header(self, bits: Bits, sequence: Sequence, temporal: int, spatial: int) -> Frame:
        """The next frame header. `temporal`, `spatial`: the OBU's layers. BadSyntax."""
        if not sequence.reduced and bits.flag():  # show_existing_frame
            return self._existing(bits, sequence)
        head = self._first_part(bits, sequence, temporal, spatial)
        if head.intra:
            size = _frame_size(bits, sequence, head.sized)
            _render_size(bits)
            head.block_copy = head.screen and size.upscaled == size.width and bits.flag()
        else:
            size = self._inter(bits, sequence, head)
        if not (sequence.reduced or head.fixed):
            bits.skip(1)  # disable_frame_end_update_cdf
        tiles, segments = self._second_part(bits, sequence, head, size)
        return Frame(tiles, head.refreshed, Reference(head.kind, head.order, size, segments))

    def decoded(self, frame: Frame) -> None:
        """Puts a frame that is complete into its slots (§7.20)."""
        for slot in range(SLOTS):
            if frame.refreshed >> slot & 1:
                self._slots[slot] = frame.reference

    def _slot(self, number: int) -> Reference:
        found = self._slots[number]
        if found is None:
            raise BadSyntax("an AV1 frame refers to one that is not there")
        return found

    def _existing(self, bits: Bits, sequence: Sequence) -> Frame:
        shown = self._slot(bits.u(3))
        bits.skip(sequence.presentation_bits + sequence.id_bits)
        return Frame(None, ALL_SLOTS if shown.kind == KEY else 0, shown)

    def _first_part(self, bits: Bits, sequence: Sequence, temporal: int, spatial: int) -> _Head:
        """Up to the frame's size or references."""
        head = _Head()
        if not sequence.reduced:
            head.kind, head.shown = bits.u(2), bits.flag()
            bits.skip(sequence.presentation_bits * head.shown)
            head.showable = head.kind != KEY if head.shown else bits.flag()
            fresh = head.kind == SWITCH or (head.kind == KEY and head.shown)
            head.resilient = fresh or bits.flag()
        head.fixed = bits.flag()
        tools = sequence.screen_tools
        head.screen = bits.flag() if tools == SELECT else tools == 1
        if head.screen:
            integer = sequence.integer_motion
            head.integer = bits.flag() if integer == SELECT else integer == 1
        bits.skip(sequence.id_bits)  # current_frame_id
        head.sized = head.kind == SWITCH or (not sequence.reduced and bits.flag())
        head.order = bits.u(sequence.order_bits)
        if not (head.intra or head.resilient):
            head.primary = bits.u(3)
        if sequence.removal_bits and bits.flag():
            _removal_times(bits, sequence, temporal, spatial)
        if head.kind != SWITCH and not (head.kind == KEY and head.shown):
            head.refreshed = bits.u(8)
        if (not head.intra or head.refreshed != ALL_SLOTS) and head.resilient and sequence.order_bits:
            self._order_hints(bits, sequence)
        return head

    def _order_hints(self, bits: Bits, sequence: Sequence) -> None:
        """ref_order_hint[]: a slot of another order is one that was lost."""
        for slot, known in enumerate(self._slots):
            order = bits.u(sequence.order_bits)
            if known is not None and known.order != order:
                self._slots[slot] = replace(known, order=order)

    def _inter(self, bits: Bits, sequence: Sequence, head: _Head) -> Size:
        """References, size and motion of a frame that is predicted from others."""
        if sequence.order_bits and bits.flag():  # frame_refs_short_signaling
            orders = [self._slot(number).order for number in range(SLOTS)]
            away = [_distance(order, head.order, sequence.order_bits) for order in orders]
            head.named = references(bits.u(3), bits.u(3), away)
            bits.skip(REFERENCES * sequence.delta_id_bits)
        else:
            for _ in range(REFERENCES):
                head.named.append(bits.u(3))
                bits.skip(sequence.delta_id_bits)
        if head.sized and not head.resilient:
            size = self._size_of_reference(bits, sequence, head)
        else:
            size = _frame_size(bits, sequence, head.sized)
            _render_size(bits)
        head.precise = not head.integer and bits.flag()
        if not bits.flag():  # is_filter_switchable
            bits.skip(2)
        bits.skip(1)  # is_motion_mode_switchable
        if sequence.motion_fields and not head.resilient:
            bits.skip(1)  # use_ref_frame_mvs
        return size

    def _size_of_reference(self, bits: Bits, sequence: Sequence, head: _Head) -> Size:
        """§5.9.7 frame_size_with_refs()."""
        for number in head.named:
            if bits.flag():  # found_ref
                known = self._slot(number).size
                return _superres(bits, sequence, known.upscaled, known.height)
        size = _frame_size(bits, sequence, sized=True)
        _render_size(bits)
        return size

    def _second_part(
        self, bits: Bits, sequence: Sequence, head: _Head, size: Size
    ) -> tuple[Tiles, Quantizers]:
        """From tile_info() on."""
        blocks = 2 * ((size.width + 7) >> 3), 2 * ((size.height + 7) >> 3)
        tiles = params.tile_info(bits, sequence.large_blocks, *blocks)
        base, unchanged = params.quantization(bits, sequence)
        before = None if head.primary == NO_PRIMARY else self._slot(head.named[head.primary]).segments
        segments = params.segmentation(bits, before)
        params.deltas(bits, base, head.block_copy)
        coded_lossless = params.lossless(base, unchanged, segments)
        if not coded_lossless and not head.block_copy:
            params.loop_filter(bits, sequence.planes)
            if sequence.cdef:
                params.cdef(bits, sequence.planes)
        if (
            not (coded_lossless and size.width == size.upscaled)
            and not head.block_copy
            and sequence.restoration
        ):
            params.restoration(bits, sequence)
        bits.skip(not coded_lossless)  # tx_mode_select
        compound = not head.intra and bits.flag()  # reference_select
        if compound and sequence.order_bits and self._skip_mode(head, sequence):
            bits.skip(1)  # skip_mode_present
        if sequence.warped_motion and not head.intra and not head.resilient:
            bits.skip(1)  # allow_warped_motion
        bits.skip(1)  # reduced_tx_set
        if not head.intra:
            params.global_motion(bits, head.precise)
        if sequence.film_grain and (head.shown or head.showable):
            params.film_grain(bits, sequence, inter=head.kind == INTER)
        return tiles, segments

    def _skip_mode(self, head: _Head, sequence: Sequence) -> bool:
        """§5.9.22 skipModeAllowed: references on both sides, or two different ones before."""
        hints = [self._slot(number).order for number in head.named]
        away = [_distance(hint, head.order, sequence.order_bits) for hint in hints]
        nearest = max((each for each in away if each < 0), default=None)
        if nearest is None:
            return False
        return any(each > 0 or _distance(each, nearest, sequence.order_bits) < 0 for each in away)


def references(last: int, golden: int, away: list[int]) -> list[int]:
    """§7.8 set_frame_refs(): the slots of all references, of which only two were named.

    `away`: how far each slot's order is from the frame's, before it below 0.
    """
    named = {0: last, 3: golden}
    left = [slot for slot in range(SLOTS) if slot not in (last, golden)]

    def name(place: int, slots: list[int], *, latest: bool) -> None:
        """Of equally distant slots the last one is the latest, the first one the earliest."""
        if slots and place not in named:
            key = [(away[slot], slot) for slot in slots]
            named[place] = (max(key) if latest else min(key))[1]
            left.remove(named[place])

    for place in (6, 4, 5):  # ALTREF, BWDREF, ALTREF2
        name(place, [slot for slot in left if away[slot] >= 0], latest=place == 6)
    for place in (1, 2, 4, 5, 6):
        name(place, [slot for slot in left if away[slot] < 0], latest=True)
    earliest = min(range(SLOTS), key=lambda slot: (away[slot], slot))
    return [named.get(place, earliest) for place in range(REFERENCES)]


def _distance(order: int, other: int, bits: int) -> int:
    """§5.9.3 get_relative_dist(): orders wrap around."""
    half = 1 << (bits - 1)
    return ((order - other + half) & (2 * half - 1)) - half


def _removal_times(bits: Bits, sequence: Sequence, temporal: int, spatial: int) -> None:
    for layers, model in sequence.points:
        inside = layers >> temporal & 1 and layers >> (spatial + 8) & 1
        if model and (not layers or inside):
            bits.skip(sequence.removal_bits)


def _frame_size(bits: Bits, sequence: Sequence, sized: bool) -> Size:
    """§5.9.5 frame_size()."""
    width, height = sequence.width, sequence.height
    if sized:
        width, height = bits.u(sequence.width_bits) + 1, bits.u(sequence.height_bits) + 1
    return _superres(bits, sequence, width, height)


def _superres(bits: Bits, sequence: Sequence, width: int, height: int) -> Size:
    """§5.9.8 superres_params()."""
    if sequence.superres and bits.flag():
        denominator = bits.u(3) + 9
        return Size(width, (width * 8 + denominator // 2) // denominator, height)
    return Size(width, width, height)


def _render_size(bits: Bits) -> None:
    """§5.9.6 render_size()."""
    if bits.flag():
        bits.skip(32)
