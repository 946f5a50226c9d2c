"""Buffers are used again while slow readers' transports still hold them: nobody may get a wrong byte.

On uvloop, as in production: it keeps references to what it could not write at once, where asyncio copies.
"""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from keys.derive import content_key
from keys.names import b64url
from origin.media.seal import SLICE
from tests.edge.parts import FILES, World, descriptor, file_bytes, world
from tests.support.viewer import decrypt

READERS = 8
SIZE = 3 * SLICE + 12_345


@pytest.fixture
def uvloop_edge(web: Path) -> Iterator[World]:
    """An edge in a thread of its own, on uvloop."""
    ready, found = threading.Event(), []

    async def serve() -> None:
        stop = asyncio.Event()
        async with world(web) as edge:
            edge.library.assets["film", 3] = descriptor((SIZE, SIZE))
            found.append((edge, asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(20)
    edge, loop, stop = found[0]
    yield edge
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)


async def slow_body(url: str, path: str, turn: int) -> bytes:
    """The body, read in small gulps through a small receive buffer, each reader at its own pace."""
    host, port = url.removeprefix("http://").split(":")
    loop = asyncio.get_running_loop()
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.setblocking(False)
        await loop.sock_connect(line, (host, int(port)))
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        await loop.sock_sendall(line, request.encode())
        got = bytearray()
        while chunk := await loop.sock_recv(line, 16_384 * (1 + turn % 4)):
            got += chunk
            if len(got) // 65_536 % (turn + 2) == 0:
                await asyncio.sleep(0.002)
    head, _, body = bytes(got).partition(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0]
    return body


async def test_every_slow_reader_gets_exactly_his_own_bytes(uvloop_edge: World) -> None:
    edge = uvloop_edge

    async def read(turn: int) -> None:
        sid = bytes([turn] * 16)
        base = edge.session(sid).removeprefix(edge.url)
        for number in (0, 1):
            body = await slow_body(edge.url, f"{base}720p/{number}.m4s", turn)
            key = content_key(edge.keys.lease_of(b64url(sid)).srk, "aes", "video", "720p", 0)
            plain = edge.library.body("film", 3, "720p", f"{number}.m4s")
            assert decrypt(key, number, body) == plain

    await asyncio.gather(*(read(turn) for turn in range(READERS)))


async def test_every_slow_reader_of_a_download_gets_every_byte_of_it(uvloop_edge: World) -> None:
    """Its slices go out two in a write, straight from where the cache holds them."""
    whole = file_bytes("film.mp4", FILES["film.mp4"])

    async def read(turn: int) -> None:
        path = uvloop_edge.download(sid=bytes([turn] * 16)).removeprefix(uvloop_edge.url)
        assert await slow_body(uvloop_edge.url, path, turn) == whole

    await asyncio.gather(*(read(turn) for turn in range(READERS // 2)))
