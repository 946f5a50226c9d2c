"""Sealed slices: the published vector, the round trip, and that nothing altered, cut or moved ever opens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.media.seal import (
    SLICE,
    TAG,
    BadSlice,
    Sealer,
    sealed_length,
    sealed_offset,
    slice_count,
    slice_length,
)

KEY = bytes(range(0x60, 0x80))
NAMES = ("tenant-1", "asset-1", 1, "720p", "7.m4s")


def test_the_vector_of_the_specification_holds() -> None:
    """SECURITY 3.3, row "sealed slice"."""
    sealed = Sealer(KEY, *NAMES).seal(0, b"segment seven")
    assert sealed.hex() == "b38003a6306a5d22b29c55409c80b68d7ce11dac2e2753a7345472e4a1"


@given(st.binary(max_size=2000), st.integers(0, 1 << 32))
def test_a_sealed_slice_opens_to_what_was_sealed(plain: bytes, index: int) -> None:
    sealer = Sealer(KEY, *NAMES)
    sealed = sealer.seal(index, plain)
    assert len(sealed) == len(plain) + TAG
    assert sealer.open(index, memoryview(sealed)) == plain


@given(st.binary(max_size=200), st.integers(0), st.integers(0, 7))
def test_t20_a_slice_with_any_bit_flipped_does_not_open(plain: bytes, where: int, bit: int) -> None:
    sealed = bytearray(Sealer(KEY, *NAMES).seal(0, plain))
    sealed[where % len(sealed)] ^= 1 << bit
    with pytest.raises(BadSlice):
        Sealer(KEY, *NAMES).open(0, bytes(sealed))


@given(st.binary(max_size=200), st.data())
def test_t20_a_slice_cut_or_lengthened_does_not_open(plain: bytes, data: st.DataObject) -> None:
    sealed = Sealer(KEY, *NAMES).seal(0, plain)
    cut = data.draw(st.integers(0, len(sealed) - 1))
    for wrong in (sealed[:cut], sealed + b"\0"):
        with pytest.raises(BadSlice):
            Sealer(KEY, *NAMES).open(0, wrong)


@pytest.mark.parametrize(
    "names",
    [
        ("tenant-2", "asset-1", 1, "720p", "7.m4s"),
        ("tenant-1", "asset-2", 1, "720p", "7.m4s"),
        ("tenant-1", "asset-1", 2, "720p", "7.m4s"),
        ("tenant-1", "asset-1", 1, "360p", "7.m4s"),
        ("tenant-1", "asset-1", 1, "720p", "8.m4s"),
    ],
)
def test_t20_a_slice_in_anothers_place_does_not_open(names: tuple[str, str, int, str, str]) -> None:
    sealed = Sealer(KEY, *NAMES).seal(0, b"segment seven")
    with pytest.raises(BadSlice):
        Sealer(KEY, *names).open(0, sealed)
    with pytest.raises(BadSlice):
        Sealer(KEY, *NAMES).open(1, sealed)
    with pytest.raises(BadSlice):
        Sealer(bytes(32), *NAMES).open(0, sealed)


@pytest.mark.parametrize("length", [0, 1, SLICE - 1, SLICE, SLICE + 1, 2 * SLICE + 7])
def test_an_object_is_its_slices_one_after_another(length: int) -> None:
    plain = bytes(length)
    sealer = Sealer(KEY, *NAMES)
    slices = list(sealer.seal_all(plain))
    stored = b"".join(slices)
    assert len(slices) == slice_count(length)
    assert len(stored) == sealed_length(length)
    opened = []
    for index in range(slice_count(length)):
        size = slice_length(length, index)
        at = sealed_offset(index)
        opened.append(sealer.open(index, stored[at : at + size + TAG]))
        assert len(opened[-1]) == size
    assert b"".join(opened) == plain
