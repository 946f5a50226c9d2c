"""What is protected is what the standard says, and the head tells a player exactly that."""

import contextlib
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.media.box_writing import box, full_box
from origin.media.boxes import BadBox, BadMedia, need
from origin.media.protection import Protector, SchemeMap, Unprotected, sample_iv
from tests.support.fragmented import Auxiliary, auxiliary, data_offset, kinds, segment
from tests.support.slice_headers import nal_units, pieces

Make = Callable[..., bytes]
SEI = 6
POSITION, INDEX = 70_000, 3


@pytest.fixture(scope="module")
def sliced(ffmpeg: Make) -> bytes:
    """A clip of four slices a frame, with B-frames."""
    source = ("-f", "lavfi", "-i", "testsrc2=size=192x128:rate=25:duration=0.5")
    codec = ("-c:v", "libx264", "-preset", "fast", "-x264-params", "slices=4:bframes=2")
    return ffmpeg(*source, *codec, "-f", "mp4", "-movflags", "+cmaf+delay_moov+frag_keyframe+skip_trailer")


def runs(scheme: SchemeMap, found: Auxiliary, sizes: list[int], iv_size: int) -> list[tuple[int, int]]:
    """The protected ranges as a player works them out from senc; they are held against the map's."""
    ranges, at = [], 0
    for number, size in enumerate(sizes):
        end = at + size
        of_sample = []
        for clear, protected in found.subsamples(number, iv_size):
            at += clear
            if protected:
                of_sample.append((at, protected))
            at += protected
        assert at == end, "subsamples cover the sample"
        assert tuple(of_sample) == scheme.samples[number]
        ranges += of_sample
    return ranges


def units(headers_and_nals: tuple[object, list[bytes]]) -> list[tuple[int, int, bool]]:
    """Start and end of each NAL unit in the payload, and whether it is a slice."""
    found, at = [], 0
    for nal in headers_and_nals[1]:
        found.append((at + 4, at + 4 + len(nal), nal[0] & 0x1F in (1, 5)))
        at += 4 + len(nal)
    return found


def test_in_video_the_slices_are_protected_after_their_headers_and_nothing_else(sliced: bytes) -> None:
    init, (clear,) = pieces(sliced)
    found = Protector(init, INDEX).map_of(clear, POSITION)
    assert found.skip == 9
    headers, nals = nal_units(sliced)
    slices = []
    for (start, end, is_slice), nal in zip(units((None, nals)), nals, strict=True):
        length = headers.take(nal)
        assert is_slice == (length is not None)
        if length is not None and end - start - length >= 16:
            slices.append((start + length, end))
    assert len(slices) > 40
    cbcs = [each for sample in found.cbcs.samples for each in sample]
    assert cbcs == [(start, end - start) for start, end in slices]
    cenc = [each for sample in found.cenc.samples for each in sample]
    assert cenc == [(end - (end - start) // 16 * 16, (end - start) // 16 * 16) for start, end in slices]


def test_the_head_tells_what_the_map_protects(sliced: bytes) -> None:
    init, (clear,) = pieces(sliced)
    found = Protector(init, INDEX).map_of(clear, POSITION)
    sizes = [sum(len(nal) + 4 for nal in frame) for frame in frames(nal_units(sliced)[1])]
    for scheme, iv_size in ((found.cenc, 8), (found.cbcs, 0)):
        told = auxiliary(scheme.head)
        assert told.flags == 2 and len(told.entries) == len(sizes)
        runs(scheme, told, sizes, iv_size)
        assert data_offset(scheme.head) == len(scheme.head)
        assert kinds(scheme.head, "moof", "traf")[-3:] == ["saiz", "saio", "senc"]
    ivs = [entry[:8] for entry in auxiliary(found.cenc.head).entries]
    assert ivs == [sample_iv(INDEX, POSITION, number) for number in range(len(sizes))]


def frames(nals: list[bytes]) -> list[list[bytes]]:
    """NAL units by sample: a slice with first_mb_in_slice 0 begins one."""
    found: list[list[bytes]] = []
    rest: list[bytes] = []
    for nal in nals:
        rest.append(nal)
        if nal[0] & 0x1F in (1, 5):
            found.extend([[]] if nal[1] & 0x80 else [])
            found[-1] += rest
            rest = []
    return found


def test_ivs_say_rendition_segment_and_sample_and_never_wrap() -> None:
    assert sample_iv(0x102, 0x30405, 0x60708).hex() == "0102030405060708"
    for parts in ((1 << 16, 0, 0), (0, 1 << 24, 0), (0, 0, 1 << 24), (-1, 0, 0)):
        with pytest.raises(BadBox, match="no IV"):
            sample_iv(*parts)


def test_sound_is_protected_by_whole_samples(audio_stream: bytes) -> None:
    init, segments = pieces(audio_stream)
    found = Protector(init, INDEX).map_of(segments[1], 1)
    assert found.skip == 0 and found.cenc.samples == found.cbcs.samples
    ranges = [each for sample in found.cenc.samples for each in sample]
    assert ranges[0][0] == 0 and sum(length for _, length in ranges) == len(segments[1]) - found.payload
    assert all(len(sample) == 1 for sample in found.cenc.samples)
    told = auxiliary(found.cenc.head)
    assert (told.flags, told.entries[2]) == (0, sample_iv(INDEX, 1, 2))
    assert found.cbcs.head == segments[1][: found.payload]  # a constant IV and no subsamples: nothing to tell


def first_slice(nals: list[bytes]) -> bytes:
    return next(nal for nal in nals if nal[0] & 0x1F == 5)


def sample(*nals: bytes) -> bytes:
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals)


def test_long_clear_runs_are_split_and_small_slices_stay_clear(sliced: bytes) -> None:
    init, _ = pieces(sliced)
    nal = first_slice(nal_units(sliced)[1])
    sei = bytes([SEI]) + b"\xff" * 140_000
    small = nal[:20]
    clear = segment(sample(sei, small, nal, small), sample(small), b"")
    found = Protector(init, 0).map_of(clear, 0)
    told = auxiliary(found.cenc.head)
    whole, last = told.subsamples(0, 8)[:2], told.subsamples(0, 8)[2:]
    assert whole == [(0xFFFF, 0), (0xFFFF, 0)] and len(last) == 2 and last[1] == (24, 0)
    assert last[0][1] % 16 == 0 and last[0][1] > len(nal) - 40
    assert (told.subsamples(1, 8), found.cenc.samples[1]) == ([(24, 0)], ())
    assert (told.subsamples(2, 8), found.cenc.samples[2]) == ([], ())
    runs(found.cbcs, auxiliary(found.cbcs.head), [len(sample(sei, small, nal, small)), 24, 0], 0)


def test_more_slices_than_can_be_told_are_refused(sliced: bytes) -> None:
    init, _ = pieces(sliced)
    nal = first_slice(nal_units(sliced)[1])
    assert Protector(init, 0).map_of(segment(sample(*[nal] * 40)), 0)
    with pytest.raises(BadBox, match="too many slices"):
        Protector(init, 0).map_of(segment(sample(*[nal] * 41)), 0)


def test_boxes_in_front_stay_and_an_index_counts_the_longer_segment(sliced: bytes) -> None:
    init, _ = pieces(sliced)
    styp, nal = box("styp", b"cmfs\0\0\0\0"), sample(first_slice(nal_units(sliced)[1]))
    for version, times in ((0, 8), (1, 16)):

        def sidx(size: int, count: int = 1, version: int = version, times: int = times) -> bytes:
            rows = (size.to_bytes(4, "big") + bytes(8)) * count
            return full_box("sidx", version, 0, bytes(8 + times + 2), count.to_bytes(2, "big"), rows)

        found = Protector(init, 0).map_of(segment(nal, before=styp + sidx(1000)), 0)
        grown = len(found.cbcs.head) - found.payload
        assert found.cbcs.head.startswith(styp + sidx(1000 + grown))
        assert data_offset(found.cbcs.head) == len(found.cbcs.head)
        with pytest.raises(BadBox, match="segment index"):
            Protector(init, 0).map_of(segment(nal, before=sidx(1000, 2)), 0)


def test_runs_without_an_offset_of_their_own_keep_following_the_one_before(sliced: bytes) -> None:
    init, _ = pieces(sliced)
    nal = sample(first_slice(nal_units(sliced)[1]))
    size = struct.pack(">II", 1, len(nal))
    before = len(segment(nal)) - len(nal) + 20 - 8
    first = full_box("trun", 0, 0x201, struct.pack(">III", 1, before + 8, len(nal)))
    traf = box(
        "traf", full_box("tfhd", 0, 0x20000, struct.pack(">I", 1)), first, full_box("trun", 0, 0x200, size)
    )
    moof = box("moof", traf)
    moof = moof.replace(struct.pack(">I", before + 8), struct.pack(">I", len(moof) + 8))
    found = Protector(init, 0).map_of(moof + box("mdat", nal, nal), 0)
    assert data_offset(found.cenc.head) == len(found.cenc.head)
    assert found.cenc.head.count(full_box("trun", 0, 0x200, size)) == 1
    assert [start - len(nal) for start, _ in found.cenc.samples[1]] == [
        start for start, _ in found.cenc.samples[0]
    ]


def test_a_segment_that_is_protected_already_is_refused(sliced: bytes) -> None:
    init, (clear,) = pieces(sliced)
    found = Protector(init, 0).map_of(clear, 0)
    for head in (found.cenc.head, found.cbcs.head):
        with pytest.raises(BadBox, match="already"):
            Protector(init, 0).map_of(head + clear[found.payload :], 0)


def test_what_we_cannot_protect_is_refused_with_its_name(sliced: bytes, audio_stream: bytes) -> None:
    vp8 = pieces(sliced)[0].replace(b"avc1", b"vp08")
    flac = pieces(audio_stream)[0].replace(b"mp4a", b"fLaC")
    for init, name in ((vp8, "vp08"), (flac, "fLaC")):
        with pytest.raises(Unprotected, match=f"'{name}' is not supported"):
            Protector(init, 0)
    init = pieces(sliced)[0]
    stsd = need(init, "moov", "trak", "mdia", "minf", "stbl", "stsd")
    doubled = bytearray(init)
    start, end = stsd.body + 8, stsd.end
    middle = start + (end - start) // 2  # two boxes where one was
    doubled[start : start + 4] = (middle - start).to_bytes(4, "big")
    doubled[middle : middle + 8] = (end - middle).to_bytes(4, "big") + b"avc1"
    with pytest.raises(Unprotected, match="several sample descriptions"):
        Protector(bytes(doubled), 0)


@given(st.data())
def test_f33_hostile_segments_are_refused_or_mapped(sliced: bytes, data: st.DataObject) -> None:
    init, (clear,) = pieces(sliced)
    at = data.draw(st.integers(0, len(clear) - 1))
    junk = data.draw(st.binary(max_size=20))
    hostile_init = data.draw(st.integers(0, len(init) - 1))
    with contextlib.suppress(BadMedia):
        Protector(init, 0).map_of(clear[:at] + junk + clear[at + len(junk) :], 0)
    with contextlib.suppress(BadMedia):
        Protector(init[:hostile_init] + junk + init[hostile_init + len(junk) :], 0).map_of(clear, 0)
