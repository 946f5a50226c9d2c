"""The upload page in a Chromium whose profile outlives it, with a line slow enough to pause an upload on."""

import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

from playwright.async_api import Page, async_playwright

from tests.support.browser import FLAGS, chromium_path

SLOW = 400_000  # bytes a second


@contextlib.asynccontextmanager
async def profile(folder: Path, width: int = 1280) -> AsyncIterator[Page]:
    """A page of a browser that keeps what it stores in `folder`."""
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            str(folder),
            executable_path=chromium_path(),
            args=list(FLAGS),
            viewport={"width": width, "height": 800},
        )
        try:
            yield context.pages[0]
        finally:
            await context.close()


async def signed_in(page: Page, origin: str, token: str) -> None:
    """Opens the upload page."""
    await page.goto(f"{origin}/login")
    await page.fill("#token", token)
    await page.click("button")
    await page.wait_for_url("**/upload")


async def slow(page: Page) -> None:
    """Makes the line slow from now on."""
    session = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    await session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": SLOW},
    )


async def partly_sent(page: Page) -> None:
    """Waits until the first upload of the page is under way."""
    await page.locator("#uploads .status", has_text=re.compile(r"^[1-9].* [kM]B of .* left")).wait_for()
