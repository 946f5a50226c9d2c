"""Media is handed out at the pace of watching, by slowing and never by refusing (SECURITY T1)."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.browser import chromium
from tests.support.films import make_film
from tests.support.ripping import Rip, rip_client
from tests.support.system import System, running
from tests.support.viewer import Viewer
from tests.support.watching import Watching

pytestmark = pytest.mark.heavy

BURST_S, RATE, JUMP_S, JUMPS = 20, 2, 8, 10
RIP_FOR_S = 12.0
FILM_S = 260
SEGMENT_S = 4


@pytest.fixture(scope="module")
def paced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system with a small burst, so that the pace shows within seconds."""
    data = tmp_path_factory.mktemp("pace") / "data"
    with running(data, "--pace-burst", f"{BURST_S}s", "--key-period", "12s", workers=2) as found:
        yield found


@pytest.fixture(scope="module")
def long_film(paced: System, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Longer than anybody may take in the time of the test."""
    path: Path = tmp_path_factory.mktemp("films") / "long.mp4"
    return paced.add(make_film(path, seconds=FILM_S, size="160x90", rate=10), "long")


async def test_a_viewer_at_reading_pace_never_waits(paced: System, long_film: str) -> None:
    """Takes media as it is watched; the gate counts every wait, and counts none."""
    link = paced.link(long_film, "--viewer", "patient")
    before = waits(paced)
    async with await Viewer(link).opened() as viewer:
        began = time.monotonic()
        for number in range(6):
            with_this_one = (number + 1) * SEGMENT_S
            due = max(0.0, (with_this_one - BURST_S / 2) / RATE)  # twice real time after half the burst
            await asyncio.sleep(max(0.0, began + due - time.monotonic()))
            for rendition in (viewer.renditions()[0], "audio"):
                await viewer.cipher(rendition, number)
    assert waits(paced) == before


@pytest.mark.browser
async def test_ten_seeks_within_a_minute_play_on_the_page(paced: System, long_film: str) -> None:
    """The burst is spent long before: each seek draws on the jumps in store."""
    async with chromium() as browser:
        watching = Watching(await browser.new_page())
        await watching.open(paced.edges[0], paced.link(long_film, "--viewer", "seeker"))
        await watching.plays_past(1.0)
        for place in (200, 40, 160, 80, 230, 20, 120, 180, 60, 140):
            await watching.page.evaluate("t => { document.querySelector('video').currentTime = t; }", place)
            await watching.until(
                "t => Math.abs(document.querySelector('video').currentTime - t - 10) < 9", place
            )
        assert await watching.page.evaluate("document.querySelector('#stage').dataset.state") == "playing"
        assert watching.trouble == []


@pytest.mark.parametrize("sessions", [1, 8])
async def test_t1_ripping_gets_no_more_than_the_pace_allows(
    paced: System, long_film: str, sessions: int
) -> None:
    link = paced.link(long_film, "--viewer", f"ripper-{sessions}")
    async with contextlib.AsyncExitStack() as stack:
        viewers = [
            await stack.enter_async_context(Viewer(link, rip_client(100 + i))) for i in range(sessions)
        ]
        for viewer in viewers:
            await viewer.opened()
        assert len({viewer.url for viewer in viewers}) == sessions
        rip = Rip(viewers, FILM_S // SEGMENT_S)
        took = await rip.run(RIP_FOR_S)
        bound = BURST_S + JUMP_S * JUMPS + (RATE + 0.13) * took
        video = set().union(*(found for name, found in rip.taken.items() if name != "audio"))
        for numbers in (video, rip.taken["audio"]):
            assert BURST_S - SEGMENT_S <= len(numbers) * SEGMENT_S <= bound + SEGMENT_S
        for viewer in viewers:
            assert set(viewer.statuses) <= {200, 302}, "slowed, never refused"


def waits(system: System) -> float:
    """How many segments were ever held for the pace."""
    text = httpx.get(f"{system.edges[0]}/metrics", timeout=10).text
    rows = [line for line in text.splitlines() if line.startswith("sluice_edge_pace_waits_total")]
    assert rows, text[:500]
    return sum(float(row.rsplit(" ", 1)[1]) for row in rows)
