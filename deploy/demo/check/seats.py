"""Seats of a showing: a session each, with an ffmpeg that plays it and a client that may ask beside it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from deploy.demo.check.frames import difference
from deploy.demo.check.ground import Ground
from deploy.demo.check.players import Player
from deploy.demo.check.progress import Tell
from deploy.demo.check.reference import Reference
from deploy.demo.check.viewer import Viewer

START_S: Final = 60.0
SLACK: Final = 3.0  # × the film: a player that has not ended by then hangs
LOOK_EVERY_S: Final = 0.5


@dataclass(frozen=True)
class Seat:
    """One session. `frames` is how many pictures it plays, 0 for all."""

    name: str
    edge: int
    viewer: Viewer
    rendition: str
    sound: str  # rendition it hears; empty for none
    player: Player
    frames: int

    def wanted(self, true: Reference) -> list[str]:
        """The pictures it must see."""
        whole = true.frames[self.rendition]
        return whole[: self.frames] if self.frames else whole

    def trouble(self, true: Reference) -> str:
        """What it decoded that is not the packaged film, or lacks; empty when it is the film."""
        got = self.player.decoded
        picture = difference(got.video, self.wanted(true))
        sound = difference(got.audio, true.frames[self.sound]) if self.sound else ""
        if not picture and not sound:
            return ""
        said = "; ".join(filter(None, (picture, sound and f"sound: {sound}", self.player.words)))
        return f"{self.name} ({self.rendition}, edge {self.edge + 1}): {said}"


@asynccontextmanager
async def seated(
    ground: Ground, asset: str, count: int, name: str, *, edges: Sequence[int], frames: int = 0
) -> AsyncIterator[list[Seat]]:
    """So many opened sessions, each of a viewer of its own, spread over the edges and all renditions."""
    async with AsyncExitStack() as stack:
        seats = []
        for number in range(count):
            edge = edges[number % len(edges)]
            link = ground.link(asset, f"check-{name}-{number}", first=edge)
            viewer = await (await stack.enter_async_context(Viewer(link))).opened()
            variant = number // len(edges) % len(viewer.videos)
            sound = viewer.audios[0] if viewer.audios and not frames else ""
            player = Player(ground.ffmpeg, viewer.url, variant, sound=bool(sound), frames=frames)
            seats.append(
                Seat(f"{name} {number + 1}", edge, viewer, viewer.videos[variant], sound, player, frames)
            )
        yield seats


async def played(seats: Sequence[Seat], true: Reference, fps: float, tell: Tell) -> None:
    """Plays all seats at once, each to its end."""
    longest_s = max(len(seat.wanted(true)) for seat in seats) / fps
    async with asyncio.TaskGroup() as plays:
        tasks = [plays.create_task(seat.player.play(START_S + SLACK * longest_s)) for seat in seats]
        while not all(task.done() for task in tasks):
            await asyncio.wait(tasks, timeout=LOOK_EVERY_S)
            tell(min(len(s.player.decoded.video) / max(1, len(s.wanted(true))) for s in seats))
