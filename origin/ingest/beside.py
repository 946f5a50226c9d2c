"""What an asset gets beside picture and sound: captions from its file and from its publisher, a storyboard.

A film whose captions cannot be read, or of which no small pictures come, is no failure: it goes without, and
the log has the reason. What cannot be stored is one.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from origin.captions import Given
from origin.ingest.captions import inside
from origin.ingest.ladder import Ladder
from origin.ingest.packager import Packager
from origin.ingest.probe import Probe
from origin.ingest.storyboard import Layout, sheets
from origin.media.captions import SEGMENT_S, WHOLE_OBJECT, segments, segments_size, write_webvtt
from origin.media.extras import STORYBOARD, Caption, Storyboard, segment_text, sheet

MOST_BYTES: Final = 32 << 20  # of one language, in all its segments

_LOG: Final = logging.getLogger(__name__)


class Beside:
    """Makes them, and hands them to a packager."""

    def __init__(self, packager: Packager, ffmpeg: Path, *, require_jail: bool) -> None:
        self._packager = packager
        self._ffmpeg = ffmpeg
        self._require_jail = require_jail

    async def captions(self, source: Path, found: Probe, given: Sequence[Given]) -> list[Caption]:
        """Those given, and those in the file in other languages, each stored as a rendition."""
        if found.video is None:
            return []
        known = {(each.language, each.forced) for each in given}
        taken = [
            each
            for each in await inside(source, found, ffmpeg=self._ffmpeg, require_jail=self._require_jail)
            if (each.language, each.forced) not in known
        ]
        made: list[Caption] = []
        for each in (*given, *taken):
            default = each.default and not any(before.default for before in made)
            one = await self._caption(replace(each, default=default), len(made) + 1, found.duration)
            made += [one] if one else []
        return made

    async def _caption(self, given: Given, number: int, duration_s: float) -> Caption | None:
        made = segments_size(given.cues, duration_s)  # before any is made: it may be gigabytes
        parts = [] if made > MOST_BYTES else await asyncio.to_thread(segments, given.cues, duration_s)
        made = max(made, sum(map(len, parts)))
        if made > MOST_BYTES:
            _LOG.warning("captions %s left out: %d bytes in segments", given.language, made)
            return None
        whole = write_webvtt(given.cues)
        id = "captions" if number == 1 else f"captions-{number}"
        named = [(segment_text(n), part) for n, part in enumerate(parts)]
        await self._packager.store_beside(id, [*named, (WHOLE_OBJECT, whole)])
        left = max(1, round(duration_s * 1000) - SEGMENT_S * 1000 * (len(parts) - 1))
        lasts = (*(SEGMENT_S * 1000,) * (len(parts) - 1), left)
        sizes = tuple(map(len, parts))
        return Caption(id, given.language, given.name, lasts, sizes, len(whole), given.forced, given.default)

    async def storyboard(self, ladder: Ladder, duration_s: float) -> Storyboard | None:
        """Small pictures of the least rendition, stored; None for sound alone."""
        if not ladder.video:
            return None
        least = ladder.video[-1]
        layout = Layout.of(least.width, least.height, self._packager.segment_s(least.id), duration_s)
        made = await sheets(
            self._packager.packaged(least.id), layout, ffmpeg=self._ffmpeg, require_jail=self._require_jail
        )
        if not made:
            return None
        await self._packager.store_beside(STORYBOARD, [(sheet(n), jpeg) for n, jpeg in enumerate(made)])
        return layout.described(made)
