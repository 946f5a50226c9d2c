"""Bits and Exp-Golomb codes read back as written; emulation prevention comes out and is counted."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.media.bits import BadSyntax, Bits, escaped_length, unescaped, width
from tests.support.bit_writer import Writer, escaped

FEW = st.lists(st.sampled_from([0, 1, 2, 3, 4, 255]), max_size=60).map(bytes)


@given(st.lists(st.integers(0, (1 << 32) - 2)), st.lists(st.integers(-(1 << 31) + 1, (1 << 31) - 1)))
def test_codes_are_read_as_written(unsigned: list[int], signed: list[int]) -> None:
    w = Writer(b"")
    for value in unsigned:
        w.ue(value)
    for value in signed:
        w.se(value)
    bits = Bits(w.data() if len(w) else b"")
    assert [bits.ue() for _ in unsigned] == unsigned
    assert [bits.se() for _ in signed] == signed
    assert (bits.at, bits.bytes_read) == (len(w), (len(w) + 7) // 8)


@given(st.lists(st.integers(0, 70).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, (1 << n) - 1)))))
def test_fields_of_any_width_are_read_as_written(fields: list[tuple[int, int]]) -> None:
    w = Writer(b"\xa5")
    for count, value in fields:
        w.u(count, value)
    bits = Bits(w.data(), 8)
    assert [bits.u(count) for count, _ in fields] == [value for _, value in fields]


@given(FEW)
def test_emulation_prevention_is_undone_and_every_length_found_again(rbsp: bytes) -> None:
    nal = escaped(rbsp)
    assert unescaped(nal) == rbsp
    for length in range(len(rbsp) + 1):
        head = nal[: escaped_length(nal, length)]
        assert unescaped(head) == rbsp[:length]
        assert not head.endswith(b"\0\0\3"), "the byte that belongs to what follows stays with it"


def test_what_ends_in_a_field_is_refused() -> None:
    reads: list[Callable[[Bits], object]] = [
        lambda b: b.u(9),
        lambda b: b.skip(9),
        lambda b: b.ue(),
        lambda b: b.align(),
    ]
    for read in reads:
        with pytest.raises(BadSyntax):
            read(Bits(b"\0"))
    with pytest.raises(BadSyntax, match="without end"):
        Bits(bytes(9)).ue()
    with pytest.raises(BadSyntax, match="at most"):
        Bits(b"\x20").ue(2)


def test_the_width_of_a_field_that_tells_values_apart() -> None:
    assert [width(count) for count in (0, 1, 2, 3, 4, 5, 8, 9)] == [0, 0, 1, 2, 2, 3, 3, 4]
