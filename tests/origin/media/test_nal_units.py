"""Slices are found behind lengths of any size; what does not fit its sample is refused."""

import contextlib
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.media.bits import BadSyntax
from origin.media.box_writing import box
from origin.media.boxes import BadMedia, Box
from origin.media.nal_units import NalConfig, avc_config, hevc_config, slices
from tests.support.avc_streams import AvcStream
from tests.support.hevc_streams import HevcStream

AVC, HEVC = AvcStream(random.Random(4)), HevcStream(random.Random(4))


def whole(data: bytes) -> Box:
    """A parent around these boxes."""
    return Box("avc1", 0, 0, len(data))


def counted(nals: list[bytes]) -> bytes:
    return b"".join(struct.pack(">H", len(nal)) + nal for nal in nals)


def avcc(length_size: int, sets: list[bytes], pictures: list[bytes]) -> bytes:
    head = bytes((1, 77, 0, 40, 0xFC | length_size - 1, 0xE0 | len(sets)))
    return box("avcC", head, counted(sets), bytes([len(pictures)]), counted(pictures))


def hvcc(length_size: int, *arrays: list[bytes]) -> bytes:
    rows = [bytes([0x20]) + struct.pack(">H", len(nals)) + counted(nals) for nals in arrays]
    return box("hvcC", b"\1" + bytes(20), bytes((0xFC | length_size - 1, len(rows))), *rows)


def of_avc(length_size: int = 4) -> NalConfig:
    data = avcc(length_size, AVC.nals[:2], [*AVC.nals[2:5], b""])
    return avc_config(data, whole(data))


def of_hevc(length_size: int = 4) -> NalConfig:
    data = hvcc(length_size, HEVC.nals[:1], HEVC.nals[1:3], HEVC.nals[3:6])
    return hevc_config(data, whole(data))


@pytest.mark.parametrize("length_size", [2, 4])
@pytest.mark.parametrize("codec", ["avc", "hevc"])
def test_slices_of_a_sample_are_found(codec: str, length_size: int) -> None:
    config, nals = (of_avc, AVC.nals[5:]) if codec == "avc" else (of_hevc, HEVC.nals[6:])
    other = b"\x06\x05" if codec == "avc" else b"\x4e\x01"  # SEI
    sample, expected = b"", []
    for nal in nals:
        for unit in (other, b"", nal):
            sample += len(unit).to_bytes(length_size, "big") + unit
        expected.append((len(sample) - len(nal), len(sample)))
    found = list(slices(memoryview(sample), config(length_size).length_size, config(length_size).headers()))
    assert [end for _, end in found] == [end for _, end in expected]
    assert all(start < data < end for (data, _), (start, end) in zip(found, expected, strict=True))


def test_sets_in_band_hold_for_what_follows_in_the_segment_alone() -> None:
    config = of_avc()
    other = next(
        s for s in (AvcStream(random.Random(seed)) for seed in range(99)) if s.headers != AVC.headers
    )
    sample = b"".join(len(nal).to_bytes(4, "big") + nal for nal in other.nals)
    assert len(list(slices(memoryview(sample), 4, config.headers()))) == len(other.headers)
    with pytest.raises(BadSyntax, match="without its parameter sets"):
        list(slices(memoryview(sample[len(sample) - 4 - len(other.nals[-1]) :]), 4, config.headers()))


def test_units_that_run_over_the_sample_and_lengths_of_three_bytes_are_refused() -> None:
    for sample in (b"\0\0\0\2\x06", b"\0\0\0", b"\0\0\0\1\x06\0"):
        with pytest.raises(BadSyntax, match="over the end"):
            list(slices(memoryview(sample), 4, of_avc().headers()))
    for make in (of_avc, of_hevc):
        with pytest.raises(BadSyntax, match="3 bytes"):
            make(3)


CONFIGS = (of_avc(1), of_avc(4), of_hevc(2))


@given(st.binary(max_size=60))
def test_f33_any_configuration_and_sample_is_read_or_refused(junk: bytes) -> None:
    for read, data in ((avc_config, box("avcC", junk)), (hevc_config, box("hvcC", bytes(21), junk))):
        with contextlib.suppress(BadMedia):
            read(data, whole(data))
    for config in CONFIGS:
        with contextlib.suppress(BadMedia):
            list(slices(memoryview(junk), config.length_size, config.headers()))
