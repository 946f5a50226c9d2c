"""How long the header of an H.265 slice segment is (ITU-T H.265, ISO/IEC 23008-2): what Common Encryption
leaves clear.

Every syntax element of slice_segment_header() (§7.3.6), up to and with its alignment. Values are kept only
where a later element's presence or width depends on them. Slices of further layers (scalable, multiview) are
refused. A parameter set that comes again replaces the one of its number.
"""

from dataclasses import dataclass, field
from typing import Final

from origin.media.bits import BadSyntax, Bits, escaped_length, unescaped, width
from origin.media.hevc_sets import (
    PictureSet,
    References,
    SequenceSet,
    picture_set,
    reference_set,
    sequence_set,
)

SLICES: Final = frozenset((*range(10), *range(16, 22)))  # §7.4.2.2 Table 7-1
RANDOM_ACCESS: Final = range(16, 24)  # BLA_W_LP to RSV_IRAP_VCL23
INSTANT: Final = (19, 20)  # IDR_W_RADL, IDR_N_LP
VIDEO_CODING, SPS, PPS = range(32), 33, 34
B_SLICE, P_SLICE, I_SLICE = range(3)  # §7.4.7.1 Table 7-7
_REFERENCES: Final = 14  # num_ref_idx_l0_active_minus1
_PICTURES: Final = 63
_LONG_TERM: Final = 32


@dataclass(slots=True)
class HevcHeaders:
    """The parameter sets in force. `take` every NAL unit of a stream in order."""

    sequences: dict[int, SequenceSet] = field(default_factory=dict)
    pictures: dict[int, PictureSet] = field(default_factory=dict)

    def copy(self) -> "HevcHeaders":
        """The same sets; what the copy takes is not known here."""
        return HevcHeaders(dict(self.sequences), dict(self.pictures))

    def take(self, nal: bytes) -> int | None:
        """Bytes of NAL and slice header at the start of `nal`; None when it holds no slice. BadSyntax."""
        if len(nal) < 2:
            raise BadSyntax("an H.265 NAL unit without its header")
        kind, layer = nal[0] >> 1 & 0x3F, (nal[0] & 1) << 5 | nal[1] >> 3
        if layer:
            if kind in VIDEO_CODING:
                raise BadSyntax("H.265 layers beyond the first are not protected")
        elif kind in SLICES:
            bits = Bits(unescaped(nal), 16)
            self._slice_header(bits, kind)
            return escaped_length(nal, bits.bytes_read)
        elif kind == SPS:
            self.sequences.update([sequence_set(unescaped(nal))])
        elif kind == PPS:
            self.pictures.update([picture_set(unescaped(nal))])
        return None

    def _slice_header(self, bits: Bits, kind: int) -> None:
        """§7.3.6.1."""
        first = bits.flag()
        bits.skip(kind in RANDOM_ACCESS)  # no_output_of_prior_pics_flag
        picture = self.pictures.get(bits.ue(_PICTURES))
        sequence = self.sequences.get(picture.sequence) if picture else None
        if picture is None or sequence is None:
            raise BadSyntax("an H.265 slice without its parameter sets")
        dependent = False
        if not first:
            dependent = picture.dependent and bits.flag()
            bits.skip(sequence.address_bits)
        if not dependent:
            _own(bits, kind, picture, sequence)
        if picture.entry_points and (points := bits.ue()):
            bits.skip((bits.ue(31) + 1) * points)
        if picture.extension:
            bits.skip(8 * bits.ue(256))
        bits.align()


def _own(bits: Bits, kind: int, picture: PictureSet, sequence: SequenceSet) -> None:
    """What a dependent slice segment takes over from the one before."""
    bits.skip(picture.extra_bits)
    slice_type = bits.ue(2)
    bits.skip(picture.output + 2 * sequence.separate_planes)  # pic_output_flag, colour_plane_id
    total, motion = 0, False
    if kind not in INSTANT:
        bits.skip(sequence.order_bits)
        total = _short_term(bits, sequence).used + _long_term(bits, sequence)
        motion = sequence.motion and bits.flag()
    luma_offset = sequence.offsets and bits.flag()
    chroma_offset = sequence.offsets and sequence.chroma != 0 and bits.flag()
    if slice_type != I_SLICE:
        _prediction(bits, picture, sequence.chroma, total, both=slice_type == B_SLICE, motion=motion)
    bits.se()  # slice_qp_delta
    if picture.chroma_offsets:
        bits.se(), bits.se()
    bits.skip(picture.chroma_offset_list)  # cu_chroma_qp_offset_enabled_flag
    unfiltered = picture.deblocking_off
    if picture.deblocking_override and bits.flag():
        unfiltered = bits.flag()
        if not unfiltered:
            bits.se(), bits.se()
    if picture.across_slices and (luma_offset or chroma_offset or not unfiltered):
        bits.skip(1)  # slice_loop_filter_across_slices_enabled_flag


def _short_term(bits: Bits, sequence: SequenceSet) -> References:
    """The short-term reference picture set of this picture."""
    known = sequence.short_term
    if not bits.flag():  # short_term_ref_pic_set_sps_flag
        return reference_set(bits, known, len(known))
    index = bits.u(width(len(known)))
    if index >= len(known):
        raise BadSyntax("a slice names a reference picture set that is not there")
    return known[index]


def _long_term(bits: Bits, sequence: SequenceSet) -> int:
    """Long-term pictures this picture may refer to."""
    listed = sequence.long_term
    if listed is None:
        return 0
    named = bits.ue(_LONG_TERM) if listed else 0
    used = 0
    for each in range(named + bits.ue(_LONG_TERM)):
        if each < named:
            index = bits.u(width(len(listed)))
            if index >= len(listed):
                raise BadSyntax("a slice names a long-term picture that is not there")
            used += listed[index]
        else:
            bits.skip(sequence.order_bits)
            used += bits.flag()
        if bits.flag():
            bits.ue()  # delta_poc_msb_cycle_lt
    return used


def _prediction(
    bits: Bits, picture: PictureSet, chroma: int, total: int, *, both: bool, motion: bool
) -> None:
    """What P and B slices say. `total`: NumPicTotalCurr."""
    references = picture.references[: 1 + both]
    if bits.flag():  # num_ref_idx_active_override_flag
        references = tuple(bits.ue(_REFERENCES) + 1 for _ in range(1 + both))
    if picture.list_modification and total > 1:  # §7.3.6.2
        for count in references:
            bits.skip(width(total) * count if bits.flag() else 0)
    bits.skip(both + picture.cabac_init)  # mvd_l1_zero_flag, cabac_init_flag
    if motion:
        first = not both or bits.flag()  # collocated_from_l0_flag
        if references[0 if first else 1] > 1:
            bits.ue()  # collocated_ref_idx
    if picture.weighted_both if both else picture.weighted:
        _weights(bits, chroma, references)
    bits.ue()  # five_minus_max_num_merge_cand


def _weights(bits: Bits, chroma: int, references: tuple[int, ...]) -> None:
    """§7.3.6.3 pred_weight_table(), of one layer: no picture refers to itself."""
    bits.ue()
    if chroma:
        bits.se()
    for count in references:
        luma = [bits.flag() for _ in range(count)]
        colour = [chroma != 0 and bits.flag() for _ in range(count)]
        for pair in zip(luma, colour, strict=True):
            for _ in range(2 * pair[0] + 4 * pair[1]):
                bits.se()
