"""The protection maps one worker goes by: read through the cache, parsed once, the last used ones kept.

A block of maps is an object like others: sealed, listed by digest, in L1 once somebody asked. What is kept
here is parsed, for one scheme, and the same for every session. `aes` asks for none of it.
"""

from collections import OrderedDict
from typing import Final

from edge.deliver.common_encryption import Mapped, mapped
from edge.deliver.needs import Library
from edge.deliver.samples import Samples
from keys.leases import Lease
from keys.problems import Problem
from origin.media.asset import Rendition
from origin.media.boxes import BadMedia
from origin.media.maps import map_object, read_map
from origin.media.seal import slice_count

MOST_BYTES: Final = 32 << 20  # about, of parsed maps: some hundred segments
RANGE_BYTES: Final = 160  # about, of one parsed range

_Key = tuple[str, str, int, str, int, Samples]  # tenant, asset, generation, rendition, segment


class Maps:
    """Parsed maps, the least recently used let go first."""

    def __init__(self, library: Library, *, most_bytes: int = MOST_BYTES) -> None:
        self._library = library
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[_Key, Mapped] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, lease: Lease, rendition: Rendition, number: int, samples: Samples) -> Mapped:
        """The map of a segment that is there. Problem not_offered when the packager made none of it.

        Problem bad_upstream when it is not one, or not of that segment; or as the library says.
        """
        key = (lease.tenant, lease.asset, lease.generation, rendition.id, number, samples)
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        block = await self._block(lease, rendition.id, number)
        try:
            found = mapped(
                read_map(block, number),
                samples.scheme,
                rendition.sizes[number],
                rendition=rendition.index,
                position=number,
                iv=samples.iv,
            )
        except BadMedia as exc:
            raise Problem("bad_upstream", detail=f"{rendition.id}/{number}: {exc}") from exc
        self._keep(key, found)
        return found

    async def _block(self, lease: Lease, rendition: str, number: int) -> bytes | memoryview:
        of = (lease.tenant, lease.asset, lease.generation)
        try:
            opened = await self._library.open(*of, rendition, map_object(number), lease.sk)
        except Problem as problem:
            if problem.code != "not_found":
                raise
            raise Problem("not_offered", detail=f"no protection map: {problem.detail}") from problem
        try:
            count = slice_count(opened.length)
            if count == 1:
                return await opened.slice(0)
            return b"".join([bytes(await opened.slice(index)) for index in range(count)])
        finally:
            opened.close()

    def _keep(self, key: _Key, found: Mapped) -> None:
        if key not in self._kept:
            self._bytes += _size(found)
        self._kept[key] = found
        while self._bytes > self._most_bytes and len(self._kept) > 1:
            self._bytes -= _size(self._kept.popitem(last=False)[1])


def _size(found: Mapped) -> int:
    return len(found.head) + RANGE_BYTES * len(found.starts)
