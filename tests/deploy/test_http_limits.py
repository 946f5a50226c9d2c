"""The HTTP server's own refusals, over raw sockets: one reading of a request, or none."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from deploy import http_limits
from deploy.serve import config

GOOD = b"GET / HTTP/1.1\r\nHost: a\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    settings = config(app)
    settings.port = 0
    server = uvicorn.Server(settings)
    task = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells no other way
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


async def said(port: int, data: bytes) -> bytes:
    """Everything the server sends until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        async with asyncio.timeout(15):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        GOOD + b"Host: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a/evil\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a?x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        GOOD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        GOOD + b"Content-Length: +1\r\n\r\nx",
        GOOD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        GOOD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        GOOD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        GOOD + b"X : y\r\n\r\n",
        GOOD + b"X: a\r\n b\r\n\r\n",
        GOOD + b"X: a\nY: b\r\n\r\n",
        GOOD + b"".join(b"X-%d: y\r\n" % i for i in range(101)) + b"\r\n",
        GOOD + b"X: " + b"y" * (33 << 10) + b"\r\n\r\n",
        b"GET /" + b"a" * (33 << 10) + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_t9_an_ambiguous_or_oversize_head_is_refused_once_and_the_connection_closed(
    port: int, request_bytes: bytes
) -> None:
    answer = await said(port, request_bytes + GOOD + b"\r\n")
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")


async def test_a_usual_request_is_answered_without_naming_the_server(port: int) -> None:
    answer = await said(port, GOOD + b"Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"ok") and b"server:" not in answer.lower()


@pytest.mark.parametrize("start", [b"", b"GET / HT", GOOD + b"X: "])
async def test_t11_a_head_that_does_not_arrive_in_time_ends_the_connection(
    port: int, start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_limits, "HEAD_S", 0.2)
    assert await said(port, start) == b""
