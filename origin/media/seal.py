"""Sealing: how media rests and travels between origin, shield, Redis and edge. Every stored copy is sealed.

An object's plain bytes are cut into slices of SLICE bytes (the last is shorter; an empty object is one empty
slice). Slice i is AES-256-GCM under a key of (storage key, rendition, object), nonce = i as 96-bit
big-endian, and additional data that names the slice and its length, so a slice in another's place, cut or
altered does not open. Sound because objects are write-once in a generation: no (key, nonce) ever sees two
plaintexts. A stored object is its sealed slices one after another, each TAG bytes longer than its plain
slice.
"""

from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.derive import enc, slice_key

SLICE = 1 << 20  # plain bytes
TAG = 16  # bytes of AES-GCM tag after each sealed slice


class BadSlice(Exception):
    """A sealed slice that is not what its name says: altered, cut, swapped, or under another key."""


def slice_count(length: int) -> int:
    """How many slices an object of `length` plain bytes has: at least one."""
    return max(1, -(-length // SLICE))


def slice_length(length: int, index: int) -> int:
    """Plain bytes of slice `index` of an object of `length` plain bytes."""
    return min(SLICE, length - index * SLICE)


def sealed_length(length: int) -> int:
    """Stored bytes of an object of `length` plain bytes."""
    return length + TAG * slice_count(length)


def sealed_offset(index: int) -> int:
    """Where sealed slice `index` starts in the stored object."""
    return index * (SLICE + TAG)


class Sealer:
    """Seals and opens the slices of one object. Holds the expanded key: make one for each object in use."""

    def __init__(
        self, storage_key: bytes, tenant: str, asset: str, generation: int, rendition: str, name: str
    ) -> None:
        self._aead = AESGCM(slice_key(storage_key, rendition, name))
        self._context = (tenant, asset, generation, rendition, name)

    def seal(self, index: int, plain: bytes | memoryview) -> bytes:
        """The sealed slice: TAG bytes longer than `plain`."""
        return self._aead.encrypt(_nonce(index), plain, self._aad(index, len(plain)))

    def open(self, index: int, sealed: bytes | memoryview) -> bytes:
        """The plain slice. BadSlice when it is not exactly what was sealed under this name and index."""
        try:
            return self._aead.decrypt(_nonce(index), sealed, self._aad(index, len(sealed) - TAG))
        except (InvalidTag, ValueError, OverflowError) as exc:
            raise BadSlice(f"slice {index} of {self._context}") from exc

    def seal_all(self, plain: bytes | memoryview) -> Iterator[bytes]:
        """Every slice of a whole plain object, in order."""
        view = memoryview(plain)
        for index in range(slice_count(len(view))):
            yield self.seal(index, view[index * SLICE : (index + 1) * SLICE])

    def _aad(self, index: int, plain_length: int) -> bytes:
        return enc("sluice1 slice", *self._context, index, max(0, plain_length))


def _nonce(index: int) -> bytes:
    return index.to_bytes(12, "big")
