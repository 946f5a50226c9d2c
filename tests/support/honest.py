"""An honest viewer in a browser, who starts, seeks, plays fast, changes the quality; and what he saw."""

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from playwright.async_api import Page, Request

from tests.support.watching import PLAYS_MS, Watching

# A stall is a picture that stood still while it played; what a start or a seek takes is told apart.
_PROBE: Final = """
const told = window.told = { stalls: [], stalledMs: 0, seekMs: [] };
let plays = false, stalledAt = 0, soughtAt = 0;
const on = (name, act) => document.addEventListener(name, (event) => act(event.target), true);
on('playing', () => {
  if (stalledAt) told.stalledMs += performance.now() - stalledAt;
  if (soughtAt) told.seekMs.push(performance.now() - soughtAt);
  plays = true; stalledAt = soughtAt = 0;
});
on('seeking', () => { plays = false; stalledAt = 0; soughtAt ||= performance.now(); });
on('waiting', (video) => {
  if (!plays || video.seeking || video.ended || stalledAt) return;
  stalledAt = performance.now();
  told.stalls.push(video.currentTime);
});
"""
_SEGMENT: Final = re.compile(r"/(\d+)p/\d+\.m4s$")


@dataclass
class Seen:
    """What one viewer saw."""

    stalls: list[float] = field(default_factory=list)  # moments of the film at which it stood still
    stalled_s: float = 0.0
    seek_s: list[float] = field(default_factory=list)  # from each seek until it played
    lost: int = 0  # how often it went down a rung
    trouble: list[str] = field(default_factory=list)


class Honest:
    """A page that plays, and the viewer before it."""

    def __init__(self, page: Page, choose: str = "height => window.choose(height)") -> None:
        """`choose`: what in this page takes a quality by its height."""
        self.watching = Watching(page)
        self.page = page
        self._choose = choose
        self._heights: list[int] = []  # of every segment of picture asked for
        page.on("request", self._asked)

    async def opens(self, url: str) -> None:
        """Goes to the page that plays, and waits until it has done so for two seconds."""
        await self.page.add_init_script(_PROBE)
        await self.watching.start_muted()
        await self.page.goto(url)
        await self.watching.plays_past(2.0)

    async def seeks(self, place: float, watch_s: float = 1.0) -> None:
        """To this moment, and watches a little of what is there."""
        await self.page.evaluate("t => { document.querySelector('video').currentTime = t; }", place)
        await self._plays_between(place + watch_s, place + watch_s + 30)

    async def plays_on(self, seconds: float, speed: float = 1.0) -> None:
        """So much of the film, at this speed."""
        at = await self.page.evaluate(
            "speed => { const video = document.querySelector('video'); video.playbackRate = speed;"
            " return video.currentTime; }",
            speed,
        )
        await self._plays_between(at + seconds, at + seconds + 30)

    async def chooses(self, height: int) -> None:
        """A quality; returns when the picture has it."""
        await self.page.evaluate(self._choose, height)
        await self.watching.until("height => document.querySelector('video').videoHeight === height", height)

    async def seen(self) -> Seen:
        """What he saw until now."""
        told = await self.page.evaluate("window.told")
        return Seen(
            stalls=told["stalls"],
            stalled_s=told["stalledMs"] / 1000,
            seek_s=[ms / 1000 for ms in told["seekMs"]],
            lost=sum(after < before for before, after in pairwise(self._heights)),
            trouble=list(self.watching.trouble),
        )

    def _asked(self, request: Request) -> None:
        if found := _SEGMENT.search(request.url):
            self._heights.append(int(found[1]))

    async def _plays_between(self, least: float, most: float) -> None:
        await self.page.wait_for_function(
            "([least, most]) => { const video = document.querySelector('video');"
            " return !video.seeking && video.currentTime > least && video.currentTime < most; }",
            arg=[least, most],
            timeout=2 * PLAYS_MS,
        )
