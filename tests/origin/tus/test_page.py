"""The upload page in a real browser: an upload is paused, the browser closed, and it goes on where it was."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.films import make_film
from tests.support.resumable import Sender
from tests.support.uploading import partly_sent, profile, signed_in, slow

pytestmark = pytest.mark.browser


async def test_an_upload_goes_on_after_the_browser_was_closed(
    origin: Any, admin_token: str, tmp_path: Path
) -> None:
    film = make_film(tmp_path / "holiday.mp4", seconds=2, noise=14)
    size = film.stat().st_size
    assert 1_500_000 < size < 4_000_000
    urls: list[str] = []
    async with profile(tmp_path / "browser") as page:
        await signed_in(page, origin.url, admin_token)
        page.on("request", lambda asked: urls.append(asked.url) if asked.method == "PATCH" else None)
        await slow(page)
        await page.set_input_files("#files", film)
        await partly_sent(page)
        await page.get_by_role("button", name="Pause holiday.mp4").click()
        await page.locator("#uploads .status", has_text="Paused.").wait_for()
    async with origin.admin as http:
        told = int((await Sender(http).head(urls[0])).headers["upload-offset"])
    assert 0 < told < size
    sent: list[int] = []
    async with profile(tmp_path / "browser") as page:
        await page.goto(f"{origin.url}/upload")  # still signed in
        row = page.locator("#uploads li.left")
        await row.locator(".status", has_text="Choose the same file to go on.").wait_for()
        page.on(
            "request",
            lambda asked: (
                sent.append(int(asked.headers["upload-offset"])) if asked.method == "PATCH" else None
            ),
        )
        await page.set_input_files("#files", film)
        await page.locator("#uploads .status", has_text="Waiting for its turn").wait_for()
        assert await row.count() == 0
        assert await page.evaluate("localStorage.length") == 0
    assert sent == [told]
    (asset,) = await origin.catalogue.list()
    assert asset.upload_path.read_bytes() == film.read_bytes()


async def test_what_was_left_can_be_discarded_and_what_broke_goes_on_by_itself(
    origin: Any, admin_token: str, tmp_path: Path
) -> None:
    film = make_film(tmp_path / "holiday.mp4", seconds=2, noise=14)
    async with profile(tmp_path / "browser") as page:
        await signed_in(page, origin.url, admin_token)
        await slow(page)
        await page.set_input_files("#files", film)
        await partly_sent(page)
        await page.reload()
        await page.get_by_role("button", name="Discard holiday.mp4").click()
        await page.locator("#uploads li").wait_for(state="detached")
        assert await page.evaluate("localStorage.length") == 0
        broken: list[str] = []

        async def once(route: Any) -> None:
            if broken:
                await route.continue_()
            else:
                broken.append(route.request.url)
                await route.abort("connectionreset")

        await page.route("**/v1/tus/*", once)
        await page.set_input_files("#files", film)
        await page.locator("#uploads .status", has_text="Trying again in 1 s.").wait_for()
        await page.get_by_role("button", name="Pause holiday.mp4").click()
        await page.locator("#uploads .status", has_text="Paused.").wait_for()
        await page.get_by_role("button", name="Resume holiday.mp4").click()
        await page.locator("#uploads .status", has_text="Waiting for its turn").wait_for()
    assert len(broken) == 1
    (asset,) = await origin.catalogue.list()
    assert asset.upload_path.read_bytes() == film.read_bytes()
