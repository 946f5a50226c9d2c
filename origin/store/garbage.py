"""Generations that nothing refers to: left by a kill, a cancelled job, a deletion that was cut off.

What the catalogue has published and whatever belongs to an asset with work left is kept. The rest goes once
its newest object is older than a day: nobody writes one object of a generation for that long after another,
and a row that is about to name it is there by then. Assets the catalogue does not know at all are another
matter: a deletion takes the row last, so they are another installation's, or the catalogue was lost. Those
are left alone unless an operator asks (`sluice doctor --gc`).
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from keys.problems import Problem
from origin.store.blobs import BlobStore
from origin.store.catalogue import UNFINISHED, Catalogue

OLD_S: Final = 86_400  # seconds
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Orphan:
    """A generation no row refers to."""

    asset: str
    generation: int
    touched: float  # when its newest object was written, seconds since the epoch
    known: bool  # whether the catalogue has an asset of that name

    def is_old(self, now: float) -> bool:
        """Whether it may be removed."""
        return now - self.touched > OLD_S


async def orphans(catalogue: Catalogue, blobs: BlobStore) -> list[Orphan]:
    """Every generation in the store that nothing refers to, young ones too."""
    found = []
    for asset in await blobs.assets():
        for generation in await blobs.generations(asset):
            if not await _referred(catalogue, asset, generation):
                found.append(await _orphan(catalogue, blobs, asset, generation))
    return found


async def collect(
    catalogue: Catalogue, blobs: BlobStore, now: float, *, unknown: bool = False
) -> list[Orphan]:
    """Remove those older than a day; which they were. `unknown`: also of assets no row knows."""
    removed = []
    for orphan in await orphans(catalogue, blobs):
        # asked again: an asset of that name may have been queued since
        wanted = orphan.is_old(now) and (orphan.known or unknown)
        if wanted and not await _referred(catalogue, orphan.asset, orphan.generation):
            await blobs.delete_generation(orphan.asset, orphan.generation)
            removed.append(orphan)
    return removed


@contextlib.asynccontextmanager
async def collecting(
    catalogue: Catalogue, blobs: BlobStore, now: Callable[[], float] = time.time, every_s: float = OLD_S
) -> AsyncIterator[None]:
    """Collects at once and then daily, while entered."""
    task = asyncio.create_task(_daily(catalogue, blobs, now, every_s))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _daily(catalogue: Catalogue, blobs: BlobStore, now: Callable[[], float], every_s: float) -> None:
    while True:
        try:
            for orphan in await collect(catalogue, blobs, now()):
                _LOG.info("removed %s generation %d: nothing refers to it", orphan.asset, orphan.generation)
        except Exception:  # the database may be away for a while; tomorrow is another day
            _LOG.exception("garbage was not collected")
        await asyncio.sleep(every_s)


async def _orphan(catalogue: Catalogue, blobs: BlobStore, asset: str, generation: int) -> Orphan:
    touched = await blobs.touched(asset, generation)
    return Orphan(asset, generation, touched, await catalogue.known(asset))


async def _referred(catalogue: Catalogue, asset: str, generation: int) -> bool:
    try:
        row = await catalogue.get(asset)
    except Problem:
        return False
    return row.state in UNFINISHED or (row.state == "published" and row.generation == generation)
