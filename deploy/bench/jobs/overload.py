"""Three times as many newcomers as can be taken, while others watch: what happens to either (SECURITY F35).

First as many sessions are opened as can be when nobody comes before another was answered: that is the
capacity. Then newcomers come by the clock, whether or not those before them were answered, each on a
connection that is free. All the while viewers take segments; one that is
refused or wrong fails the benchmark.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from deploy.bench.figures import percentile
from deploy.bench.film import Film
from deploy.bench.load import Line, Reply
from deploy.bench.rig import Rig
from deploy.bench.rows import Bar, Row
from deploy.bench.viewers import Session, WrongAnswer, take
from deploy.commands.links import make_link

ROUNDS: Final = 3
TIMES: Final = 3  # of the capacity
CLOSED: Final = 32  # connections that measure the capacity
AGAIN_S: Final = 0.25  # before one of them that was refused comes again
WATCHING: Final = 4
REFUSED_MS: Final = 100.0
GOODPUT: Final = 0.9  # of the capacity
CALM_S: Final = 30.0  # at most until nobody is refused any more
_names: Final = itertools.count()


async def run(rig: Rig) -> list[Row]:
    """Three rows: how soon a refusal comes, what is still opened, how long a segment takes meanwhile."""
    film = await rig.film(rig.size.segments[0][0])
    viewers = await rig.sessions(film, WATCHING)
    storms = [await _storm(rig, film, viewers) for _ in range(min(ROUNDS, rig.size.rounds))]
    refused = sum(len(storm.refused_s) for storm in storms)
    over = f"{TIMES} times the newcomers"
    return [
        Row(
            "overload", f"p99 of refusals, {over}", "ms",
            tuple(_p99_ms(storm.refused_s) for storm in storms),
            bar=Bar(at_most=REFUSED_MS) if refused else None,
            remark=f"{refused} of {refused + sum(storm.opened for storm in storms)} were refused",
        ),
        Row(
            "overload", f"time for each session opened, {over}", "ms",
            tuple(1000 * storm.seconds / max(1, storm.opened) for storm in storms),
            tuple(1000 / storm.capacity for storm in storms), Bar(ratio_at_least=GOODPUT),
            remark="beside it what can be opened one after another, beside the same viewers",
        ),
        Row(
            "overload", f"p99 of segments of {WATCHING} who watch, {over}", "ms",
            tuple(_p99_ms(storm.segments_s) for storm in storms), remark="every one came, whole",
        ),
    ]  # fmt: skip


@dataclass
class _Storm:
    """What came of one round."""

    capacity: float  # sessions a second
    seconds: float = 0.0
    opened: int = 0
    refused_s: list[float] = field(default_factory=list)
    segments_s: list[float] = field(default_factory=list)

    def note(self, reply: Reply) -> None:
        """One newcomer was answered. WrongAnswer unless with a session, or when to come again."""
        if reply.status == 302:
            self.opened += 1
        elif reply.status == 503 and reply.header("retry-after").isdigit():
            self.refused_s.append(reply.whole_s)
        else:
            raise WrongAnswer(f"a newcomer was answered {reply.status}")


async def _storm(rig: Rig, film: Film, viewers: list[Session]) -> _Storm:
    await _calm(rig, film)
    async with _watching(rig, viewers, []):
        storm = _Storm(await _capacity(rig, film))
    links = _links(rig, film, int(TIMES * storm.capacity * rig.size.crowd_s) + 1)
    async with _watching(rig, viewers, storm.segments_s):
        await _come(rig, links, TIMES * storm.capacity, storm)
    return storm


@contextlib.asynccontextmanager
async def _watching(rig: Rig, viewers: list[Session], took: list[float]) -> AsyncIterator[None]:
    """Meanwhile the viewers take segments, for as long as newcomers come."""
    until = time.monotonic() + rig.size.crowd_s
    lines = [await Line.to(rig.edges[0]) for _ in viewers]
    try:
        async with asyncio.TaskGroup() as watching:
            for line, viewer in zip(lines, viewers, strict=True):
                watching.create_task(_watch(line, viewer, until, took))
            yield
    finally:
        for line in lines:
            line.close()


async def _capacity(rig: Rig, film: Film) -> float:
    """Sessions a second, opened by a few who each wait for their answer."""
    began, opened = time.monotonic(), 0

    async def again() -> None:
        nonlocal opened
        async with await Line.to(rig.edges[0]) as line:
            while time.monotonic() - began < rig.size.crowd_s:
                if (await line.get(_link(rig, film))).status == 302:
                    opened += 1
                else:
                    await asyncio.sleep(AGAIN_S)

    await asyncio.gather(*(again() for _ in range(CLOSED)))
    if not opened:
        raise WrongAnswer("no session can be opened")
    return opened / (time.monotonic() - began)


async def _come(rig: Rig, links: list[str], rate: float, storm: _Storm) -> None:
    """Newcomers by the clock; the storm lasts until the last of them was due."""
    free: list[Line] = []
    made: list[Line] = []

    async def one(link: str) -> None:
        if not free:
            made.append(await Line.to(rig.edges[0]))
            free.append(made[-1])
        line = free.pop()
        storm.note(await line.get(link))
        free.append(line)

    began = time.monotonic()
    try:
        async with asyncio.TaskGroup() as coming:
            for number, link in enumerate(links):
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
                coming.create_task(one(link))
        storm.seconds = time.monotonic() - began  # until the last was answered
    except* (WrongAnswer, OSError) as errors:
        raise errors.exceptions[0] from errors
    finally:
        for line in made:
            line.close()


async def _watch(line: Line, viewer: Session, until: float, took: list[float]) -> None:
    """Takes segments round and round."""
    for wanted in itertools.cycle(viewer.segments()):
        if time.monotonic() >= until:
            return
        took += [reply.whole_s for reply in await take([line], [wanted])]


async def _calm(rig: Rig, film: Film) -> None:
    """Waits until a newcomer is taken: what was before is over."""
    async with asyncio.timeout(CALM_S), await Line.to(rig.edges[0]) as line:
        while (await line.get(_link(rig, film))).status != 302:  # noqa: ASYNC110 - another process's
            await asyncio.sleep(0.5)


def _links(rig: Rig, film: Film, count: int) -> list[str]:
    """Targets of so many links: signing them is not to be measured."""
    return [_link(rig, film) for _ in range(count)]


def _link(rig: Rig, film: Film) -> str:
    link = make_link(rig.data, film.asset, list(rig.edges), viewer=f"newcomer-{next(_names)}")
    return urlsplit(link).path


def _p99_ms(seconds: list[float]) -> float:
    return 1000 * percentile(seconds, 0.99) if seconds else 0.0
