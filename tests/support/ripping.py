"""A client that takes all it can, as rippers do, over real sockets."""

import asyncio
import time

import httpx

from tests.support.viewer import Viewer


class Rip:
    """Takes every segment it can, with so many sessions of one link, and what it got."""

    def __init__(self, viewers: list[Viewer], segments: int) -> None:
        self.viewers = viewers
        self.segments = segments
        self.taken: dict[str, set[int]] = {}
        self.refused: set[str] = set()  # codes: whoever is refused stops

    async def run(self, for_s: float, connections: int = 4) -> float:
        """Seconds the run took."""
        began = time.monotonic()
        jobs = [
            asyncio.create_task(self._take(viewer, rendition, first, connections * len(self.viewers)))
            for number, viewer in enumerate(self.viewers)
            for rendition in viewer.renditions()
            for first in range(number * connections, (number + 1) * connections)
        ]
        try:
            await asyncio.wait(jobs, timeout=for_s)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
        return time.monotonic() - began

    async def _take(self, viewer: Viewer, rendition: str, first: int, step: int) -> None:
        """Every `step`-th segment from `first` on, each whole. All together take everything."""
        for number in range(first, self.segments, step):
            try:
                answer = await viewer.get(viewer.segment_url(rendition, number))
            except httpx.RemoteProtocolError:  # what drips breaks off when its session ends
                self.refused.add("broken off")
                return
            if answer.status_code == 403:
                self.refused.add(answer.json()["code"])
                return
            assert answer.status_code == 200
            self.taken.setdefault(rendition, set()).add(number)


def rip_client(network: int) -> httpx.AsyncClient:
    """From a network of its own, so that each opening is a session of its own."""
    transport = httpx.AsyncHTTPTransport(local_address=f"127.0.{network}.1")
    return httpx.AsyncClient(transport=transport, timeout=120)
