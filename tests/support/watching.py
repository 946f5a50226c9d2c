"""The player page in a browser that plays by itself, and what went wrong in it."""

from playwright.async_api import Page

PLAYS_MS = 30_000


class Watching:
    """A page that plays."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.trouble: list[str] = []
        page.on("pageerror", lambda error: self.trouble.append(str(error)))
        page.on("console", lambda said: self.trouble.append(said.text) if said.type == "error" else None)

    async def open(self, edge: str, link: str) -> None:
        """The player page with the link in its fragment, muted so that it may start by itself."""
        await self.start_muted()
        await self.page.goto(f"{edge}/watch/#{link}")

    async def start_muted(self) -> None:
        """Lets whatever page is opened next start by itself."""
        await self.page.add_init_script(
            "HTMLMediaElement.prototype.play = ((play) => function () {"
            " this.muted = true; return play.call(this); })(HTMLMediaElement.prototype.play);"
        )

    async def until(self, condition: str, arg: object = None) -> None:
        """Waits until an expression holds in the page."""
        await self.page.wait_for_function(condition, arg=arg, timeout=PLAYS_MS)

    async def plays_past(self, seconds: float) -> None:
        """Waits until the film has been playing beyond this moment."""
        await self.until("t => document.querySelector('video').currentTime > t", seconds)
