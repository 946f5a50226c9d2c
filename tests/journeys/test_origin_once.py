"""The origin is asked once: for any number of viewers, and not at all for what is cached."""

import asyncio
from pathlib import Path

import pytest

from origin.media.seal import slice_count
from tests.support.films import make_film
from tests.support.packaged import Packaged
from tests.support.system import System
from tests.support.viewer import Viewer

VIEWERS = 30
REQUESTS, BYTES = "sluice_origin_blob_requests_total", "sluice_origin_blob_bytes_total"


@pytest.fixture
def cold_film(system: System, tmp_path: Path) -> str:
    """A film nobody has watched yet, with segments of more than one slice."""
    path = make_film(tmp_path / "cold.mp4", seconds=16, size="1280x720", noise=60)
    return system.add(path, "cold")


async def test_f19_thirty_viewers_of_a_cold_film_cost_the_origin_one_copy(
    system: System, cold_film: str
) -> None:
    before = system.origin_counts()
    links = [system.link(cold_film) for _ in range(3)]
    viewers = [Viewer(links[i % 3]) for i in range(VIEWERS)]

    async def watch(viewer: Viewer) -> dict[str, bytes]:
        await viewer.opened()
        return {rendition: await viewer.whole(rendition) for rendition in viewer.renditions()}

    watched = await asyncio.gather(*(watch(viewer) for viewer in viewers))
    for viewer in viewers:
        assert set(viewer.statuses) <= {200, 302}
        await viewer.client.aclose()
    stored = await Packaged.of(system.data, cold_film)
    for rendition in stored.renditions():
        whole = stored.whole(rendition)
        assert all(found[rendition] == whole for found in watched)
    after = system.origin_counts()
    sizes = [path.stat().st_size for path in stored.played()]
    sent, asked = after[BYTES] - before.get(BYTES, 0), after[REQUESTS] - before.get(REQUESTS, 0)
    assert sent == pytest.approx(sum(sizes), rel=0.02)
    assert asked <= sum(slice_count(size) for size in sizes)
    assert max(sizes) > 1 << 20, "some objects have several slices"
