"""Keeps the documents of DRM providers: taken in with a generation, lent as content keys, given back whole.

A generation made without a document has that of the one before it: what a publisher handed over once serves
an ingest that a restart began anew. With `cenc` a content key is one published generation's for ever: IVs
count from 0 in each, and one pair of key and IV must never encrypt two plaintexts (SP 800-38A §6.5).
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from keys.cipher import Secret
from keys.cpix import BadCpix, Document
from keys.drm import keys_of, read_drm, told
from keys.hierarchy import GenerationKeys, Hierarchy
from keys.names import DEFAULT_TENANT, asset_id
from keys.problems import Problem
from keys.store_drm import DrmStore

TAKEN: Final = "A content key of this document has encrypted a film before. With cenc each needs new keys."
REMEMBERED: Final = 256  # documents whose keys need not be read out anew for each lease


class DrmKeeper:
    """The documents of one keys service."""

    def __init__(self, hierarchy: Hierarchy, rows: DrmStore) -> None:
        self._hierarchy = hierarchy
        self._rows = rows
        self._read: OrderedDict[bytes, Mapping[bytes, bytes]] = OrderedDict()

    async def for_new(self, asset: str, sent: bytes | None) -> Secret | None:
        """The document of a generation to be made: the one sent, else the one kept, else None.

        Problem bad_request for a document that no asset can be encrypted by, conflict for another's keys.
        """
        if sent is None:
            return await self._kept(asset)
        try:
            document = read_drm(sent)
        except BadCpix as exc:
            raise Problem("bad_request", f"This CPIX document cannot be used. {exc}") from None
        if not await self._rows.free(_once(document)):
            raise Problem("conflict", TAKEN)
        return Secret(sent)

    async def claim(self, asset: str, generation: int) -> None:
        """Keys that may encrypt once are this generation's from now on. Problem conflict if another's."""
        keys = await self._hierarchy.generation(DEFAULT_TENANT, asset, generation)
        if keys is None or keys.drm is None:
            return
        kids = _once(read_drm(keys.drm.reveal()))
        if not await self._rows.claim(DEFAULT_TENANT, asset, generation, kids):
            raise Problem("conflict", TAKEN)

    async def document(self, asset: str) -> bytes:
        """The document of an asset with its content keys in it. Problem not_found when it has none."""
        kept = await self._kept(asset_id(asset))
        if kept is None:
            raise Problem("not_found", "There is no such asset, or it has no keys of a DRM provider.")
        return kept.reveal()

    def lent(self, keys: GenerationKeys) -> Mapping[bytes, bytes]:
        """The content keys of a generation by their IDs; none when no provider knows any."""
        if keys.drm is None:
            return {}
        name = hashlib.sha256(keys.drm.reveal()).digest()
        found = self._read.get(name)
        if found is None:
            found = self._read[name] = keys_of(read_drm(keys.drm.reveal()))
            if len(self._read) > REMEMBERED:
                self._read.popitem(last=False)
        self._read.move_to_end(name)
        return found

    def told(self, keys: GenerationKeys) -> bytes:
        """The document of a generation without its content keys; empty when it has none."""
        return told(read_drm(keys.drm.reveal())) if keys.drm else b""

    async def _kept(self, asset: str) -> Secret | None:
        latest = await self._rows.latest(DEFAULT_TENANT, asset)
        keys = await self._hierarchy.generation(DEFAULT_TENANT, asset, latest) if latest is not None else None
        return keys.drm if keys else None


def _once(document: Document) -> list[str]:
    """The keys that may encrypt one plaintext only: all of `cenc`, by their IDs and by what they are."""
    keys = [key for key in document.keys if key.scheme == "cenc"]
    what = {hashlib.sha256(b"sluice1 cenc key" + key.key).hexdigest()[:32] for key in keys if key.key}
    return sorted({key.kid.hex for key in keys} | what)
