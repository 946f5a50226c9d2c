"""The parameter sets of H.265 (ITU-T H.265, ISO/IEC 23008-2), as far as slice headers depend on them.

§7.3.2.2 sequence and §7.3.2.3 picture parameter sets, §7.3.7 short-term reference picture sets. A sequence
parameter set is read up to the flags before its VUI: no slice header of the profiles read here depends on
what follows. Screen content coding (profiles 9 and 11) and extensions of layers change slice headers; they
are refused.
"""

from dataclasses import dataclass
from typing import Final

from origin.media.bits import BadSyntax, Bits, width

_SEQUENCES, _PICTURES = 15, 63  # greatest numbers of parameter sets
_REFERENCES: Final = 14  # num_ref_idx_l0/l1_default_active_minus1, §7.4.3.3.1
_SETS, _PICTURES_HELD = 64, 16  # §7.4.3.2.1, §A.4.2 MaxDpbSize
_LONG_TERM: Final = 32
_SCREEN_PROFILES: Final = (9, 11)  # §A.3.7, §A.3.8


@dataclass(frozen=True, slots=True)
class References:
    """A short-term reference picture set: (difference of picture order, used by this picture)."""

    before: tuple[tuple[int, bool], ...] = ()  # the nearest first
    after: tuple[tuple[int, bool], ...] = ()

    @property
    def used(self) -> int:
        """Pictures of it that this picture may refer to."""
        return sum(used for _, used in self.before + self.after)


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """What of a sequence parameter set matters to slice headers."""

    separate_planes: bool
    chroma: int  # ChromaArrayType
    order_bits: int  # of slice_pic_order_cnt_lsb
    address_bits: int  # of slice_segment_address
    offsets: bool  # sample_adaptive_offset_enabled_flag
    short_term: tuple[References, ...]
    long_term: tuple[bool, ...] | None  # used_by_curr_pic_lt_sps_flag[]; None: no long-term pictures
    motion: bool  # sps_temporal_mvp_enabled_flag


@dataclass(frozen=True, slots=True)
class PictureSet:
    """What of a picture parameter set matters to slice headers."""

    sequence: int  # pps_seq_parameter_set_id
    dependent: bool  # dependent_slice_segments_enabled_flag
    output: bool  # output_flag_present_flag
    extra_bits: int  # num_extra_slice_header_bits
    cabac_init: bool  # cabac_init_present_flag
    references: tuple[int, int]  # num_ref_idx_l0/l1_default_active_minus1 + 1
    chroma_offsets: bool  # pps_slice_chroma_qp_offsets_present_flag
    weighted: bool
    weighted_both: bool
    entry_points: bool  # tiles or wavefronts
    across_slices: bool  # pps_loop_filter_across_slices_enabled_flag
    deblocking_override: bool
    deblocking_off: bool  # pps_deblocking_filter_disabled_flag
    list_modification: bool  # lists_modification_present_flag
    extension: bool  # slice_segment_header_extension_present_flag
    chroma_offset_list: bool  # chroma_qp_offset_list_enabled_flag


def sequence_set(rbsp: bytes) -> tuple[int, SequenceSet]:
    """Number and content of a sequence parameter set, whose bytes begin with the NAL header. BadSyntax."""
    bits = Bits(rbsp, 16)
    bits.skip(4)  # sps_video_parameter_set_id
    layers = bits.u(3)  # sps_max_sub_layers_minus1
    bits.skip(1)
    _profile(bits, layers)
    number = bits.ue(_SEQUENCES)
    chroma = bits.ue(3)
    separate = chroma == 3 and bits.flag()
    size = bits.ue(), bits.ue()  # luma samples
    if bits.flag():  # conformance window
        bits.ue(), bits.ue(), bits.ue(), bits.ue()
    bits.ue(), bits.ue()  # bit depths
    order_bits = bits.ue(12) + 4
    for _ in range(layers + 1 if bits.flag() else 1):
        bits.ue(), bits.ue(), bits.ue()
    block = bits.ue(3) + 3
    block += bits.ue(3)  # CtbLog2SizeY
    bits.ue(), bits.ue(), bits.ue(), bits.ue()
    if bits.flag() and bits.flag():  # scaling lists, with data of their own
        _scaling_lists(bits)
    bits.skip(1)  # amp_enabled_flag
    offsets = bits.flag()
    if bits.flag():  # pcm
        bits.skip(8)
        bits.ue(), bits.ue()
        bits.skip(1)
    short_term: list[References] = []
    count = bits.ue(_SETS)
    for _ in range(count):
        short_term.append(reference_set(bits, short_term, count))
    long_term = None
    if bits.flag():
        rows = [bits.u(order_bits + 1) for _ in range(bits.ue(_LONG_TERM))]
        long_term = tuple(row & 1 == 1 for row in rows)  # lt_ref_pic_poc_lsb_sps, then the flag
    blocks = (-(-size[0] >> block)) * (-(-size[1] >> block))
    return number, SequenceSet(
        separate_planes=separate,
        chroma=0 if separate else chroma,
        order_bits=order_bits,
        address_bits=width(blocks),
        offsets=offsets,
        short_term=tuple(short_term),
        long_term=long_term,
        motion=bits.flag(),
    )


def _profile(bits: Bits, layers: int) -> None:
    """§7.3.3 profile_tier_level(1, layers): 88 bits and a level, then the same for lower layers."""
    profile = bits.u(8) & 0x1F
    compatible = bits.u(32)
    if any(profile == each or compatible >> (31 - each) & 1 for each in _SCREEN_PROFILES):
        raise BadSyntax("H.265 screen content is not protected")
    bits.skip(48 + 8)
    present = [(bits.flag(), bits.flag()) for _ in range(layers)]
    if layers:
        bits.skip(2 * (8 - layers))
    for profile_present, level_present in present:
        bits.skip(88 * profile_present + 8 * level_present)


def _scaling_lists(bits: Bits) -> None:
    """§7.3.4 scaling_list_data()."""
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.flag():
                bits.ue()  # scaling_list_pred_matrix_id_delta
                continue
            if size > 1:
                bits.se()
            for _ in range(min(64, 1 << (4 + 2 * size))):
                bits.se()


def reference_set(bits: Bits, known: list[References] | tuple[References, ...], count: int) -> References:
    """§7.3.7 st_ref_pic_set(len(known)), of `count` in the sequence parameter set. BadSyntax."""
    index = len(known)
    if index and bits.flag():  # inter_ref_pic_set_prediction_flag
        back = 1 + (bits.ue(index - 1) if index == count else 0)
        negative = bits.flag()
        step = bits.ue(1 << 15) + 1
        return _predicted(bits, known[index - back], -step if negative else step)
    before, after = bits.ue(_PICTURES_HELD), bits.ue(_PICTURES_HELD)
    return References(_differences(bits, before, -1), _differences(bits, after, 1))


def _differences(bits: Bits, count: int, sign: int) -> tuple[tuple[int, bool], ...]:
    found, order = [], 0
    for _ in range(count):
        order += sign * (bits.ue(1 << 15) + 1)
        found.append((order, bits.flag()))
    return tuple(found)


def _predicted(bits: Bits, base: References, step: int) -> References:
    """Equations 7-61 and 7-62: the base's pictures and the base itself, moved by `step`, where kept."""
    kept: list[tuple[int, bool]] = []
    for order in (*(order for order, _ in base.before + base.after), 0):
        used = bits.flag()
        if used or bits.flag():  # use_delta_flag
            kept.append((order + step, used))
    before = tuple(sorted((each for each in kept if each[0] < 0), reverse=True))
    after = tuple(sorted(each for each in kept if each[0] > 0))
    if len(before) + len(after) > _PICTURES_HELD:
        raise BadSyntax("a reference picture set of too many pictures")
    return References(before, after)


def picture_set(rbsp: bytes) -> tuple[int, PictureSet]:
    """Number and content of a picture parameter set, whose bytes begin with the NAL header. BadSyntax."""
    bits = Bits(rbsp, 16)
    number, sequence = bits.ue(_PICTURES), bits.ue(_SEQUENCES)
    dependent, output = bits.flag(), bits.flag()
    extra_bits = bits.u(3)
    bits.skip(1)  # sign_data_hiding_enabled_flag
    cabac_init = bits.flag()
    references = (bits.ue(_REFERENCES) + 1, bits.ue(_REFERENCES) + 1)
    bits.se()  # init_qp_minus26
    bits.skip(1)  # constrained_intra_pred_flag
    skipping = bits.flag()  # transform_skip_enabled_flag
    if bits.flag():
        bits.ue()  # diff_cu_qp_delta_depth
    bits.se(), bits.se()  # chroma offsets
    chroma_offsets, weighted, weighted_both = bits.flag(), bits.flag(), bits.flag()
    bits.skip(1)  # transquant_bypass_enabled_flag
    tiles, wavefronts = bits.flag(), bits.flag()
    if tiles:
        _tiles(bits)
    across_slices = bits.flag()
    override, off = False, False
    if bits.flag():  # deblocking_filter_control_present_flag
        override, off = bits.flag(), bits.flag()
        if not off:
            bits.se(), bits.se()
    if bits.flag():
        _scaling_lists(bits)
    list_modification = bits.flag()
    bits.ue()  # log2_parallel_merge_level_minus2
    extension = bits.flag()
    return number, PictureSet(
        sequence=sequence,
        dependent=dependent,
        output=output,
        extra_bits=extra_bits,
        cabac_init=cabac_init,
        references=references,
        chroma_offsets=chroma_offsets,
        weighted=weighted,
        weighted_both=weighted_both,
        entry_points=tiles or wavefronts,
        across_slices=across_slices,
        deblocking_override=override,
        deblocking_off=off,
        list_modification=list_modification,
        extension=extension,
        chroma_offset_list=_extensions(bits, skipping),
    )


def _tiles(bits: Bits) -> None:
    columns, rows = bits.ue(), bits.ue()  # less one
    if not bits.flag():  # uniform_spacing_flag
        for _ in range(columns):
            bits.ue()
        for _ in range(rows):
            bits.ue()
    bits.skip(1)  # loop_filter_across_tiles_enabled_flag


def _extensions(bits: Bits, skipping: bool) -> bool:
    """chroma_qp_offset_list_enabled_flag of the range extension (§7.3.2.3.2). BadSyntax for others."""
    if not bits.flag():
        return False
    ranges = bits.flag()
    if bits.u(3):  # multilayer, 3D, screen content
        raise BadSyntax("an H.265 picture parameter set with extensions of layers or of screen content")
    bits.skip(4)
    if not ranges:
        return False
    if skipping:
        bits.ue()  # log2_max_transform_skip_block_size_minus2
    bits.skip(1)  # cross_component_prediction_enabled_flag
    return bits.flag()
