"""Two edges of two workers, with proxies between all parts, to be broken by one test after the other.

        viewer ── doors[i] ── edge i ──┬── origin (a proxy) ── origin
                                       └── keys (a proxy)   ── keys
Edges are told the proxies' addresses by --origin-url and --keys-url. A door is a way to an edge that can be
closed: to its viewers the edge is dead then, though the supervisor holds its port.
"""

import os
import secrets
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from tests.support.eventually import eventually
from tests.support.packaged import Packaged
from tests.support.proxy import Proxy
from tests.support.publish import FILM, publish
from tests.support.system import System
from tests.support.viewer import Viewer

REST_S: Final = 0.02


class Fleet:
    """The running system and its proxies."""

    def __init__(self, system: System, origin: Proxy, keys: Proxy, doors: list[Proxy]) -> None:
        self.system, self.origin, self.keys, self.doors = system, origin, keys, doors

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.system.data

    async def film(
        self, name: str = "film", sizes: Mapping[str, Sequence[int]] = FILM, **how: Mapping[str, float]
    ) -> str:
        """A new, cold asset."""
        return await publish(self.system, f"{name}-{secrets.token_hex(4)}", sizes, **how)

    async def viewer(self, asset: str, edge: int = 0) -> Viewer:
        """An open session, by the edge itself."""
        return await Viewer(self.system.sign(asset, edge)).opened()

    async def stored(self, asset: str) -> Packaged:
        """The asset as it lies at the origin."""
        return await Packaged.of(self.data, asset)

    def path(self, url: str) -> str:
        """The target of a URL."""
        return urlsplit(url).path

    def at(self, url: str, edge: int, *, door: bool = False) -> str:
        """The same URL at another edge, or by its door."""
        return (self.doors[edge].url if door else self.system.edges[edge]) + urlsplit(url).path

    def asked(self, asset: str, name: str) -> int:
        """How often the origin was asked for an object, such as `720p/0.m4s`."""
        return self.origin.asked.count(f"/v1/blobs/{asset}/1/{name}")

    async def origin_bytes(self) -> float:
        """Body bytes the origin has sent of stored objects."""
        return self.system.origin_counts().get("sluice_origin_blob_bytes_total", 0.0)

    def workers(self, edge: int) -> dict[str, int]:
        """Names and process IDs of an edge's workers."""
        found = self.system.children()
        return {name: pid for name, pid in found.items() if name.startswith(f"edge-{edge}-")}

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """A child that stands still for the block (SIGSTOP, SIGCONT)."""
        pid = self.system.children()[name]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    async def chill(self) -> None:
        """All caches of all edges are empty: as if everything had been evicted."""
        async with self.redis() as client:
            await client.flushall()
        for place in Path("/dev/shm").glob(f"sluice-{os.geteuid()}-*/edge-*"):
            if place.parent.name.endswith(self.installation):
                for file in place.glob("s-*"):
                    file.unlink(missing_ok=True)

    @property
    def installation(self) -> str:
        """What its L1 directory is called by (`deploy.layout`)."""
        from deploy.layout import Layout
        from deploy.settings import Settings

        return Layout(Settings(data=self.data)).l1(0).parent.name.rsplit("-", 1)[1]

    def redis(self, name: str = "cache") -> Any:
        """A client of one of the Redis servers."""
        return self.system.redis(name)

    async def mended(self) -> None:
        """Nothing is broken any more, and every part works with every other again."""
        for proxy in (self.origin, self.keys, *self.doors):
            proxy.heal()
        names = set(self.system.parts())
        await eventually(lambda: _true(names <= set(self.system.children())), within_s=40)
        await eventually(self._cold_plays, within_s=60)
        for proxy in (self.origin, self.keys, *self.doors):
            proxy.asked.clear()

    async def _cold_plays(self) -> bool:
        """Whether each edge opens a session and gets a cold object from the origin."""
        try:
            asset = await self.film("mend", {"720p": [1000] * 4})
            for edge in range(2):
                async with await self.viewer(asset, edge) as viewer:
                    for number in range(2):
                        if (
                            await viewer.get(viewer.segment_url("720p", 2 * edge + number))
                        ).status_code != 200:
                            return False
        except (httpx.HTTPError, AssertionError, Exception):  # whatever is not mended yet
            return False
        return True


async def _true(value: bool) -> bool:
    return value


@contextmanager
def fleet(data: Path, *options: str, workers: int = 2) -> Iterator[Fleet]:
    """A fleet for the time of the block; seen to end."""
    with Proxy() as origin, Proxy() as keys, Proxy() as one, Proxy() as two:
        told = ("--origin-url", origin.url, "--keys-url", keys.url)
        busy = ("--overload-lag", "80ms", "--overload-wait", "1s")  # as by default (F35)
        system = System(data, *told, *busy, *options, edges=2, workers=workers)
        origin.target, keys.target = ("127.0.0.1", system.base + 1), ("127.0.0.1", system.base)
        one.target, two.target = (("127.0.0.1", system.base + 10 + edge) for edge in range(2))
        try:
            yield Fleet(system.start(), origin, keys, [one, two])
        finally:
            if system.process is not None and system.process.poll() is None:
                assert system.stop() == 0, system.logs()
