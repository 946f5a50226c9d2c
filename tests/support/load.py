"""A load of viewers whose every byte is checked, and the faults injected under it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from tests.support.eventually import eventually
from tests.support.packaged import Packaged
from tests.support.system import System
from tests.support.viewer import Viewer, decrypt

VIEWERS = 8


@dataclass
class Load:
    """Viewers who take segments round and round; each body is compared with the packaged film."""

    viewers: list[Viewer]
    stored: Packaged
    right: int = 0
    broken: int = 0  # visibly: the connection failed, or ended short
    wrong: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Until `stopping` is set."""
        await asyncio.gather(*(self._watch(viewer, i) for i, viewer in enumerate(self.viewers)))

    async def _watch(self, viewer: Viewer, offset: int) -> None:
        renditions = viewer.renditions()
        step = offset
        while not self.stopping.is_set():
            rendition = renditions[step % len(renditions)]
            await self._take(viewer, rendition, step % self.stored.segments(rendition))
            step += 1

    async def _take(self, viewer: Viewer, rendition: str, number: int) -> None:
        where = f"{rendition}/{number}"
        try:
            key = await viewer.client.get(f"{viewer.url.rsplit('/', 1)[0]}/{rendition}/key/{number // 3}")
            body = await viewer.client.get(viewer.segment_url(rendition, number))
        except httpx.TransportError:
            self.broken += 1
            return
        for answer in (key, body):
            if answer.status_code != 200:
                self.refused.append(f"{where}: {answer.status_code} {answer.text[:200]}")
                return
        if decrypt(key.content, number, body.content) == self.stored.segment(rendition, number):
            self.right += 1
        else:
            self.wrong.append(where)

    async def more(self, count: int) -> None:
        """Waits until this many further bodies were right."""
        goal = self.right + count

        async def reached() -> bool:
            return self.right >= goal

        await eventually(reached, within_s=60)


async def load_on(system: System, asset: str, viewers: int = VIEWERS, *, edges: int = 1) -> Load:
    """Viewers with sessions and connections of their own, spread over so many edges."""
    found = [await Viewer(system.sign(asset, number % edges)).opened() for number in range(viewers)]
    return Load(found, await Packaged.of(system.data, asset))


@asynccontextmanager
async def under_load(
    system: System, asset: str, viewers: int = VIEWERS, *, edges: int = 1
) -> AsyncIterator[Load]:
    """The load runs during the block, and some more bodies are right before and after it."""
    load = await load_on(system, asset, viewers, edges=edges)
    running = asyncio.create_task(load.run())
    try:
        await load.more(viewers)
        yield load
        await load.more(viewers)
    finally:
        load.stopping.set()
        await running
        for viewer in load.viewers:
            await viewer.client.aclose()


def kill(pid: int) -> None:
    """SIGKILL to one process that the test's own system started."""
    os.kill(pid, signal.SIGKILL)


async def replaced(system: System, name: str, old: int) -> None:
    """Waits until the supervisor has started another in the place of a dead child."""

    async def there() -> bool:
        return system.children().get(name, old) != old

    await eventually(there, within_s=30)
