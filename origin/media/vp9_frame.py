"""The frame header of VP9 (VP9 Bitstream Specification §6.2 uncompressed_header()): where the compressed data
begins.

Every syntax element is stepped over. Of the frames before, the widths in the eight reference slots are kept:
a frame may be as wide as one of them, and how its columns of tiles are written depends on that.
"""

from typing import Final

from origin.media.bits import BadSyntax, Bits, width

MARKER, SYNC, RGB = 2, 0x498342, 7  # frame_marker, frame_sync_code(), color_space
SLOTS, REFERENCES, ALL_SLOTS = 8, 3, 0xFF
LONGEST: Final = 128  # bytes that are read: no header has as many
BLOCK, LEAST_TILE, MOST_TILE = 64, 4, 64  # pixels; blocks: §3 MIN_TILE_WIDTH_B64, MAX_TILE_WIDTH_B64
LOOP_DELTAS, QUANTIZER_DELTAS = 4 + 2, 3
SEGMENTS, TREE, PREDICTIONS = 8, 7, 3  # and the probabilities of their tree, of their prediction
FEATURES: Final = (8 + 1, 6 + 1, 2, 0)  # bits of each, its sign among them: §3 Segmentation_Feature_Bits


class Frames:
    """Reads the frame headers of one stream in order."""

    def __init__(self) -> None:
        self._widths: list[int | None] = [None] * SLOTS  # pixels

    def header(self, frame: memoryview) -> int:
        """Bytes of the header at the start of a frame: all of one that is only shown again. BadSyntax."""
        bits = Bits(bytes(frame[:LONGEST]))
        if bits.u(2) != MARKER:
            raise BadSyntax("a VP9 frame does not begin as one")
        profile = bits.u(1) | bits.u(1) << 1
        if profile == 3:
            _reserved(bits)
        if bits.flag():  # show_existing_frame
            self._width(bits.u(3))
            if bits.bytes_read != len(frame):
                raise BadSyntax("more after a VP9 frame that is only shown again")
            return len(frame)
        refreshed, wide = self._size(bits, profile)
        _loop_filter(bits)
        _quantization(bits)
        _segmentation(bits)
        _tiles(bits, wide)
        compressed = bits.u(16)  # header_size_in_bytes
        if not compressed or bits.bytes_read + compressed > len(frame):
            raise BadSyntax("a VP9 frame ends in its headers")
        for slot in range(SLOTS):
            if refreshed >> slot & 1:
                self._widths[slot] = wide
        return bits.bytes_read

    def _size(self, bits: Bits, profile: int) -> tuple[int, int]:
        """Up to frame_context_idx: the slots that the frame goes into, a bit each, and its width."""
        key, shown, resilient = not bits.flag(), bits.flag(), bits.flag()
        refreshed = ALL_SLOTS
        intra = key or (not shown and bits.flag())
        bits.skip(0 if key or resilient else 2)  # reset_frame_context
        if intra:
            _sync(bits)
            if key or profile:
                _colours(bits, profile)
        if not key:
            refreshed = bits.u(8)
        wide = _frame_size(bits) if intra else self._inter(bits)
        bits.skip(0 if resilient else 2)  # refresh_frame_context, frame_parallel_decoding_mode
        bits.skip(2)
        return refreshed, wide

    def _inter(self, bits: Bits) -> int:
        """References, width and motion of a frame that is predicted from others."""
        named = []
        for _ in range(REFERENCES):
            named.append(bits.u(3))
            bits.skip(1)  # ref_frame_sign_bias
        wide = self._size_with_references(bits, named)
        bits.skip(1)  # allow_high_precision_mv
        if not bits.flag():  # is_filter_switchable
            bits.skip(2)
        return wide

    def _size_with_references(self, bits: Bits, named: list[int]) -> int:
        """§6.2.5 frame_size_with_refs()."""
        for slot in named:
            if bits.flag():  # found_ref
                _render_size(bits)
                return self._width(slot)
        return _frame_size(bits)

    def _width(self, slot: int) -> int:
        found = self._widths[slot]
        if found is None:
            raise BadSyntax("a VP9 frame refers to one that is not there")
        return found


def _reserved(bits: Bits) -> None:
    if bits.flag():
        raise BadSyntax("a reserved bit of VP9 is set")


def _sync(bits: Bits) -> None:
    if bits.u(24) != SYNC:
        raise BadSyntax("a VP9 frame without its sync code")


def _colours(bits: Bits, profile: int) -> None:
    """§6.2.2 color_config()."""
    bits.skip(profile >= 2)  # ten_or_twelve_bit
    if bits.u(3) != RGB:
        bits.skip(1)  # color_range
        if profile & 1:
            bits.skip(2)  # subsampling
            _reserved(bits)
    elif profile & 1:
        _reserved(bits)
    else:
        raise BadSyntax(f"VP9 of profile {profile} in RGB")


def _frame_size(bits: Bits) -> int:
    """§6.2.3 frame_size(), and render_size() after it: the width."""
    wide = bits.u(16) + 1
    bits.skip(16)
    _render_size(bits)
    return wide


def _render_size(bits: Bits) -> None:
    """§6.2.4."""
    if bits.flag():
        bits.skip(32)


def _loop_filter(bits: Bits) -> None:
    """§6.2.8 loop_filter_params()."""
    bits.skip(9)
    if bits.flag() and bits.flag():  # loop_filter_delta_enabled, loop_filter_delta_update
        for _ in range(LOOP_DELTAS):
            _optional(bits, 7)


def _quantization(bits: Bits) -> None:
    """§6.2.9 quantization_params()."""
    bits.skip(8)
    for _ in range(QUANTIZER_DELTAS):
        _optional(bits, 5)


def _segmentation(bits: Bits) -> None:
    """§6.2.11 segmentation_params()."""
    if not bits.flag():
        return
    if bits.flag():  # segmentation_update_map
        for _ in range(TREE):
            _optional(bits, 8)
        if bits.flag():  # segmentation_temporal_update
            for _ in range(PREDICTIONS):
                _optional(bits, 8)
    if bits.flag():  # segmentation_update_data
        bits.skip(1)
        for size in FEATURES * SEGMENTS:
            _optional(bits, size)


def _optional(bits: Bits, size: int) -> None:
    """A field behind a bit that says whether it is there."""
    if bits.flag():
        bits.skip(size)


def _tiles(bits: Bits, wide: int) -> None:
    """§6.2.13 tile_info()."""
    columns = -(-wide // BLOCK)
    at = width(-(-columns // MOST_TILE))  # calc_min_log2_tile_cols()
    most = max((columns // LEAST_TILE).bit_length() - 1, 0)  # calc_max_log2_tile_cols()
    while at < most and bits.flag():  # increment_tile_cols_log2
        at += 1
    _optional(bits, 1)  # tile_rows_log2, increment_tile_rows_log2
