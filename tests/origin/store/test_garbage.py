"""Garbage collection: what nothing refers to goes after a day, and nothing else ever does."""

import asyncio
import time
from pathlib import Path

from origin.store.blobs import LocalBlobs
from origin.store.catalogue import Catalogue
from origin.store.garbage import OLD_S, collect, collecting, orphans


async def test_only_what_nothing_refers_to_goes_and_never_before_a_day(
    database_url: str, tmp_path: Path
) -> None:
    catalogue, blobs = await Catalogue.open(database_url), LocalBlobs(tmp_path / "blobs")
    for asset in ("film", "coming", "failed"):
        await catalogue.create(source_name="f.mp4", id=asset, state="queued")
        await catalogue.set_state(asset, "ingesting")
    await catalogue.publish(
        "film", generation=2, duration=1, width=1, height=1, size_bytes=1, renditions=["720p"]
    )
    await catalogue.set_state("failed", "failed", error="It is broken.")
    stored = [("film", 1), ("film", 2), ("coming", 1), ("failed", 1), ("stranger", 1)]
    for asset, generation in stored:
        await blobs.put(asset, generation, "720p", "0.m4s", b"x")
    left = [("failed", 1), ("film", 1), ("stranger", 1)]
    assert [(each.asset, each.generation) for each in await orphans(catalogue, blobs)] == left
    assert await collect(catalogue, blobs, time.time() + OLD_S - 600) == []
    gone = await collect(catalogue, blobs, time.time() + OLD_S + 600)
    assert [(each.asset, each.generation) for each in gone] == left[:2]
    assert await blobs.generations("stranger") == [1]  # the catalogue may be the one that was lost
    gone = await collect(catalogue, blobs, time.time() + OLD_S + 600, unknown=True)
    assert [(each.asset, each.generation) for each in gone] == left[2:]
    assert [await blobs.generations(asset) for asset in ("film", "coming", "failed")] == [[2], [1], []]
    await catalogue.close()


async def test_it_is_collected_at_the_start_of_the_origin(tmp_path: Path) -> None:
    catalogue = await Catalogue.open(f"sqlite:///{tmp_path / 'catalogue.db'}")
    blobs = LocalBlobs(tmp_path / "blobs")
    await catalogue.create(source_name="f.mp4", id="left", state="failed")
    await blobs.put("left", 1, "720p", "0.m4s", b"x")
    async with collecting(catalogue, blobs, now=lambda: time.time() + 2 * OLD_S), asyncio.timeout(20):
        while await blobs.generations("left"):  # noqa: ASYNC110 (a task's work, in no event of ours)
            await asyncio.sleep(0.01)
    await catalogue.close()
