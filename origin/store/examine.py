"""Whether what the catalogue says of an asset is so in the store: each object, digest and signature.

One asset at a time and one piece of an object at a time, so memory is bounded by one asset's list of objects.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import select

from keys.database import Database
from keys.problems import Problem
from origin.media.asset import (
    DESCRIPTOR_OBJECT,
    DESCRIPTOR_RENDITION,
    LIST_OBJECT,
    BadDescriptor,
    read_descriptor,
)
from origin.media.digests import BadList, read_list
from origin.media.seal import sealed_length
from origin.store.blobs import BlobStore
from origin.store.tables import assets, objects

LARGEST_SIGNED: Final = 64 << 20  # bytes of a descriptor or a digest list


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    asset: str
    generation: int
    where: str  # rendition/object, or empty
    said: str  # a sentence
    kind: str = ""  # "object": another copy of it would mend this

    def to_json(self) -> dict[str, Any]:
        """As JSON fields."""
        return {"asset": self.asset, "generation": self.generation, "where": self.where, "said": self.said}


async def published(database: Database) -> list[tuple[str, int]]:
    """(asset, generation) of everything that is published, by name."""
    query = select(assets.c.id, assets.c.generation).where(assets.c.state == "published")
    async with database.read() as connection:
        return [(row.id, row.generation) for row in await connection.execute(query.order_by(assets.c.id))]


async def examine(
    database: Database,
    blobs: BlobStore,
    packagers: Sequence[Ed25519PublicKey],
    asset: str,
    generation: int,
    *,
    quick: bool = False,
) -> list[Finding]:
    """What is wrong with one generation. `quick`: without reading what is sealed."""
    found: list[Finding] = []

    def say(where: str, said: str, kind: str = "") -> None:
        found.append(Finding(asset, generation, where, said, kind))

    query = select(objects).where(objects.c.asset == asset, objects.c.generation == generation)
    async with database.read() as connection:
        rows = {(row.rendition, row.name): row.sha256 for row in await connection.execute(query)}
    if not rows:
        say("", "The catalogue records no object of it.")
    there = {(each.rendition, each.name): each.size for each in await blobs.objects(asset, generation)}
    for rendition, name in sorted(set(there) - set(rows)):
        say(f"{rendition}/{name}", "The catalogue does not record this object.")
    sizes: dict[tuple[str, str], int] = {}
    for (rendition, name), sha256 in sorted(rows.items()):
        where = f"{rendition}/{name}"
        if (rendition, name) not in there:
            say(where, "It is missing.", "object")
            continue
        signed = name == LIST_OBJECT or rendition == DESCRIPTOR_RENDITION
        if signed or not quick:
            try:
                digest, head = await _read(blobs, asset, generation, rendition, name, signed)
            except Problem as problem:
                if problem.code not in ("not_found", "bad_upstream"):
                    raise
                say(where, problem.message, "object")
                continue
            if digest != sha256:
                say(where, "Its bytes are not those that were published.", "object")
                continue
            if name == LIST_OBJECT:
                try:
                    for listed in read_list(head, packagers, asset, generation, rendition).values():
                        sizes[rendition, listed.name] = sealed_length(listed.length)
                except BadList:
                    say(where, "No known packager signed this digest list.")
            elif (rendition, name) == (DESCRIPTOR_RENDITION, DESCRIPTOR_OBJECT):
                try:
                    read_descriptor(head, packagers, asset, generation)
                except BadDescriptor:
                    say(where, "No known packager signed this descriptor, or it does not parse.")
    if (DESCRIPTOR_RENDITION, DESCRIPTOR_OBJECT) not in rows and rows:
        say(DESCRIPTOR_RENDITION, "It has no descriptor.")
    for (rendition, name), size in sorted(sizes.items()):
        if there.get((rendition, name), size) != size:
            say(f"{rendition}/{name}", "It has not the size its digest list says.", "object")
        elif (rendition, name) not in rows:
            say(f"{rendition}/{name}", "Its digest list names it; the catalogue does not.")
    return found


async def mend(database: Database, blobs: BlobStore, other: BlobStore, finding: Finding) -> str:
    """Puts the copy of an object that `other` has in its place, when it is the one recorded; what was done.

    Only where the object is missing: a damaged one is write-once, and is removed by hand first.
    """
    rendition, _, name = finding.where.partition("/")
    key = (finding.asset, finding.generation, rendition, name)
    columns = (objects.c.asset, objects.c.generation, objects.c.rendition, objects.c.name)
    async with database.read() as connection:
        wanted = await connection.scalar(
            select(objects.c.sha256).where(*(c == v for c, v in zip(columns, key, strict=True)))
        )
    digest = hashlib.sha256()
    try:
        async with blobs.writer(*key) as writer:
            async for piece in other.read(*key):
                digest.update(piece)
                await writer.write(piece)
            if digest.digest() != wanted:
                return "The copy there is not the object that was published either."
            await writer.commit()
    except Problem as problem:
        if problem.code == "conflict":
            return "Damaged bytes are in its place; delete that object, then mend again."
        return f"Not mended: {problem.message}"
    return "Mended."


async def _read(
    blobs: BlobStore, asset: str, generation: int, rendition: str, name: str, keep: bool
) -> tuple[bytes, bytes]:
    digest, kept = hashlib.sha256(), bytearray()
    async for piece in blobs.read(asset, generation, rendition, name):
        digest.update(piece)
        if keep and len(kept) + len(piece) <= LARGEST_SIGNED:
            kept += piece
    return digest.digest(), bytes(kept)
