"""The groups of parameters in an AV1 frame header (AV1 Bitstream Specification §5.9.15 to §5.9.30), stepped
over.

What a later group's presence or width depends on is returned; nothing here looks at other frames.
"""

from dataclasses import dataclass
from typing import Final

from origin.media.av1_sequence import Sequence
from origin.media.bits import Bits, width

MAX_TILE_WIDTH, MAX_TILE_AREA, MAX_TILES = 4096, 4096 * 2304, 64  # pixels; columns or rows, §3
FEATURES: Final = ((8, True), (6, True), (6, True), (6, True), (6, True), (3, False), (0, False), (0, False))
Quantizers = tuple[int | None, ...]  # SEG_LVL_ALT_Q of each segment, None where it has none
NO_SEGMENTS: Final[Quantizers] = (None,) * 8


@dataclass(frozen=True, slots=True)
class Tiles:
    """How a frame is cut into tiles."""

    count: int
    bits: int  # of a tile's number
    size_bytes: int  # of a tile's size


def below(bits: Bits, count: int) -> int:
    """§4.10.7 ns(n): a number below `count`."""
    size = count.bit_length()
    short = (1 << size) - count
    value = bits.u(size - 1)
    return value if value < short else (value << 1) - short + bits.u(1)


def signed(bits: Bits, size: int) -> int:
    """§4.10.6 su(n)."""
    value = bits.u(size)
    return value - (1 << size) if value >> (size - 1) else value


def tile_info(bits: Bits, large_blocks: bool, columns: int, rows: int) -> Tiles:
    """§5.9.15. `columns`, `rows`: of 4×4 blocks, MiCols and MiRows."""
    shift = 5 if large_blocks else 4
    columns, rows = -(-columns >> shift), -(-rows >> shift)
    widest, area = MAX_TILE_WIDTH >> (shift + 2), MAX_TILE_AREA >> (2 * shift + 4)
    least_columns = _log2(widest, columns)
    least = max(least_columns, _log2(area, rows * columns))
    if bits.flag():  # uniform_tile_spacing_flag
        across = _more(bits, least_columns, _log2(1, min(columns, MAX_TILES)))
        down = _more(bits, max(least - across, 0), _log2(1, min(rows, MAX_TILES)))
        count = _even(columns, across) * _even(rows, down)
    else:
        sizes = _sizes(bits, columns, widest)
        area = rows * columns >> (least + 1) if least else rows * columns
        heights = _sizes(bits, rows, max(area // max(sizes), 1))
        across, down = width(len(sizes)), width(len(heights))
        count = len(sizes) * len(heights)
    if across + down == 0:
        return Tiles(count, 0, 0)
    bits.skip(across + down)  # context_update_tile_id
    return Tiles(count, across + down, bits.u(2) + 1)


def _log2(block: int, target: int) -> int:
    """§5.9.16: the least k with block << k at least target."""
    return width(-(-target // block))


def _more(bits: Bits, at: int, most: int) -> int:
    while at < most and bits.flag():
        at += 1
    return at


def _even(blocks: int, log2: int) -> int:
    """Tiles of equal size over so many blocks."""
    return -(-blocks // ((blocks + (1 << log2) - 1) >> log2))


def _sizes(bits: Bits, blocks: int, most: int) -> list[int]:
    sizes: list[int] = []
    while blocks:
        sizes.append(below(bits, min(blocks, most)) + 1)
        blocks -= sizes[-1]
    return sizes


def quantization(bits: Bits, sequence: Sequence) -> tuple[int, bool]:
    """§5.9.12: base_q_idx, and whether no plane differs from it."""
    base = bits.u(8)
    deltas = [_delta(bits)]
    if sequence.planes > 1:
        apart = sequence.separate_chroma and bits.flag()
        deltas += [_delta(bits) for _ in range(4 if apart else 2)]
    if bits.flag():  # using_qmatrix
        bits.skip(12 if sequence.separate_chroma else 8)
    return base, not any(deltas)


def _delta(bits: Bits) -> int:
    return signed(bits, 7) if bits.flag() else 0


def segmentation(bits: Bits, before: Quantizers | None) -> Quantizers:
    """§5.9.14. `before`: those of the primary reference frame; None when there is none."""
    if not bits.flag():
        return NO_SEGMENTS
    renewed = True
    if before is not None:
        if bits.flag():  # segmentation_update_map
            bits.skip(1)
        renewed = bits.flag()
    if before is not None and not renewed:
        return before
    return tuple(_features(bits) for _ in range(8))


def _features(bits: Bits) -> int | None:
    quantizer = None
    for number, (size, with_sign) in enumerate(FEATURES):
        if bits.flag():
            value = signed(bits, 1 + size) if with_sign else bits.u(size)
            quantizer = value if number == 0 else quantizer
    return quantizer


def lossless(base: int, unchanged: bool, segments: Quantizers) -> bool:
    """CodedLossless (§5.9.2): every segment's quantizer is 0."""
    return unchanged and all(min(255, max(0, base + (each or 0))) == 0 for each in segments)


def deltas(bits: Bits, base: int, block_copy: bool) -> None:
    """§5.9.17 delta_q_params(), §5.9.18 delta_lf_params()."""
    if base and bits.flag():
        bits.skip(2)
        if not block_copy and bits.flag():
            bits.skip(3)


def loop_filter(bits: Bits, planes: int) -> None:
    """§5.9.11."""
    levels = bits.u(6) | bits.u(6)
    if planes > 1 and levels:
        bits.skip(12)
    bits.skip(3)
    if bits.flag() and bits.flag():
        for _ in range(8 + 2):
            _delta(bits)


def cdef(bits: Bits, planes: int) -> None:
    """§5.9.19."""
    bits.skip(2)
    bits.skip((6 if planes == 1 else 12) << bits.u(2))


def restoration(bits: Bits, sequence: Sequence) -> None:
    """§5.9.20."""
    used = [bits.u(2) != 0 for _ in range(sequence.planes)]
    if any(used):
        if bits.flag() and not sequence.large_blocks:
            bits.skip(1)  # lr_unit_extra_shift
        if all(sequence.subsampled) and any(used[1:]):
            bits.skip(1)  # lr_uv_shift


def global_motion(bits: Bits, precise: bool) -> None:
    """§5.9.24. `precise`: allow_high_precision_mv."""
    for _ in range(7):
        if not bits.flag():  # is_global
            continue
        zoom = bits.flag()
        translation = not zoom and bits.flag()
        for _ in range(0 if translation else 2 if zoom else 4):
            _subexp(bits, 12)
        for _ in range(2):
            _subexp(bits, 9 - (not precise) if translation else 12)


def _subexp(bits: Bits, size: int) -> None:
    """§5.9.28 decode_subexp() of a number from -(1 << size) to 1 << size."""
    symbols, skipped, step = (2 << size) + 1, 0, 3
    while symbols > skipped + 3 * (1 << step):
        if not bits.flag():  # subexp_more_bits
            bits.skip(step)
            return
        skipped += 1 << step
        step += skipped > 8
    below(bits, symbols - skipped)


def film_grain(bits: Bits, sequence: Sequence, *, inter: bool) -> None:
    """§5.9.30, of a frame that is shown."""
    if not bits.flag():  # apply_grain
        return
    bits.skip(16)
    if inter and not bits.flag():  # update_grain
        bits.skip(3)
        return
    luma = _points(bits)
    from_luma = sequence.planes > 1 and bits.flag()
    blue = red = 0
    if sequence.planes > 1 and not from_luma and not (all(sequence.subsampled) and not luma):
        blue, red = _points(bits), _points(bits)
    bits.skip(2)
    lag = bits.u(2)
    count = 2 * lag * (lag + 1)
    if luma:
        bits.skip(8 * count)
        count += 1
    bits.skip(8 * count * ((from_luma or blue > 0) + (from_luma or red > 0)))
    bits.skip(4)
    bits.skip(25 * ((blue > 0) + (red > 0)))
    bits.skip(2)


def _points(bits: Bits) -> int:
    count = bits.u(4)
    bits.skip(16 * count)
    return count
