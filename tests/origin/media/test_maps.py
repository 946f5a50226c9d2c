"""Protection maps come out of their stored form as they went in; a block gives each segment its own."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.names import object_name
from origin.media.maps import SEGMENTS, BadMap, map_object, pack, read_map, unpack, write_block
from origin.media.protection import ProtectionMap, Range, SchemeMap


@st.composite
def schemes(draw: st.DrawFn) -> SchemeMap:
    """A scheme's part, of ranges one after another."""
    samples, at = [], 0
    for steps in draw(
        st.lists(st.lists(st.tuples(st.integers(0, 70_000), st.integers(1, 70_000)), max_size=4))
    ):
        ranges: list[Range] = []
        for gap, length in steps:
            ranges.append((at + gap, length))
            at += gap + length
        samples.append(tuple(ranges))
    return SchemeMap(draw(st.binary(max_size=50)), tuple(samples))


MAPS = st.builds(ProtectionMap, st.integers(0, 1 << 31), st.integers(0, 255), schemes(), schemes())
SMALL = ProtectionMap(40, 9, SchemeMap(b"head", (((0, 16), (20, 32)), ())), SchemeMap(b"h", (((3, 4),),)))


@given(MAPS)
def test_a_map_is_read_as_written(found: ProtectionMap) -> None:
    assert unpack(pack(found)) == found


@given(st.integers(0, 1 << 20), st.lists(MAPS, min_size=1, max_size=4))
def test_a_block_gives_each_segment_its_map(first: int, maps: list[ProtectionMap]) -> None:
    block = write_block(first, [pack(each) for each in maps])
    for number, found in enumerate(maps):
        assert read_map(block, first + number) == found
    for other in (first - 1, first + len(maps)):
        with pytest.raises(BadMap, match=f"of segment {other}"):
            read_map(block, other)


def test_one_map_is_found_without_reading_the_others() -> None:
    maps = [pack(SMALL), b"\xff" * 50, pack(SMALL)]
    assert read_map(write_block(0, maps), 2) == SMALL
    with pytest.raises(BadMap):
        read_map(write_block(0, maps), 1)


def test_blocks_are_objects_of_sixteen_segments() -> None:
    assert SEGMENTS == 16
    names = [object_name(map_object(number)) for number in (0, 15, 16, 1_000_000)]
    assert names == ["map-0", "map-0", "map-1", "map-62500"]


def test_the_stored_form_stays_as_it_is() -> None:
    assert pack(SMALL).hex() == (
        "0109" "00000028"
        "00000004" "00000002" "00000002" "68656164" "00020000" "00000000" "00000010" "00000014" "00000020"
        "00000001" "00000001" "00000001" "68" "0001" "00000003" "00000004"
    )  # fmt: skip
    assert write_block(32, [b"ab", b"c"]).hex() == "010200000020000000120000001400000015616263"


def test_what_is_altered_is_refused() -> None:
    good, samples = pack(SMALL), SMALL.cenc.samples
    backwards = SchemeMap(b"", (((20, 32), (0, 16)),))
    for bad in (
        b"\2" + good[1:],  # version
        good + b"\0",
        good[:10] + b"\xff" + good[11:],  # samples
        good[:24] + b"\1" + good[25:],  # ranges of the first sample
        pack(ProtectionMap(40, 9, backwards, SMALL.cbcs)),
        *(good[:cut] for cut in range(len(good))),
    ):
        with pytest.raises(BadMap):
            unpack(bad)
    for skip, payload in ((256, 0), (0, 1 << 32), (-1, 0)):
        with pytest.raises(BadMap, match="more than"):
            pack(ProtectionMap(payload, skip, SMALL.cenc, SMALL.cbcs))
    with pytest.raises(BadMap, match="more than"):
        pack(ProtectionMap(0, 0, SchemeMap(b"", (samples[0] * 40_000,)), SMALL.cbcs))


@given(st.binary(max_size=80), st.integers(0, 80), st.integers(0, 20))
def test_f33_any_block_is_read_or_refused(junk: bytes, at: int, segment: int) -> None:
    good = write_block(0, [pack(SMALL)] * 2)
    for hostile in (junk, good[:at], good[:at] + junk + good[at + len(junk) :]):
        with contextlib.suppress(BadMap):
            found = read_map(hostile, segment)
            assert unpack(pack(found)) == found, "what is read is a map that could have been written"
