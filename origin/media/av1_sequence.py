"""The sequence header of AV1 (AV1 Bitstream Specification §5.5), as far as frame headers depend on it."""

from dataclasses import dataclass
from typing import Final

from origin.media.bits import BadSyntax, Bits

SELECT: Final = 2  # seq_force_screen_content_tools, seq_force_integer_mv: each frame says
SRGB: Final = (1, 13, 0)  # BT.709 primaries, sRGB transfer, identity matrix: §5.5.2


@dataclass(frozen=True, slots=True)
class Sequence:
    """What of a sequence header matters to frame headers."""

    reduced: bool  # reduced_still_picture_header
    presentation_bits: int  # of frame_presentation_time; 0 when frames do not say it
    removal_bits: int  # of buffer_removal_time; 0 without a decoder model
    points: tuple[tuple[int, bool], ...]  # of each operating point: operating_point_idc, has a decoder model
    width_bits: int
    height_bits: int
    width: int  # pixels, the greatest
    height: int
    id_bits: int  # of current_frame_id; 0 when frames have no numbers
    delta_id_bits: int
    large_blocks: bool  # use_128x128_superblock
    warped_motion: bool
    order_bits: int  # OrderHintBits; 0 when enable_order_hint is not set
    motion_fields: bool  # enable_ref_frame_mvs
    screen_tools: int  # seq_force_screen_content_tools
    integer_motion: int  # seq_force_integer_mv
    superres: bool
    cdef: bool
    restoration: bool
    planes: int  # 1 or 3
    subsampled: tuple[bool, bool]  # chroma, across and down
    separate_chroma: bool  # separate_uv_delta_q
    film_grain: bool


def sequence_header(bits: Bits) -> Sequence:
    """The content of a sequence header OBU. BadSyntax."""
    profile = bits.u(3)
    bits.skip(1)  # still_picture
    reduced = bits.flag()
    presentation_bits = removal_bits = 0
    points: tuple[tuple[int, bool], ...] = ((0, False),)
    if reduced:
        bits.skip(5)
    else:
        presentation_bits, removal_bits, points = _timing(bits)
    width_bits, height_bits = bits.u(4) + 1, bits.u(4) + 1
    width, height = bits.u(width_bits) + 1, bits.u(height_bits) + 1
    id_bits = delta_id_bits = 0
    if not reduced and bits.flag():  # frame_id_numbers_present_flag
        delta_id_bits = bits.u(4) + 2
        id_bits = bits.u(3) + delta_id_bits + 1
    large_blocks = bits.flag()
    bits.skip(2)  # enable_filter_intra, enable_intra_edge_filter
    warped, order_bits, motion_fields, screen_tools, integer = False, 0, False, SELECT, SELECT
    if not reduced:
        warped, order_bits, motion_fields, screen_tools, integer = _tools(bits)
    superres, cdef, restoration = bits.flag(), bits.flag(), bits.flag()
    planes, subsampled, separate_chroma = _colours(bits, profile)
    return Sequence(
        reduced=reduced,
        presentation_bits=presentation_bits,
        removal_bits=removal_bits,
        points=points,
        width_bits=width_bits,
        height_bits=height_bits,
        width=width,
        height=height,
        id_bits=id_bits,
        delta_id_bits=delta_id_bits,
        large_blocks=large_blocks,
        warped_motion=warped,
        order_bits=order_bits,
        motion_fields=motion_fields,
        screen_tools=screen_tools,
        integer_motion=integer,
        superres=superres,
        cdef=cdef,
        restoration=restoration,
        planes=planes,
        subsampled=subsampled,
        separate_chroma=separate_chroma,
        film_grain=bits.flag(),
    )


def _timing(bits: Bits) -> tuple[int, int, tuple[tuple[int, bool], ...]]:
    """Bits of presentation and removal times in frame headers, and the operating points."""
    presentation_bits = removal_bits = delay_bits = 0
    if bits.flag():  # timing_info_present_flag
        bits.skip(64)
        equal = bits.flag()
        if equal:
            bits.ue()  # num_ticks_per_picture_minus_1: uvlc() is the same code
        if bits.flag():  # decoder_model_info_present_flag
            delay_bits = bits.u(5) + 1
            bits.skip(32)
            removal_bits, presentation_bits = bits.u(5) + 1, bits.u(5) + 1
            if equal:
                presentation_bits = 0
    display_delay = bits.flag()
    points = []
    for _ in range(bits.u(5) + 1):
        layers = bits.u(12)
        if bits.u(5) > 7:  # seq_level_idx
            bits.skip(1)  # seq_tier
        model = removal_bits > 0 and bits.flag()
        bits.skip((2 * delay_bits + 1) * model)  # operating_parameters_info()
        if display_delay and bits.flag():
            bits.skip(4)
        points.append((layers, model))
    return presentation_bits, removal_bits, tuple(points)


def _tools(bits: Bits) -> tuple[bool, int, bool, int, int]:
    bits.skip(2)  # interintra and masked compound
    warped = bits.flag()
    bits.skip(1)  # enable_dual_filter
    ordered, motion_fields = bits.flag(), False
    if ordered:
        bits.skip(1)  # enable_jnt_comp
        motion_fields = bits.flag()
    screen_tools = SELECT if bits.flag() else bits.u(1)
    integer = SELECT
    if screen_tools and not bits.flag():
        integer = bits.u(1)
    return warped, bits.u(3) + 1 if ordered else 0, motion_fields, screen_tools, integer


def _colours(bits: Bits, profile: int) -> tuple[int, tuple[bool, bool], bool]:
    """§5.5.2 color_config(): planes, subsampling, separate_uv_delta_q."""
    if profile > 2:
        raise BadSyntax(f"AV1 of profile {profile}")
    high = bits.flag()
    twelve = profile == 2 and high and bits.flag()
    mono = profile != 1 and bits.flag()
    described = (bits.u(8), bits.u(8), bits.u(8)) if bits.flag() else None
    if mono:
        bits.skip(1)
        return 1, (True, True), False
    if described == SRGB:
        return 3, (False, False), bits.flag()
    bits.skip(1)  # color_range
    across, down = profile != 1, profile == 0
    if twelve:
        across = bits.flag()
        down = across and bits.flag()
    if across and down:
        bits.skip(2)  # chroma_sample_position
    return 3, (across, down), bits.flag()
