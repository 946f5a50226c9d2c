"""Encryption in pieces equals encryption in one go, and no buffer is reused while anybody can see it."""

import asyncio

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.deliver.cipher import PIECE, BufferPool, SegmentCipher, cipher_length, encrypted, segment_iv
from edge.deliver.turns import IN_A_ROW, Turns
from keys.problems import Problem
from origin.media.seal import SLICE

KEY = bytes(range(16))


def reference(number: int, plain: bytes) -> bytes:
    """The whole body in one go."""
    padder = PKCS7(128).padder()
    padded = padder.update(plain) + padder.finalize()
    writer = Cipher(algorithms.AES(KEY), modes.CBC(number.to_bytes(16, "big"))).encryptor()
    return writer.update(padded) + writer.finalize()


async def collected(
    number: int, plain: bytes, start: int, stop: int, pool: BufferPool, lead: int = 0
) -> bytes:
    async def slice_at(index: int) -> memoryview:
        return memoryview(plain)[index * SLICE : (index + 1) * SLICE]

    pieces = encrypted(KEY, number, len(plain), slice_at, pool, Turns(), start=start, stop=stop, lead=lead)
    return b"".join([bytes(piece) async for piece in pieces])


@pytest.mark.parametrize(
    "size",
    [0, 1, 15, 16, 17, PIECE - 1, PIECE, PIECE + 1, SLICE - 1, SLICE, SLICE + 1, 2 * SLICE, 2 * SLICE + 33],
)
async def test_pieces_are_the_whole_body(size: int) -> None:
    plain = bytes(i * 7 % 251 for i in range(1000)) * (size // 1000 + 1)
    plain = plain[:size]
    found = await collected(5, plain, 0, cipher_length(size), BufferPool())
    assert found == reference(5, plain)
    assert len(found) == cipher_length(size)


class Counted(Turns):
    """How many turns were taken."""

    taken = 0

    async def next(self, *, first: bool = False) -> None:
        self.taken += 1
        await super().next(first=first)


@pytest.mark.parametrize("at_once", [True, False])
async def test_pieces_taken_at_once_share_a_turn_and_who_waits_takes_another(at_once: bool) -> None:
    plain, turns = bytes(4 * IN_A_ROW * PIECE), Counted()

    async def slice_at(index: int) -> memoryview:
        return memoryview(plain)[index * SLICE : (index + 1) * SLICE]

    async for _ in encrypted(KEY, 0, len(plain), slice_at, BufferPool(), turns, start=0, stop=len(plain)):
        if not at_once:
            await asyncio.sleep(0)  # as when the client's socket is full
    assert turns.taken == (4 if at_once else 4 * IN_A_ROW)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, PIECE, SLICE, SLICE + 1])
async def test_a_lead_is_a_small_piece_of_the_same_body(size: int) -> None:
    plain, pool = b"0123456789abcdef" * (size // 16) + b"x" * (size % 16), BufferPool()
    found = await collected(5, plain, 0, cipher_length(size), pool, lead=4096)
    assert found == reference(5, plain)
    assert all(len(buffer) > PIECE for buffer in pool._buffers)  # its buffer is nobody else's


@settings(max_examples=60, deadline=None)
@given(st.integers(0, SLICE + 2 * PIECE), st.data())
def test_t10_any_range_of_any_body_is_those_bytes_of_the_body(size: int, data: st.DataObject) -> None:
    plain = (b"0123456789abcde" * (size // 15 + 1))[:size]
    stop = data.draw(st.integers(1, cipher_length(size)))
    start = data.draw(st.integers(0, stop - 1))
    found = asyncio.run(collected(9, plain, start, stop, BufferPool()))
    assert found == reference(9, plain)[start:stop]


async def test_pieces_held_on_to_are_never_overwritten() -> None:
    plain = bytes(i % 256 for i in range(SLICE))

    async def slice_at(index: int) -> memoryview:
        return memoryview(plain)

    pool = BufferPool()
    held = [
        piece
        for number in range(3)
        async for piece in encrypted(
            KEY, number, len(plain), slice_at, pool, Turns(), start=0, stop=cipher_length(len(plain))
        )
    ]
    whole = b"".join(bytes(piece) for piece in held)
    assert whole == b"".join(reference(number, plain) for number in range(3))


def test_a_buffer_comes_back_only_when_nobody_sees_it() -> None:
    pool = BufferPool()
    buffer = pool.take()
    first = id(buffer)
    view = memoryview(buffer)[:10]
    pool.give(buffer)
    del buffer
    other = pool.take()
    assert id(other) != first  # a view is out
    view.release()
    pool.give(other)
    holder = [other]
    del other
    assert id(pool.take()) == first  # free again, and first in line
    assert len(pool) == 1  # the other one waits: somebody holds it
    assert holder


def test_the_pool_keeps_no_more_than_it_may() -> None:
    pool = BufferPool(kept=2)
    for buffer in [pool.take() for _ in range(5)]:
        pool.give(buffer)
    assert len(pool) == 2


async def test_a_slice_of_the_wrong_length_is_never_encrypted() -> None:
    async def short(index: int) -> memoryview:
        return memoryview(bytes(10))

    with pytest.raises(Problem) as caught:
        async for _ in encrypted(KEY, 0, 20, short, BufferPool(), Turns(), start=0, stop=32):
            pass
    assert caught.value.code == "bad_upstream"


def test_only_the_last_piece_may_end_inside_a_block() -> None:
    with pytest.raises(ValueError, match="last piece"):
        SegmentCipher(KEY, 0).into(bytearray(64), memoryview(bytes(17)), last=False)


def test_the_iv_is_the_segment_number() -> None:
    assert segment_iv(7) == bytes(15) + b"\x07"
    assert segment_iv(0x1234) == bytes(14) + b"\x12\x34"
