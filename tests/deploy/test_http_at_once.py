"""Answers that are ready go out for simple requests alone, and look like every other answer."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from deploy.serve import Server, config
from edge.guard.head import Head
from tests.support.lifespan import lived
from tests.support.serving import listening_on

READY = b"ready"
CALLED = b"called"


@dataclass
class Answer:
    status: int
    fields: list[tuple[bytes, bytes]]
    body: Sequence[bytes]
    wire: tuple[bytes, ...] = ()
    left: int = 0
    rest: ASGIApp | None = None


class App:
    """Has the answer of /ready at hand, and says so in its body; is called for all else."""

    def __init__(self) -> None:
        self.asked = 0
        self.ready = Answer(200, [(b"content-length", b"5"), (b"x-from", b"hand")], [READY])

    def at_once(self, head: Head, scheme: str) -> Answer | None:
        self.asked += 1
        return self.ready if head.path == b"/ready" and head.method == "GET" and scheme == "http" else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lived(receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
        await send({"type": "http.response.body", "body": CALLED})


@dataclass
class Served:
    app: App
    server: Server
    address: tuple[str, int]

    async def answers(self, raw: bytes) -> bytes:
        """All that comes for these bytes until the connection ends or nothing more is to be said."""
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write(raw)
        writer.write(b"GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        try:
            return await reader.read(-1)
        finally:
            writer.close()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    app = App()
    with listening_on() as listening:
        server = Server(config(app))
        task = asyncio.create_task(server.serve(sockets=[listening.dup()]))
        while not server.started:  # noqa: ASYNC110 - uvicorn tells no other way
            await asyncio.sleep(0.01)
        yield Served(app, server, listening.getsockname())
        server.should_exit = True
        await task


async def one(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head, await reader.readexactly(length)


async def test_what_is_ready_goes_out_again_and_again_on_one_connection(served: Served) -> None:
    reader, writer = await asyncio.open_connection(*served.address)
    for _ in range(3):
        writer.write(b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n")
        head, body = await one(reader)
        assert head.startswith(b"HTTP/1.1 200 OK\r\n") and b"date: " in head and b"x-from: hand\r\n" in head
        assert body == READY
    writer.write(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await one(reader))[1] == CALLED
    assert served.app.asked == 4
    assert served.server.server_state.total_requests == 4
    writer.close()


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /ready HTTP/1.1\r\nHost: a\r\ncontent-length: 2\r\n\r\nab",
        b"GET /ready HTTP/1.1\r\nHost: a\r\ncontent-length: 2\r\n\r\nab",
        b"HEAD /ready HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /ready HTTP/1.0\r\n\r\n",
        b"GET /ready HTTP/1.1\r\nHost: a\r\nconnection: close\r\n\r\n",
    ],
)
async def test_other_requests_go_the_usual_way(served: Served, request_: bytes) -> None:
    assert READY not in await served.answers(request_)


async def test_requests_that_come_together_are_answered_in_their_order(served: Served) -> None:
    both = await served.answers(b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    assert both.count(b"HTTP/1.1 200 OK") == 3
    thousand = await served.answers(b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
    assert thousand.count(b"HTTP/1.1 200 OK") == 1001


async def test_one_that_is_not_well_formed_does_not_go_out(served: Served) -> None:
    served.app.ready.fields.append((b"x-name", b"a\r\nset-cookie: b=c"))
    assert b"set-cookie" not in await served.answers(b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n")


async def test_while_the_server_ends_connections_are_told_so(served: Served) -> None:
    reader, writer = await asyncio.open_connection(*served.address)
    writer.write(b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n")
    await one(reader)
    served.server.should_exit = True
    while not served.server.server_state.draining:  # noqa: ASYNC110 - uvicorn tells no other way
        await asyncio.sleep(0.01)
    writer.write(b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n")
    head, body = await one(reader)
    assert b"connection: close" in head and body == CALLED
