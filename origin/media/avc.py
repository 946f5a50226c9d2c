"""How long the header of an H.264 slice is (ITU-T H.264, ISO/IEC 14496-10): what Common Encryption leaves
clear.

Read are the parameter sets as far as slice headers depend on them (§7.3.2.1.1, §7.3.2.2), and every syntax
element of slice_header() (§7.3.3). Values are kept only where a later element's presence or width depends on
them. Data partitions and the slices of scalable and multiview streams are refused: no player of encrypted
video takes them. A parameter set that comes again replaces the one of its number.
"""

from dataclasses import dataclass, field
from typing import Final

from origin.media.bits import BadSyntax, Bits, escaped_length, unescaped

SLICE, PARTITIONS, IDR_SLICE, SPS, PPS = 1, (2, 3, 4), 5, 7, 8  # §7.4.1 Table 7-1
EXTENSION_SLICES: Final = (20, 21)  # Annexes G to J
P_SLICE, B_SLICE, I_SLICE, SP_SLICE, SI_SLICE = range(5)  # §7.4.3 Table 7-6, slice_type modulo 5

# §7.3.2.1.1: profiles whose SPS says its chroma format, bit depths and scaling lists
_CHROMA_PROFILES: Final = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))
_FRAME_NUM_BITS, _ID_SPS, _ID_PPS, _REFERENCES = (
    12,
    31,
    255,
    31,
)  # greatest values of §7.4.2.1, §7.4.2.2, §7.4.3


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """What of a sequence parameter set matters to slice headers."""

    separate_planes: bool
    chroma: int  # ChromaArrayType
    frame_num_bits: int
    order_type: int  # pic_order_cnt_type
    order_bits: int  # of pic_order_cnt_lsb
    order_always_zero: bool  # delta_pic_order_always_zero_flag
    frames_only: bool  # frame_mbs_only_flag
    map_units: int  # PicSizeInMapUnits


@dataclass(frozen=True, slots=True)
class PictureSet:
    """What of a picture parameter set matters to slice headers."""

    sequence: int  # seq_parameter_set_id
    cabac: bool  # entropy_coding_mode_flag
    field_order: bool  # bottom_field_pic_order_in_frame_present_flag
    change_rate: int  # SliceGroupChangeRate; 0 when slices do not say a change cycle
    references: tuple[int, int]  # num_ref_idx_l0/l1_default_active_minus1 + 1
    weighted: bool  # weighted_pred_flag
    weighted_both: bool  # weighted_bipred_idc is 1
    deblocking: bool  # deblocking_filter_control_present_flag
    redundant: bool  # redundant_pic_cnt_present_flag


@dataclass(slots=True)
class AvcHeaders:
    """The parameter sets in force. `take` every NAL unit of a stream in order."""

    sequences: dict[int, SequenceSet] = field(default_factory=dict)
    pictures: dict[int, PictureSet] = field(default_factory=dict)

    def copy(self) -> "AvcHeaders":
        """The same sets; what the copy takes is not known here."""
        return AvcHeaders(dict(self.sequences), dict(self.pictures))

    def take(self, nal: bytes) -> int | None:
        """Bytes of NAL and slice header at the start of `nal`; None when it holds no slice. BadSyntax."""
        kind = nal[0] & 0x1F
        if kind in (SLICE, IDR_SLICE):
            bits = Bits(unescaped(nal), 8)
            self._slice_header(bits, idr=kind == IDR_SLICE, reference=nal[0] & 0x60 != 0)
            return escaped_length(nal, bits.bytes_read)
        if kind in PARTITIONS or kind in EXTENSION_SLICES:
            raise BadSyntax(f"an H.264 slice of type {kind}: partitions and layers are not protected")
        if kind == SPS:
            self.sequences.update([sequence_set(unescaped(nal))])
        elif kind == PPS:
            self.pictures.update([picture_set(unescaped(nal))])
        return None

    def _slice_header(self, bits: Bits, *, idr: bool, reference: bool) -> None:
        """§7.3.3."""
        bits.ue()  # first_mb_in_slice
        kind = bits.ue(9) % 5
        picture = self.pictures.get(bits.ue(_ID_PPS))
        sequence = self.sequences.get(picture.sequence) if picture else None
        if picture is None or sequence is None:
            raise BadSyntax("an H.264 slice without its parameter sets")
        bits.skip(2 * sequence.separate_planes)  # colour_plane_id
        bits.skip(sequence.frame_num_bits)
        one_field = not sequence.frames_only and bits.flag()
        bits.skip(one_field)  # bottom_field_flag
        if idr:
            bits.ue()  # idr_pic_id
        _picture_order(bits, sequence, both_fields=picture.field_order and not one_field)
        if picture.redundant:
            bits.ue()
        bits.skip(kind == B_SLICE)  # direct_spatial_mv_pred_flag
        references = _references(bits, kind, picture.references)
        for _ in references:
            _list_modification(bits)
        if (picture.weighted and kind in (P_SLICE, SP_SLICE)) or (picture.weighted_both and kind == B_SLICE):
            _weights(bits, sequence.chroma, references)
        if reference:
            _marking(bits, idr)
        if picture.cabac and kind not in (I_SLICE, SI_SLICE):
            bits.ue()  # cabac_init_idc
        bits.se()  # slice_qp_delta
        bits.skip(kind == SP_SLICE)  # sp_for_switch_flag
        if kind in (SP_SLICE, SI_SLICE):
            bits.se()  # slice_qs_delta
        if picture.deblocking and bits.ue() != 1:  # disable_deblocking_filter_idc
            bits.se(), bits.se()
        if picture.change_rate:  # slice_group_change_cycle: Ceil(Log2(units ÷ rate + 1)) bits, ÷ exact
            bits.skip((-(-sequence.map_units // picture.change_rate)).bit_length())


def _picture_order(bits: Bits, sequence: SequenceSet, *, both_fields: bool) -> None:
    if sequence.order_type == 0:
        bits.skip(sequence.order_bits)
        if both_fields:
            bits.se()  # delta_pic_order_cnt_bottom
    elif sequence.order_type == 1 and not sequence.order_always_zero:
        bits.se()
        if both_fields:
            bits.se()


def _references(bits: Bits, kind: int, counts: tuple[int, int]) -> tuple[int, ...]:
    """Active entries of each reference list the slice has: none, one or two."""
    if kind in (I_SLICE, SI_SLICE):
        return ()
    lists = 2 if kind == B_SLICE else 1
    if bits.flag():  # num_ref_idx_active_override_flag
        return tuple(bits.ue(_REFERENCES) + 1 for _ in range(lists))
    return counts[:lists]


def _list_modification(bits: Bits) -> None:
    """§7.3.3.1 for one list."""
    if bits.flag():
        while (operation := bits.ue()) != 3:
            if operation > 2:
                raise BadSyntax(f"a reference list modification {operation}")
            bits.ue()


def _weights(bits: Bits, chroma: int, references: tuple[int, ...]) -> None:
    """§7.3.3.2 pred_weight_table()."""
    bits.ue()
    if chroma:
        bits.ue()
    for _ in range(sum(references)):
        if bits.flag():  # luma
            bits.se(), bits.se()
        if chroma and bits.flag():
            bits.se(), bits.se(), bits.se(), bits.se()


def _marking(bits: Bits, idr: bool) -> None:
    """§7.3.3.3 dec_ref_pic_marking()."""
    if idr:
        bits.skip(2)
    elif bits.flag():
        while operation := bits.ue(6):
            if operation != 5:
                bits.ue()
            if operation == 3:
                bits.ue()


def sequence_set(rbsp: bytes) -> tuple[int, SequenceSet]:
    """Number and content of a sequence parameter set, whose bytes begin with the NAL header. BadSyntax."""
    bits = Bits(rbsp, 8)
    profile = bits.u(8)
    bits.skip(16)  # constraint flags, level_idc
    number = bits.ue(_ID_SPS)
    chroma, separate = 1, False
    if profile in _CHROMA_PROFILES:
        chroma = bits.ue(3)
        separate = chroma == 3 and bits.flag()
        bits.ue(), bits.ue()  # bit depths
        bits.skip(1)  # qpprime_y_zero_transform_bypass_flag
        if bits.flag():
            for each in range(12 if chroma == 3 else 8):
                if bits.flag():
                    _scaling_list(bits, 16 if each < 6 else 64)
    frame_num_bits = bits.ue(_FRAME_NUM_BITS) + 4
    order_type = bits.ue(2)
    order_bits, always_zero = 0, False
    if order_type == 0:
        order_bits = bits.ue(12) + 4
    elif order_type == 1:
        always_zero = bits.flag()
        bits.se(), bits.se()
        for _ in range(bits.ue(255)):
            bits.se()
    bits.ue()  # max_num_ref_frames
    bits.skip(1)  # gaps_in_frame_num_value_allowed_flag
    map_units = (bits.ue() + 1) * (bits.ue() + 1)
    frames_only = bits.flag()
    return number, SequenceSet(
        separate_planes=separate,
        chroma=0 if separate else chroma,
        frame_num_bits=frame_num_bits,
        order_type=order_type,
        order_bits=order_bits,
        order_always_zero=always_zero,
        frames_only=frames_only,
        map_units=map_units,
    )


def _scaling_list(bits: Bits, size: int) -> None:
    """§7.3.2.1.1.1: ends early when a scale of 0 says that the rest repeats."""
    last = 8
    for _ in range(size):
        last = (last + bits.se()) % 256
        if last == 0:
            return


def picture_set(rbsp: bytes) -> tuple[int, PictureSet]:
    """Number and content of a picture parameter set, whose bytes begin with the NAL header. BadSyntax."""
    bits = Bits(rbsp, 8)
    number, sequence = bits.ue(_ID_PPS), bits.ue(_ID_SPS)
    cabac, field_order = bits.flag(), bits.flag()
    change_rate = _slice_groups(bits)
    references = (bits.ue(_REFERENCES) + 1, bits.ue(_REFERENCES) + 1)
    weighted, weighted_both = bits.flag(), bits.u(2) == 1
    bits.se(), bits.se(), bits.se()  # pic_init_qp, pic_init_qs, chroma_qp_index_offset
    deblocking = bits.flag()
    bits.skip(1)  # constrained_intra_pred_flag
    redundant = bits.flag()
    return number, PictureSet(
        sequence,
        cabac,
        field_order,
        change_rate,
        references,
        weighted,
        weighted_both,
        deblocking,
        redundant,
    )


def _slice_groups(bits: Bits) -> int:
    """SliceGroupChangeRate, 0 where the groups of macroblocks stay as they are."""
    groups = bits.ue(7) + 1
    if groups == 1:
        return 0
    kind = bits.ue(6)  # slice_group_map_type
    if kind == 0:
        for _ in range(groups):
            bits.ue()  # run_length_minus1
    elif kind == 2:
        for _ in range(groups - 1):
            bits.ue(), bits.ue()
    elif kind in (3, 4, 5):
        bits.skip(1)  # slice_group_change_direction_flag
        return bits.ue() + 1
    elif kind == 6:
        bits.skip((bits.ue() + 1) * (groups - 1).bit_length())  # slice_group_id[]
    return 0
