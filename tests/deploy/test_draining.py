"""F18 in one process, over raw sockets: what a server does with its connections when it is told to end."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from starlette.types import Receive, Scope, Send

from deploy.serve import FINISH_S, Server, config
from tests.support.lifespan import lived
from tests.support.serving import listening_on

REQUEST = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass
class App:
    """Answers at once, or (/slow) half of its body at once and the rest when it may."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.state = SimpleNamespace(hush=self.hush)

    async def hush(self) -> None:
        self.told.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lived(receive, send)
            return
        if scope["path"] == "/held":
            self.begun.set()
            await self.may_end.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})
        if scope["path"] == "/slow":
            self.begun.set()
            await self.may_end.wait()
        await send({"type": "http.response.body", "body": b"cd"})


@dataclass
class Served:
    app: App
    server: Server
    listening: socket.socket
    task: asyncio.Task[None]

    async def connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.listening.getsockname())

    async def told_to_end(self) -> None:
        self.server.should_exit = True
        await self.app.told.wait()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A server whose listening socket somebody else holds as well, as a worker's does."""
    app = App()
    with listening_on() as listening:
        server = Server(config(app))
        task = asyncio.create_task(server.serve(sockets=[listening.dup()]))
        while not server.started:  # noqa: ASYNC110 - uvicorn tells no other way
            await asyncio.sleep(0.01)
        yield Served(app, server, listening, task)
        app.may_end.set()
        server.should_exit = True
        await task


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of one answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    return head.lower(), await reader.readexactly(4)


async def asked(served: Served, path: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await served.connected()
    writer.write(REQUEST % path)
    return reader, writer


async def test_f18_a_request_that_comes_on_an_open_connection_is_answered_and_told_to_close(
    served: Served,
) -> None:
    reader, writer = await asked(served, b"")
    head, _ = await answer(reader)
    assert b"connection: close" not in head
    await served.told_to_end()
    writer.write(REQUEST % b"")
    head, body = await answer(reader)
    assert b"connection: close" in head and body == b"abcd"
    assert await reader.read() == b""
    await served.task


async def test_f18_an_answer_under_way_is_finished_and_its_connection_takes_one_more(served: Served) -> None:
    reader, writer = await asked(served, b"slow")
    await served.app.begun.wait()
    await served.told_to_end()
    served.app.may_end.set()
    head, body = await answer(reader)
    assert b"connection: close" not in head and body == b"abcd"  # its head was out before
    writer.write(REQUEST % b"")
    head, body = await answer(reader)
    assert b"connection: close" in head and body == b"abcd"


async def test_f18_an_answer_that_had_not_begun_is_given_with_close(served: Served) -> None:
    reader, _ = await asked(served, b"held")
    await served.app.begun.wait()
    await served.told_to_end()
    served.app.may_end.set()
    head, body = await answer(reader)
    assert b"connection: close" in head and body == b"abcd"


async def test_f18_a_head_that_is_half_there_is_waited_for(served: Served) -> None:
    reader, writer = await served.connected()
    writer.write((REQUEST % b"")[:10])
    await writer.drain()
    await served.told_to_end()
    await asyncio.sleep(1.2)  # longer than a connection without a request is kept
    writer.write((REQUEST % b"")[10:])
    head, body = await answer(reader)
    assert b"connection: close" in head and body == b"abcd"


async def test_f18_idle_connections_are_closed_in_order_and_the_server_ends(served: Served) -> None:
    idle = [await served.connected() for _ in range(20)]
    await served.told_to_end()
    async with asyncio.timeout(FINISH_S / 2):
        assert [await reader.read() for reader, _ in idle] == [b""] * 20
        await served.task


async def test_f18_who_waits_in_the_shared_queue_is_served_by_the_next_worker(served: Served) -> None:
    await served.told_to_end()
    reader, writer = await asked(served, b"")  # nobody accepts: the connection waits in the queue
    await served.task
    later = Server(config(App()))
    task = asyncio.create_task(later.serve(sockets=[served.listening.dup()]))
    head, body = await answer(reader)
    assert head.startswith(b"http/1.1 200") and body == b"abcd"
    writer.close()
    later.should_exit = True
    await task


async def test_f18_what_is_not_finished_in_time_is_cut_visibly() -> None:
    app = App()
    with listening_on() as listening:
        server = Server(config(app, finish_s=1))
        task = asyncio.create_task(server.serve(sockets=[listening.dup()]))
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(REQUEST % b"slow")
        await app.begun.wait()
        server.should_exit = True
        await task
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"content-length: 4" in head
        rest = b""
        with contextlib.suppress(ConnectionResetError):
            rest = await reader.read()
        assert rest == b"ab"
