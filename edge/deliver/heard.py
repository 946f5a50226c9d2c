"""What one worker of a node last heard of keys, there for the others: one text, its version and its time.

A worker that has not heard it yet, because it was started while keys was away or it asked before there was
something to tell, takes it over (SECURITY F27). It lies in the memory the workers share (`node_memory`):
without a name in any file system, and gone with the last of them, so that nothing outlives what revoked it.
Nobody locks: a text that two workers wrote at once, or one wrote half, does not match its digest and is none.

    digest 16 · version u64 · heard f64 · length u32 · zero 4 · the text, at most LONGEST bytes
"""

import hashlib
import mmap
import struct
from typing import Final

LONGEST: Final = (1 << 20) - 4096  # bytes: about 8,000 revocations
KEPT_S: Final = 15 * 60.0  # what is older counts no more: no session goes on for longer without keys

_HEAD: Final = struct.Struct("=16sQdI4x")
_EMPTY: Final = bytes(_HEAD.size)
SIZE: Final = 1 << 20  # of the memory, which ends when the text does: pages never written cost nothing


class Heard:
    """One worker's view of a text at `offset` (a multiple of the page size) of the memory file `fd`."""

    def __init__(self, fd: int, offset: int) -> None:
        self._memory = mmap.mmap(fd, SIZE, offset=offset)

    def put(self, text: bytes, heard: float, version: int = 0) -> None:
        """Has a text there that was heard of keys at `heard`, in the machine's monotonic seconds.

        One of an earlier version, or of the same and an earlier time, never replaces another. One that is
        empty or does not fit leaves none: the one before it may say less.
        """
        if (version, heard) < self._rank():
            return
        self._memory[: _HEAD.size] = _EMPTY  # from here on nobody reads it, until it is whole
        if len(text) <= LONGEST:
            self._memory[_HEAD.size : _HEAD.size + len(text)] = text
            digest = _digest(version, heard, text)
            self._memory[: _HEAD.size] = _HEAD.pack(digest, version, heard, len(text))

    def get(self, now: float, after: float = float("-inf")) -> tuple[bytes, float] | None:
        """The text and when it was heard, if that was later than `after` and at most KEPT_S before `now`."""
        digest, version, heard, length = _HEAD.unpack_from(self._memory, 0)
        if not (0 < length <= LONGEST and heard > after and 0 <= now - heard <= KEPT_S):
            return None
        text = self._memory[_HEAD.size : _HEAD.size + length]
        return (text, heard) if _digest(version, heard, text) == digest else None

    def _rank(self) -> tuple[int, float]:
        _, version, heard, length = _HEAD.unpack_from(self._memory, 0)
        return (version, heard) if length else (0, float("-inf"))


def _digest(version: int, heard: float, text: bytes) -> bytes:
    return hashlib.sha256(struct.pack("=Qd", version, heard) + text).digest()[:16]
