"""The forms a stored segment may have on its way out: how long each is, and what its bytes are made of."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from edge.deliver.cipher import BufferPool, cipher_length, encrypted
from edge.deliver.turns import Turns
from origin.media.seal import slice_count


class Form(Protocol):
    """A session's form of one segment; `common_encryption.ProtectedForm` is one of samples."""

    @property
    def length(self) -> int:
        """Bytes of the whole."""
        ...

    def slices(self, start: int, stop: int) -> range:
        """The stored slices that bytes `start` ≤ i < `stop` of it are made of."""
        ...

    def pieces(
        self,
        slice_at: Callable[[int], Awaitable[memoryview]],
        pool: BufferPool,
        turns: Turns,
        *,
        start: int,
        stop: int,
        lead: int = 0,
    ) -> AsyncGenerator[memoryview, None]:
        """Those bytes of it, in pieces, as `cipher.encrypted`."""
        ...


@dataclass(frozen=True, slots=True)
class WholeForm:
    """`aes`: the whole segment in CBC."""

    stored: int  # bytes
    number: int
    key: bytes = field(repr=False)

    @property
    def length(self) -> int:
        """Bytes of the whole."""
        return cipher_length(self.stored)

    def slices(self, start: int, stop: int) -> range:
        """CBC: all before those bytes too."""
        return range(min(slice_count(self.stored), slice_count(stop)))

    def pieces(
        self,
        slice_at: Callable[[int], Awaitable[memoryview]],
        pool: BufferPool,
        turns: Turns,
        *,
        start: int,
        stop: int,
        lead: int = 0,
    ) -> AsyncGenerator[memoryview, None]:
        """Those bytes of it, in pieces."""
        return encrypted(
            self.key, self.number, self.stored, slice_at, pool, turns, start=start, stop=stop, lead=lead
        )
