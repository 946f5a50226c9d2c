"""The leases that the workers of a node share: a viewer's next connection may land on any of them.

Without it, a worker that a session comes to for the first time while keys is away would have to answer 503,
though the worker beside it holds the lease (SECURITY F27). The shelf lies in the memory the workers share
(`node_memory`), never in a file: leases are still in memory only (SECURITY 3.4).

    index:   for each slot  tag 16 · taken f64 · length u32 · digest 16 · zero 4
    slots:   the lease as JSON, at most SLOT bytes
Nobody locks: a slot that two workers wrote at once does not match its digest, and is empty. A session may
lie in WAYS places; where all are taken the oldest lease goes, and that session asks keys again.
"""

import hashlib
import json
import mmap
import struct
from typing import Final

from keys.leases import Lease

SLOTS: Final = 8192
SLOT: Final = 2048  # bytes
WAYS: Final = 4
KEPT_S: Final = 20 * 60.0  # no lease is good for so long, stretched or not

_ROW: Final = struct.Struct("=16sdI16s4x")
_EMPTY: Final = bytes(_ROW.size)
SIZE: Final = SLOTS * (_ROW.size + SLOT)  # of the memory


class LeaseShelf:
    """One worker's view of the shelf at the start of the memory file `fd`. Times are monotonic seconds."""

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, SIZE)

    def put(self, lease: Lease, taken: float) -> None:
        """Has a lease that was taken at `taken` there for all workers, if it fits."""
        text = json.dumps(lease.to_json(), ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) > SLOT:
            return
        tag = _tag(lease.sid)
        place = self._place_for(tag)
        self._write_row(place, _EMPTY)  # from here on nobody reads it, until it is whole
        self._memory[_slot(place) : _slot(place) + len(text)] = text
        self._write_row(place, _ROW.pack(tag, taken, len(text), _digest(tag, taken, text)))

    def get(self, sid: str) -> tuple[Lease, float] | None:
        """The lease of a session and when it was taken, if some worker of this node took one."""
        tag = _tag(sid)
        for place in _places(tag):
            found, taken, length, digest = self._row(place)
            if found == tag and length <= SLOT:
                text = self._memory[_slot(place) : _slot(place) + length]
                if _digest(tag, taken, text) == digest:
                    return Lease.from_json(json.loads(text)), taken
        return None

    def forget(self, sid: str) -> None:
        """Removes the lease of a session for all workers: keys gives none any more."""
        tag = _tag(sid)
        for place in _places(tag):
            if self._row(place)[0] == tag:
                self._wipe(place)

    def sweep(self, now: float) -> None:
        """Removes leases that are good no more: their keys are not to lie about."""
        for place in range(SLOTS):
            taken = self._row(place)[1]
            if taken and now - taken > KEPT_S:
                self._wipe(place)

    def _place_for(self, tag: bytes) -> int:
        """The session's own place, else an empty one, else that of the oldest lease."""

        def worth(place: int) -> tuple[bool, float]:
            row = self._row(place)
            return row[0] != tag, row[1]

        return min(_places(tag), key=worth)

    def _row(self, place: int) -> tuple[bytes, float, int, bytes]:
        tag, taken, length, digest = _ROW.unpack_from(self._memory, place * _ROW.size)
        return tag, taken, length, digest

    def _write_row(self, place: int, row: bytes) -> None:
        self._memory[place * _ROW.size : (place + 1) * _ROW.size] = row

    def _wipe(self, place: int) -> None:
        self._write_row(place, _EMPTY)
        self._memory[_slot(place) : _slot(place) + SLOT] = bytes(SLOT)


def _tag(sid: str) -> bytes:
    return hashlib.sha256(sid.encode()).digest()[:16]


def _digest(tag: bytes, taken: float, text: bytes) -> bytes:
    return hashlib.sha256(tag + struct.pack("=d", taken) + text).digest()[:16]


def _places(tag: bytes) -> range:
    first = int.from_bytes(tag[:4], "big") % (SLOTS // WAYS) * WAYS
    return range(first, first + WAYS)


def _slot(place: int) -> int:
    return SLOTS * _ROW.size + place * SLOT
