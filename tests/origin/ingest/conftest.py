"""Fixtures of the ingest tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keys.nodes import NodeIdentity
from origin.store.blobs import LocalBlobs
from origin.store.catalogue import Catalogue
from tests.origin.ingest.bench import Bench, MemoryKeys, quick


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """An origin without its HTTP side."""
    (tmp_path / "incoming").mkdir()
    catalogue = await Catalogue.open(f"sqlite:///{tmp_path / 'catalogue.db'}")
    identity = NodeIdentity.load_or_create(tmp_path / "node.json", "origin", "origin")
    blobs = LocalBlobs(tmp_path / "blobs", keep_free_bytes=0)
    yield Bench(tmp_path, catalogue, blobs, MemoryKeys(), identity, quick())
    await catalogue.close()
