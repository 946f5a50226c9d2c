"""An upload on the page, paused and left with the browser closed, ends as a film that plays."""

from pathlib import Path

import pytest

from tests.support.browser import chromium
from tests.support.films import make_film
from tests.support.system import System
from tests.support.uploading import partly_sent, profile, signed_in, slow
from tests.support.watching import Watching

pytestmark = [pytest.mark.browser, pytest.mark.heavy]


async def test_a_paused_upload_goes_on_in_another_browser_and_plays(system: System, tmp_path: Path) -> None:
    origin = system.url("origin")
    film = make_film(tmp_path / "left behind.mp4", seconds=8, size="320x180", noise=20)
    async with profile(tmp_path / "browser") as page:
        await signed_in(page, origin, system.admin_token)
        await slow(page)
        await page.set_input_files("#files", film)
        await partly_sent(page)
        await page.get_by_role("button", name="Pause left behind.mp4").click()
        await page.locator("#uploads .status", has_text="Paused.").wait_for()
    async with profile(tmp_path / "browser") as page:
        await page.goto(f"{origin}/upload")
        await page.locator("#uploads li.left .status", has_text="Choose the same file to go on.").wait_for()
        await page.set_input_files("#files", film)
        await page.locator("#uploads .done", has_text="Published as left-behind.").wait_for(timeout=120_000)
    async with chromium() as browser:
        watching = Watching(await browser.new_page(viewport={"width": 1280, "height": 800}))
        await watching.open(system.edges[0], system.link("left-behind"))
        await watching.plays_past(2.0)
        assert watching.trouble == []
