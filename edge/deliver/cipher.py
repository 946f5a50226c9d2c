"""How a stored segment becomes a session's: AES-128-CBC in pieces, straight from the cached slices.

HLS `AES-128` (RFC 8216 §4.3.2.4, §5.2): the whole resource in CBC with PKCS#7 padding, IV = media
sequence number as 128-bit big-endian. The key already holds session, generation, rendition and period, so
a (key, IV) never covers two plaintexts (SECURITY 3.3). Pieces go into pooled buffers with `update_into`:
fresh memory for each body would cost more in page faults than the cipher itself.

A transport may still hold a buffer after `send` returned. A buffer is reused only when a resize probe on
its bytearray succeeds: CPython refuses to resize while any memoryview or C buffer onto it lives. The
reference count shows that nobody holds the bytearray itself.
"""

import sys
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from edge.deliver.turns import Share, Turns
from keys.problems import Problem
from origin.media.seal import slice_count, slice_length

PIECE: Final = 256 * 1024  # plain bytes to one piece: a multiple of the block
BLOCK: Final = 16
_BUFFER: Final = PIECE + 2 * BLOCK  # update_into wants a block of room; the padded tail takes another
_ONLY_OURS: Final = 2  # references while we look, at most: the local name and getrefcount's own argument


def cipher_length(plain_length: int) -> int:
    """Bytes of the encrypted body: always at least one byte of padding (PKCS#7)."""
    return (plain_length // BLOCK + 1) * BLOCK


def segment_iv(number: int) -> bytes:
    """The implicit IV of segment `number`."""
    return number.to_bytes(BLOCK, "big")


class BufferPool:
    """Buffers of one piece, used again once nobody else can see them. For one thread only."""

    def __init__(self, kept: int = 64, size: int = _BUFFER) -> None:
        self._buffers: deque[bytearray] = deque()
        self._kept = kept
        self._size = size

    def __len__(self) -> int:
        return len(self._buffers)

    def take(self) -> bytearray:
        """A buffer that nothing else refers to; of PIECE + 2 blocks where no other `size` was asked for."""
        for _ in range(min(4, len(self._buffers))):  # the oldest are the likeliest to be free
            buffer = self._buffers.popleft()
            if sys.getrefcount(buffer) <= _ONLY_OURS and _resizable(buffer):
                return buffer
            self._buffers.append(buffer)
        return bytearray(self._size)

    def give(self, buffer: bytearray) -> None:
        """Hands a buffer back, whoever may still be reading it."""
        if len(buffer) == self._size and len(self._buffers) < self._kept:
            self._buffers.append(buffer)


def _resizable(buffer: bytearray) -> bool:
    try:
        buffer.append(0)
        del buffer[-1]
    except BufferError:  # a view or a transport still exports it
        return False
    return True


class SegmentCipher:
    """Encrypts one body, fed in order; every feed but the last is a multiple of 16 bytes."""

    def __init__(self, key: bytes, number: int) -> None:
        self._context: CipherContext = Cipher(AES(key), CBC(segment_iv(number))).encryptor()

    def into(self, buffer: bytearray, plain: memoryview, *, last: bool) -> int:
        """Encrypts up to PIECE bytes into the buffer, padded when `last`; how many bytes came out."""
        whole = len(plain) - len(plain) % BLOCK
        if whole != len(plain) and not last:
            raise ValueError("only the last piece may end inside a block")
        done = self._context.update_into(plain[:whole], buffer) if whole else 0
        if last:
            tail = bytes(plain[whole:])
            missing = BLOCK - len(tail)
            buffer[done : done + BLOCK] = self._context.update(tail + bytes([missing]) * missing)
            done += BLOCK
        return done

    def whole(self, plain: bytes) -> bytes:
        """A small body, encrypted at once."""
        missing = BLOCK - len(plain) % BLOCK
        return self._context.update(plain + bytes([missing]) * missing)


async def encrypted(
    key: bytes,
    number: int,
    length: int,
    slice_at: Callable[[int], Awaitable[memoryview]],
    pool: BufferPool,
    turns: Turns,
    *,
    start: int,
    stop: int,
    lead: int = 0,
) -> AsyncGenerator[memoryview, None]:
    """Bytes `start` ≤ i < `stop` of the encrypted body, in pieces. CBC is serial: the rest before is too.

    `slice_at(i)` gives plain slice i of an object of `length` bytes; Problem bad_upstream when it is of
    another length. Pieces that are taken at once share one of `turns`. Each is only valid until the next is
    asked for, unless the receiver keeps a view of it. `lead` plain bytes, a multiple of 16, come first as a
    piece of their own, in a small buffer: for who keeps that piece long.
    """
    cipher = SegmentCipher(key, number)
    share = Share(turns)
    index = out = 0
    while out < stop:
        plain = await slice_at(index)
        if len(plain) != slice_length(length, index):
            raise Problem("bad_upstream", detail=f"slice {index} of {length} bytes has {len(plain)}")
        for piece, last in _pieces(plain, lead if not index else 0, at_end=index == slice_count(length) - 1):
            await share.next(first=not out)
            buffer = pool.take() if out or not lead else bytearray(lead + 2 * BLOCK)
            made = cipher.into(buffer, piece, last=last)
            if out + made > start:
                yield memoryview(buffer)[max(0, start - out) : min(made, stop - out)]
            pool.give(buffer)
            del buffer  # else this frame's own reference would keep it from being taken again
            out += made
            if out >= stop:
                return
        index += 1


def _pieces(plain: memoryview, lead: int, *, at_end: bool) -> Iterator[tuple[memoryview, bool]]:
    if lead:
        yield plain[:lead], at_end and lead >= len(plain)
    for start in range(lead, len(plain) or 1, PIECE):
        yield plain[start : start + PIECE], at_end and start + PIECE >= len(plain)
