"""How a stored segment becomes a session's under Common Encryption (ISO/IEC 23001-7): by its protection map.

    head of the map ‖ media data, of which the map's ranges are encrypted

in pieces, straight from the cached slices, and from any byte on. `cenc` is AES-128-CTR with one context,
which gets each sample's IV in turn. `cbcs` is AES-128-CBC: of a range the blocks to encrypt are gathered by
views with strides, go through the cipher in one call and are put back the same way.

CBC begins anew at each range, and a new context costs more than a range of sound does. One context serves a
body instead: what it chains with is known, the last block it gave, and is taken out of the first block of
the next range together with putting the IV in. E(P ⊕ last ⊕ IV ⊕ last) = E(P ⊕ IV).

A piece may end inside a sample, but inside a `cbcs` range only where its pattern begins again: what is left
over is carried into the piece that follows. Pure, but for waiting for slices and turns.
"""

from bisect import bisect_right
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, CTR

from edge.deliver.cipher import BLOCK, PIECE, BufferPool
from edge.deliver.turns import Share, Turns
from keys.problems import Problem
from origin.media.maps import BadMap
from origin.media.protection import ProtectionMap, sample_iv
from origin.media.seal import SLICE, slice_length

WORD: Final = 8  # bytes of what strided views move
WORDS: Final = BLOCK // WORD  # two of them


@dataclass(frozen=True, slots=True)
class Mapped:
    """What one scheme does to a segment, in the form delivery goes through. The same for every session.

    Places are counted from the first byte of the media data. Ranges do not overlap and none is empty.
    """

    scheme: str
    head: bytes  # in place of the first `clear` bytes of the stored segment
    clear: int
    size: int  # bytes of media data
    unit: int  # cbcs: bytes from one encrypted block of a range to the next
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    ivs: tuple[bytes, ...]  # cenc: the counter block a range begins with; empty: it goes on with its sample's
    iv: bytes = b""  # cbcs: of the track

    @property
    def length(self) -> int:
        """Bytes of the protected segment."""
        return len(self.head) + self.size

    def begins(self, place: int) -> int:
        """Where encryption must begin to make the byte at `place`: at most as far back as its sample."""
        number = bisect_right(self.ends, place)
        if number == len(self.starts):
            return place
        while self.scheme == "cenc" and number and not self.ivs[number]:
            number -= 1
        return min(place, self.starts[number])

    def slices(self, start: int, stop: int) -> range:
        """The stored slices that bytes `start` ≤ i < `stop` of the protected segment are made of."""
        first = self.clear + self.begins(max(0, start - len(self.head)))
        last = self.clear + min(self.size, max(0, stop - len(self.head)) + self.unit) - 1
        return range(first // SLICE, max(first, last) // SLICE + 1)


def mapped(
    found: ProtectionMap, scheme: str, length: int, *, rendition: int, position: int, iv: bytes
) -> Mapped:
    """The map of a segment of `length` bytes for delivery. BadMap when it is not of such a segment.

    `rendition` is its index, `position` the segment's number, `iv` the track's for cbcs.
    """
    part = found.cenc if scheme == "cenc" else found.cbcs
    rows: list[tuple[int, int, bytes]] = []
    for number, ranges in enumerate(part.samples):
        counter = sample_iv(rendition, position, number) + bytes(8) if scheme == "cenc" else b""
        for start, size in ranges:
            if size:
                rows.append((start, start + size, counter))
                counter = b""
    size = length - found.payload
    if size < 0 or (rows and rows[-1][1] > size):
        raise BadMap("a protection map of another segment")
    starts, ends = tuple(row[0] for row in rows), tuple(row[1] for row in rows)
    ivs = tuple(row[2] for row in rows)
    unit = BLOCK * (found.skip + 1) if scheme == "cbcs" else 1
    return Mapped(scheme, part.head, found.payload, size, unit, starts, ends, ivs, iv)


@dataclass(frozen=True, slots=True)
class ProtectedForm:
    """A session's form of one segment. Its `length` is known before any of it is made."""

    mapped: Mapped
    key: bytes = field(repr=False)

    @property
    def length(self) -> int:
        """Bytes of the whole."""
        return self.mapped.length

    def slices(self, start: int, stop: int) -> range:
        """The stored slices those bytes of it are made of."""
        return self.mapped.slices(start, stop)

    async def pieces(
        self,
        slice_at: Callable[[int], Awaitable[memoryview]],
        pool: BufferPool,
        turns: Turns,
        *,
        start: int,
        stop: int,
        lead: int = 0,
    ) -> AsyncGenerator[memoryview, None]:
        """Bytes `start` ≤ i < `stop`, in pieces; as `cipher.encrypted`, also in what a piece is good for.

        With `lead` the head comes as a piece of its own: no media is in it.
        """
        if start >= stop:
            return
        what = self.mapped
        head, length = what.head, what.clear + what.size
        if start < len(head) and (lead or stop <= len(head) or len(head) > PIECE // 2):
            yield memoryview(head)[start:stop]
            start = len(head)
        ahead = head[start:] if start < len(head) else b""  # what goes out in front of the next piece
        place = what.begins(max(0, start - len(head)))
        skipped = max(0, start - len(head)) - place  # bytes that are made, and not asked for
        left = stop - start
        work = PROTECTORS[what.scheme](what, self.key, place)
        share = Share(turns)
        first = True
        carried = b""
        index, offset = divmod(what.clear + place, SLICE)
        while left > 0:
            plain = await slice_at(index)
            if len(plain) != slice_length(length, index):
                raise Problem("bad_upstream", detail=f"slice {index} of {length} bytes has {len(plain)}")
            while offset < len(plain) and left > 0:
                await share.next(first=first)
                first = False
                buffer = pool.take()
                target = memoryview(buffer)
                before = len(ahead)
                target[:before] = ahead
                fresh = plain[offset : offset + PIECE - before - len(carried)]
                made = work.into(target[before:], carried, fresh, pool)
                carried = bytes(target[before + made : before + len(carried) + len(fresh)])
                offset += len(fresh)
                piece = target[min(skipped, before + made) : before + made][:left]
                skipped = max(0, skipped - made)
                left -= len(piece)
                ahead = b""
                if piece:
                    yield piece
                pool.give(buffer)
                del piece, target, buffer  # else this frame's own views would keep it from being taken again
            index, offset = index + 1, 0


class Protects(Protocol):
    """What encrypts the media data of one body, fed in order from the place it was made for."""

    def into(self, target: memoryview, carried: bytes, fresh: memoryview, pool: BufferPool) -> int:
        """Puts `carried` and `fresh` into the target, encrypted; how many bytes of it are done.

        What is not done is in the target as it came, and is to be carried. The target has a block of room
        after it.
        """
        ...


class Counter:
    """`cenc`."""

    def __init__(self, what: Mapped, key: bytes, place: int) -> None:
        self._what = what
        self._place = place
        self._next = bisect_right(what.ends, place)
        self._context: CipherContext = Cipher(AES(key), CTR(bytes(BLOCK))).encryptor()

    def into(self, target: memoryview, carried: bytes, fresh: memoryview, pool: BufferPool) -> int:
        """See Protects. Nothing is ever carried: a counter goes on anywhere."""
        starts, ends, ivs = self._what.starts, self._what.ends, self._what.ivs
        update, reset = self._context.update_into, self._context.reset_nonce
        base, done, number, count = self._place, 0, self._next, len(starts)
        size = len(fresh)
        while number < count:
            start, end = starts[number] - base, ends[number] - base
            if start >= size:
                break
            if start >= done:
                target[done:start] = fresh[done:start]
                done = start
                if ivs[number]:
                    reset(ivs[number])
            if end > size:
                update(fresh[done:], target[done:])
                done = size
                break
            update(fresh[done:end], target[done:])
            done = end
            number += 1
        target[done:size] = fresh[done:]
        self._next, self._place = number, base + size
        return size


class Chain:
    """`cbcs`."""

    def __init__(self, what: Mapped, key: bytes, place: int) -> None:
        self._what = what
        self._place = place
        self._next = bisect_right(what.ends, place)
        self._context: CipherContext = Cipher(AES(key), CBC(what.iv)).encryptor()
        self._turn = 0, 0  # last ⊕ IV, of the last block the context gave, in words

    def into(self, target: memoryview, carried: bytes, fresh: memoryview, pool: BufferPool) -> int:
        """See Protects. Carried is what does not fill a pattern of a range that goes on."""
        starts, ends, unit = self._what.starts, self._what.ends, self._what.unit
        size = len(carried) + len(fresh)
        target[: len(carried)] = carried
        target[len(carried) : size] = fresh
        base, number, made, count = self._place, self._next, size, len(starts)
        gathers, step = unit > BLOCK, unit // WORD
        scratch = pool.take() if gathers else bytearray()
        room = memoryview(scratch)
        words = room.cast("Q")
        update = self._context.update_into
        # By words, not as a number of 16 bytes: half the time for what each range begins and ends with.
        (first, second), (iv, more) = self._turn, memoryview(self._what.iv).cast("Q")
        while number < count:
            start, end = starts[number] - base, ends[number] - base
            if start >= size:
                break
            begin = start if start > 0 else 0
            if end > size:  # only whole patterns of it: the next is then known to begin with a block
                blocks = (size - begin) // unit
                made = begin + blocks * unit
            else:
                blocks = (end - begin - BLOCK) // unit + 1
            if blocks > 0:
                spread = target[begin : begin + unit * (blocks - 1) + BLOCK].cast("Q")
                stop = WORDS * blocks
                if gathers:
                    even, odd = spread[0::step], spread[1::step]
                    low, high = words[0:stop:WORDS], words[1:stop:WORDS]
                    low[:], high[:] = even, odd
                else:
                    words, room = spread, target[begin:]
                if start >= 0:
                    words[0] ^= first
                    words[1] ^= second
                update(room[: BLOCK * blocks], room)
                first, second = words[stop - WORDS] ^ iv, words[stop - 1] ^ more
                if gathers:
                    even[:], odd[:] = low, high
            if end > size:
                break
            number += 1
        pool.give(scratch)
        self._turn = first, second
        self._next, self._place = number, base + made
        return made


PROTECTORS: Final[dict[str, Callable[[Mapped, bytes, int], Protects]]] = {"cenc": Counter, "cbcs": Chain}
