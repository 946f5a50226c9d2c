"""What a slice is called, and which slices a byte range needs. Pure.

A cached thing is a slice of a stored object: (tenant, asset, generation, rendition, object name, index).
Names never contain a session, a viewer or a token, so every session shares one copy (SECURITY T6). Every part
passed `keys.names` and has no `/` and no `:`, so joining with those is injective. How slices are sealed is
`origin.media.seal`'s.
"""

import hashlib
from typing import NamedTuple

from keys.derive import enc
from origin.media.seal import SLICE, sealed_length, sealed_offset, slice_count

BLOCK = 16  # slices that are filled together, under one claim: a segment is shorter, a download is not
PUBLIC_TENANT = "-"  # in place of the tenant: plain, signed documents that belong to no storage key


class ObjectId(NamedTuple):
    """One stored object of one generation."""

    tenant: str
    asset: str
    generation: int
    rendition: str
    name: str

    def path(self) -> str:
        """Its path at an origin, below the base URL."""
        return f"/v1/blobs/{self.asset}/{self.generation}/{self.rendition}/{self.name}"

    def text(self) -> str:
        """Its name in cache keys and logs: `default/film/1/720p/7.m4s`."""
        return f"{self.tenant}/{self.asset}/{self.generation}/{self.rendition}/{self.name}"

    def file_name(self) -> str:
        """64 hex digits that say nothing about what they name."""
        return hashlib.sha256(enc("sluice1 object name", *self)).hexdigest()


class SliceId(NamedTuple):
    """Slice `number` of an object, from 0."""

    object: ObjectId
    number: int

    def key(self) -> str:
        """Its key in the second level: `s:default/film/1/720p/7.m4s/0`."""
        return f"s:{self.object.text()}/{self.number}"

    def identity(self) -> bytes:
        """Injective bytes of the whole identity, for digests and file names."""
        return enc("sluice1 slice name", *self.object, self.number)

    def file_name(self) -> str:
        """64 hex digits that say nothing about what they name."""
        return hashlib.sha256(self.identity()).hexdigest()


def block_of(index: int) -> int:
    """The block slice `index` is filled with."""
    return index // BLOCK


def block_id(object_id: ObjectId, block: int) -> ObjectId:
    """What is claimed to fill a block: the object itself for its first. No object's name has a `+`."""
    return object_id._replace(name=f"{object_id.name}+{block}") if block else object_id


def claim_key(object_id: ObjectId) -> str:
    """The key of the right to fill an object: `c:default/film/1/720p/7.m4s`."""
    return f"c:{object_id.text()}"


def slices_of(start: int, stop: int) -> range:
    """The slices that hold plain bytes `start` up to, not including, `stop`. Empty for no bytes."""
    if not 0 <= start < stop:
        return range(0)
    return range(start // SLICE, -(-stop // SLICE))


def all_slices(length: int) -> range:
    """Every slice of an object of `length` plain bytes: an empty object has one, empty slice."""
    return range(slice_count(length))


def sealed_span(run: range, length: int) -> tuple[int, int]:
    """Stored bytes [start, stop) of the slices of `run`, in an object of `length` plain bytes."""
    stop = sealed_length(length) if run.stop >= slice_count(length) else sealed_offset(run.stop)
    return sealed_offset(run.start), stop
