"""Faults in mid-play: all workers of one edge killed, the origin stopped. What plays must play on, whole.

Players of the surviving edge are ffmpegs. At the edge that is killed sit followers: clients that take each
segment when it is due and, when their edge breaks off, ask another for it, as players with two base URLs do.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

import httpx

from deploy.demo.check.film import Film
from deploy.demo.check.ground import Ground
from deploy.demo.check.progress import Tell
from deploy.demo.check.report import NotShown, Report
from deploy.demo.check.seats import Seat, played, seated
from deploy.demo.check.viewer import Segment, Viewer

PLAY_S: Final = 24.0  # of the film
STRIKE_S: Final = 7.0  # of these, before the fault
PLAYERS: Final = 4
FOLLOWERS: Final = 4
PAUSE_S: Final = 0.25  # before a broken request is tried at the next edge
GIVE_UP_S: Final = 20.0
BACK_WITHIN_S: Final = 30.0
# Lets a stopped process go on when whoever stopped it is gone, however that ended.
_GUARD: Final = "import os,signal,sys; sys.stdin.read(); os.kill(int(sys.argv[1]), signal.SIGCONT)"


async def kill_an_edge(ground: Ground, film: Film, report: Report, tell: Tell) -> None:
    """Kills the workers of the last edge while sessions play on all."""
    struck = len(ground.edges) - 1
    frames = _frames(film)
    others = list(range(struck))
    async with (
        seated(ground, film.asset, PLAYERS, "survivor", edges=others, frames=frames) as seats,
        _followers(ground, film, struck) as followers,
    ):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(played(seats, film.true, film.fps, tell))
            for follower in followers:
                tasks.create_task(follower.follow())
            await asyncio.sleep(STRIKE_S)
            killed = ground.workers(struck)
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
        await _back(ground, struck, killed)
        trouble = _trouble(seats, film) + [each.trouble for each in followers if each.trouble]
        stall_s = max(each.stall_s for each in followers)
        segment_s = max(each.seconds for follower in followers for each in follower.segments)
    ok = bool(killed) and not trouble and stall_s <= segment_s
    report.fields["survives_edge_kill"] = ok
    report.more["edge_kill_stall_seconds"] = round(stall_s, 2)
    report.found(
        "edge kill",
        f"an edge's {len(killed)} workers are killed in mid-play: sessions on every edge go on whole",
        ok,
        trouble[0] if trouble else f"{len(seats) + len(followers)} went on; longest stall {stall_s:.1f} s",
        f"all; at most one segment of {segment_s:.0f} s",
    )


async def stop_the_origin(ground: Ground, film: Film, report: Report, tell: Tell) -> None:
    """Stops the origin while sessions play, and opens a new one meanwhile."""
    every = range(len(ground.edges))
    process = ground.origin_process()
    async with seated(ground, film.asset, PLAYERS, "viewer", edges=every, frames=_frames(film)) as seats:
        async with asyncio.TaskGroup() as tasks:
            playing = tasks.create_task(played(seats, film.true, film.fps, tell))
            await asyncio.sleep(STRIKE_S)
            with _stopped(process):
                newcomer = await _newcomer(ground, film)
                await asyncio.wait([playing])
        trouble = _trouble(seats, film) + ([newcomer] if newcomer else [])
    report.fields["plays_with_origin_down"] = not trouble
    report.found(
        "origin stopped",
        "the origin is stopped in mid-play: sessions play on from the caches, a new one opens",
        not trouble,
        trouble[0] if trouble else f"{len(seats)} went on, 1 opened",
        "all, every frame",
    )


def _frames(film: Film) -> int:
    """Pictures of the part that is played."""
    return round(min(PLAY_S, film.seconds - 1) * film.fps)


def _trouble(seats: Sequence[Seat], film: Film) -> list[str]:
    return [told for seat in seats if (told := seat.trouble(film.true))]


async def _newcomer(ground: Ground, film: Film) -> str:
    """What goes wrong for a viewer who comes while the origin is stopped; empty when nothing does."""
    try:
        async with Viewer(ground.link(film.asset, "check-newcomer")) as viewer:
            await viewer.opened()
            rendition = viewer.videos[0]
            segment = (await viewer.segments(rendition))[0]
            plain = await viewer.plain(rendition, segment, await viewer.cipher(rendition, segment.number))
    except (NotShown, httpx.HTTPError) as error:
        return f"A new session with the origin stopped: {str(error) or type(error).__name__}"
    return "" if film.true.is_segment(rendition, 0, plain) else "A new session got another segment."


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    """The process stopped while entered. It goes on afterwards, even if we do not live that long."""
    with subprocess.Popen([sys.executable, "-c", _GUARD, str(pid)], stdin=subprocess.PIPE) as guard:
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)
            assert guard.stdin is not None
            guard.stdin.close()


async def _back(ground: Ground, edge: int, killed: Sequence[int]) -> None:
    """Waits until as many new workers run as were killed, and the edge serves."""
    deadline = time.monotonic() + BACK_WITHIN_S
    async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
        while time.monotonic() < deadline:
            fresh = set(ground.workers(edge)) - set(killed)
            if len(fresh) >= len(killed) and await _serves(client, ground.edges[edge]):
                return
            await asyncio.sleep(PAUSE_S)
    raise NotShown(f"The killed edge was not back after {BACK_WITHIN_S:.0f} s.")


async def _serves(client: httpx.AsyncClient, edge: str) -> bool:
    try:
        return (await client.get(f"{edge}/healthz")).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


@asynccontextmanager
async def _followers(ground: Ground, film: Film, edge: int) -> AsyncIterator[list["Follower"]]:
    """Followers whose sessions begin at this edge; the others are where they may go."""
    edges = [ground.edges[edge], *(url for url in ground.edges if url != ground.edges[edge])]
    async with AsyncExitStack() as stack:
        found = []
        for number in range(FOLLOWERS):
            link = ground.link(film.asset, f"check-follower-{number}", first=edge)
            viewer = await (await stack.enter_async_context(Viewer(link))).opened()
            rendition = viewer.videos[number % len(viewer.videos)]
            segments = await viewer.segments(rendition)
            few = [s for n, s in enumerate(segments) if sum(e.seconds for e in segments[:n]) < PLAY_S]
            found.append(Follower(viewer, film, edges, rendition, few))
        yield found


@dataclass
class Follower:
    """A client at reading pace, one segment ahead, that goes to the next edge when its own breaks off."""

    viewer: Viewer
    film: Film
    edges: Sequence[str]
    rendition: str
    segments: list[Segment]
    stall_s: float = 0.0  # the longest time its picture would have stood still
    trouble: str = ""

    async def follow(self) -> None:
        """Plays its segments to the end, or to the first that is wrong or does not come."""
        shown_at = 0.0  # when the segment before began to be shown
        ends_at = 0.0  # when it will have been shown
        for segment in self.segments:
            await asyncio.sleep(max(0.0, shown_at - time.monotonic()))
            try:
                async with asyncio.timeout(GIVE_UP_S):
                    plain = await self._taken(segment)
            except TimeoutError:
                self.trouble = f"Segment {segment.number} did not come within {GIVE_UP_S:.0f} s."
                return
            except NotShown as error:
                self.trouble = str(error)
                return
            if segment.number:
                self.stall_s = max(self.stall_s, time.monotonic() - ends_at)
            if not self.film.true.is_segment(self.rendition, segment.number, plain):
                self.trouble = f"Segment {segment.number} is not the packaged one."
                return
            shown_at = max(ends_at, time.monotonic())
            ends_at = shown_at + segment.seconds

    async def _taken(self, segment: Segment) -> bytes:
        while True:
            for edge in self.edges:
                self.viewer.url = self.viewer.at(edge)
                try:
                    body = await self.viewer.cipher(self.rendition, segment.number)
                    return await self.viewer.plain(self.rendition, segment, body)
                except httpx.TransportError:
                    await asyncio.sleep(PAUSE_S)
