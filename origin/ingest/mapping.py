"""The protection maps of one rendition as it is packaged: worked out segment by segment, put into blocks.

Pure. A rendition whose codec, or any of whose segments, cannot be protected has no maps from there on:
`refused` says why.
"""

from origin.media.boxes import BadMedia
from origin.media.maps import SEGMENTS, map_object, pack, write_block
from origin.media.protection import Protector

Block = tuple[str, bytes]  # the object it is stored as, and what is in it


class Mapping:
    """Collects the maps of one rendition. `index`: the rendition's, unique in the asset."""

    def __init__(self, init: bytes, index: int) -> None:
        self.refused = ""  # why the rendition cannot be protected; empty while it can
        self.added = 0  # bytes by which the last segment is longer when its samples are protected, at most
        self._protector: Protector | None = None
        self._next = 0  # segment
        self._packed: list[bytes] = []  # maps since the last block
        try:
            self._protector = Protector(init, index)
        except BadMedia as exc:
            self.refused = str(exc)

    def take(self, segment: bytes) -> Block | None:
        """Works out the map of the next segment; a block whenever one is full."""
        if self._protector is None:
            return None
        try:
            found = self._protector.map_of(segment, self._next)
            self._packed.append(pack(found))
        except BadMedia as exc:
            self._protector, self._packed, self.added = None, [], 0
            self.refused = f"segment {self._next}: {exc}"
            return None
        self.added = max(len(part.head) for part in (found.cenc, found.cbcs)) - found.payload
        self._next += 1
        return self.rest() if len(self._packed) == SEGMENTS else None

    def rest(self) -> Block | None:
        """The block of the maps that are in none yet; None when there are none."""
        if not self._packed:
            return None
        first = self._next - len(self._packed)
        block = write_block(first, self._packed)
        self._packed = []
        return map_object(first), block
