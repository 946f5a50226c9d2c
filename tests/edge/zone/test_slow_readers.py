"""Slow and fast readers of one long body side by side, while its slices are let go: each gets every byte.

On uvloop, as in production: it keeps references to what it could not write at once.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
import uvloop

from edge.http.partial import SLICE
from edge.zone.at_once import Ready
from tests.support.large_origin import LargeOrigin, content
from tests.support.zone_edge import ZoneEdge, edge_of

TOTAL = 4 * SLICE + 12_345
READERS = 4
MEMORY = 3 * SLICE  # less than the body: the store lets go of what is being read


class Counted:
    """How many answers were ready."""

    def __init__(self, edge: ZoneEdge) -> None:
        self.long = 0
        self._find, edge.app.ready.find = edge.app.ready.find, self.find  # type: ignore[method-assign]

    def find(self, head: object, scheme: str) -> Ready | None:
        found = self._find(head, scheme)  # type: ignore[arg-type]
        self.long += found is not None and found.rest is not None
        return found


@pytest.fixture(params=[64 << 20, MEMORY])
def uvloop_edge(request: pytest.FixtureRequest) -> Iterator[tuple[str, Counted, bool]]:
    """An edge and its origin in a thread of their own: URL, what was ready, and whether all of it is kept."""
    ready, found = threading.Event(), []

    async def serve() -> None:
        stop = asyncio.Event()
        async with LargeOrigin(TOTAL).served() as url, edge_of(url, memory=request.param) as edge:
            base = edge.client.base_url
            where = f"http://{base.host}:{base.port}"
            found.append((where, Counted(edge), asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(20)
    url, counted, loop, stop = found[0]
    yield url, counted, request.param > TOTAL
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)


async def bodies(url: str, turn: int, times: int) -> list[bytes]:
    """The body, so often over one connection; each reader gulps and pauses in its own way."""
    host, port = url.removeprefix("http://").split(":")
    loop, found = asyncio.get_running_loop(), []
    with contextlib.closing(socket.socket()) as line:
        if turn % 3:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        line.setblocking(False)
        await loop.sock_connect(line, (host, int(port)))
        for _ in range(times):
            await loop.sock_sendall(line, b"GET /film HTTP/1.1\r\nHost: a\r\n\r\n")
            got = bytearray()
            while b"\r\n\r\n" not in got:
                got += await loop.sock_recv(line, 4096)
            head, _, body = bytes(got).partition(b"\r\n\r\n")
            assert b" 200 " in head.split(b"\r\n")[0]
            got = bytearray(body)
            while len(got) < TOTAL:
                chunk = await loop.sock_recv(line, 65_536 << turn % 3)
                assert chunk, "it broke off"
                got += chunk
                if turn % 3 and len(got) // 262_144 % (turn + 2) == 0:
                    await asyncio.sleep(0.001)
            found.append(bytes(got))
    return found


async def test_every_reader_gets_every_byte(uvloop_edge: tuple[str, Counted, bool]) -> None:
    url, counted, kept = uvloop_edge
    expected = content(0, TOTAL)
    if kept:
        await bodies(url, 0, 2)
    for found in await asyncio.gather(*(bodies(url, turn, 2 if kept else 1) for turn in range(READERS))):
        assert all(body == expected for body in found)
    if kept:
        assert counted.long, "none of them was ready"
