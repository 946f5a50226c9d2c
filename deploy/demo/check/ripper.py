"""A ripper: takes all it can of a long film, with one session and with many of one link, for a while.

What it may get is known beforehand from the pace in force, which is read from the lease an edge gets.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import httpx

from deploy.demo.check.ground import Ground
from deploy.demo.check.report import NotShown, Report
from deploy.demo.check.viewer import Segment, Viewer
from keys.pace import JUMP_REFILL, Pace

FOR_S: Final = 25.0
SESSIONS: Final = (1, 16)
CONNECTIONS: Final = 4  # of each session
LONGER: Final = 1.25  # × what may be taken is how long the film must be
LONGEST_S: Final = 3600.0  # a pace that gives more than this in so short a time slows nobody


@dataclass(frozen=True, slots=True)
class Rip:
    """What a ripper with so many sessions got, in so many seconds, and what it may get in them."""

    sessions: int
    media_s: float
    took_s: float
    bound_s: float

    @property
    def within(self) -> bool:
        """Whether the pace held."""
        return self.media_s <= self.bound_s


def bound_s(pace: Pace, took_s: float) -> float:
    """The most media anybody gets in that time: B + 8·J + (R + 0.13)·t seconds."""
    return pace.burst_s + pace.jump_s * pace.jumps + (pace.rate + pace.jump_s * JUMP_REFILL) * took_s


async def pace_in_force(ground: Ground, asset: str) -> Pace:
    """The pace of a session of this asset, as its edge is told."""
    async with Viewer(ground.link(asset, "check-pace")) as viewer:
        return (await ground.lease((await viewer.opened()).url)).pace


def film_s(pace: Pace) -> float:
    """How long the film must be. NotShown when this pace would slow nobody."""
    needed = LONGER * bound_s(pace, FOR_S)
    if needed > LONGEST_S:
        most_s = bound_s(pace, FOR_S)
        raise NotShown(f"This pace hands out {most_s:.0f} s of media in {FOR_S:.0f} s: it slows nobody.")
    return needed


async def rip(ground: Ground, asset: str, pace: Pace, report: Report) -> None:
    """Rips with 1 and with 16 sessions at the same time, each a viewer of its own, and reports."""
    rips = await asyncio.gather(*(_rip(ground, asset, pace, sessions) for sessions in SESSIONS))
    worst = max(rips, key=lambda each: each.media_s / each.bound_s)
    report.fields["ripper_media_seconds"] = round(worst.media_s, 1)
    report.fields["ripper_media_bound"] = round(worst.bound_s, 1)
    for each in rips:
        name = f"{each.sessions} session" + ("s of one link" if each.sessions > 1 else "")
        # Less than a bucket's first segments would show no more than that nothing was handed out at all.
        ok = each.within and each.media_s >= min(pace.burst_s, each.bound_s) / 2
        report.found(
            "ripper",
            f"a ripper with {name} is slowed to the pace of watching",
            ok,
            f"{each.media_s:.0f} s of media in {each.took_s:.0f} s",
            f"≤ {each.bound_s:.0f} s",
        )


async def _rip(ground: Ground, asset: str, pace: Pace, sessions: int) -> Rip:
    if sessions > 1 and not ground.on_loopback():
        raise NotShown("Many sessions of one link need many networks, which only 127.0.0.0/8 has here.")
    link = ground.link(asset, f"check-ripper-{sessions}", session_s=600)
    took: dict[int, float] = {}
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        viewers = []
        for number in range(sessions):
            # One link from one network is one session, so each comes from a network of its own.
            network = f"127.0.{100 + number}.1" if sessions > 1 else None
            viewers.append(await (await stack.enter_async_context(Viewer(link, network))).opened())
        if len({viewer.url for viewer in viewers}) != sessions:
            raise NotShown(f"{sessions} openings of one link were not {sessions} sessions.")
        rendition = viewers[0].videos[0]
        segments = await viewers[0].segments(rendition)
        lines = len(viewers) * CONNECTIONS
        tasks = [
            asyncio.create_task(
                _take(viewers[line % sessions], rendition, _from(segments, line, lines), took)
            )
            for line in range(lines)
        ]
        done, waiting = await asyncio.wait(tasks, timeout=FOR_S)
        took_s = time.monotonic() - began
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for task in done:
            task.result()
    return Rip(sessions, sum(took.values()), took_s, bound_s(pace, took_s))


def _from(segments: list[Segment], line: int, lines: int) -> list[Segment]:
    """All segments, beginning at this line's place: far from each other, so that the jumps are drawn too."""
    at = line * len(segments) // lines
    return segments[at:] + segments[:at]


async def _take(viewer: Viewer, rendition: str, segments: list[Segment], took: dict[int, float]) -> None:
    """Takes what nobody else took; into `took` go the seconds of media by number, parts as parts."""
    for segment in segments:
        if segment.number in took:
            continue
        took[segment.number] = 0.0
        async with viewer.client.stream("GET", viewer.segment_url(rendition, segment.number)) as answer:
            if answer.status_code != httpx.codes.OK:
                raise NotShown(f"A ripper's segment was answered with {answer.status_code}, not slowed.")
            length = int(answer.headers["content-length"])
            async for piece in answer.aiter_raw():
                took[segment.number] += segment.seconds * len(piece) / length
