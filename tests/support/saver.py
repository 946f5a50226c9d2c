"""The download page in a browser: what it says, and what the browser keeps."""

from typing import Final

from playwright.async_api import Download, Page

WAIT_MS: Final = 60_000


class Saver:
    """The page with a link, and what it comes to."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.broken: list[str] = []
        page.on("console", lambda said: self.broken.append(said.text) if "Policy" in said.text else None)

    async def open(self, base: str, link: str) -> None:
        """As somebody who got the link for the page."""
        await self.page.goto("about:blank")
        await self.page.goto(f"{base}/watch/#{link}")
        await self.page.locator("#begin, #again").locator("visible=true").wait_for()

    async def save(self) -> Download:
        """Presses the button; the download the browser begins."""
        async with self.page.expect_download(timeout=WAIT_MS) as waited:
            await self.page.locator("#begin").click()
        return await waited.value

    async def becomes(self, state: str) -> str:
        """Waits for a state; what the page tells then."""
        await self.page.locator(f"#save[data-state={state}]").wait_for(timeout=WAIT_MS)
        shown = "#refusal" if state == "refused" else "#told"
        return await self.page.locator(shown).inner_text()

    async def tells(self, words: str) -> None:
        """Waits until the page says so."""
        await self.page.locator("#told", has_text=words).wait_for(timeout=WAIT_MS)
