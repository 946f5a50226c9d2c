"""What an origin can do wrong, one request at a time (SECURITY F2, F4, F8)."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from edge.cache.upstream import Cut, OriginClient
from keys.problems import Problem

Answer = bytes
HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
async def answering() -> AsyncIterator[Callable[..., Any]]:
    """Makes a server that sends exactly these bytes to each request, then closes; and a client of it."""
    servers: list[asyncio.Server] = []
    clients: list[OriginClient] = []

    async def make(answer: bytes, *, hold: asyncio.Event | None = None, **settings: Any) -> OriginClient:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            if hold is not None:
                await hold.wait()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        servers.append(server)
        client = OriginClient(
            f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", lambda: "t", **settings
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.close()
    for server in servers:
        server.close()


async def read(client: OriginClient, start: int = 0, stop: int = 10, *, whole: bool = True) -> bytes:
    async with aclosing(client.stream("/x", start, stop, whole=whole)) as body:
        return b"".join([chunk async for chunk in body])


async def test_a_whole_body_and_a_range_come_as_asked(answering: Any) -> None:
    client = await answering(HEAD + b"content-length: 10\r\n\r\n0123456789")
    assert await read(client) == b"0123456789"
    assert await client.fetch("/x", 10) == b"0123456789"
    client = await answering(
        b"HTTP/1.1 206 Partial\r\ncontent-range: bytes 4-6/10\r\ncontent-length: 3\r\n\r\n456"
    )
    assert await read(client, 4, 7, whole=False) == b"456"
    client = await answering(HEAD + b"transfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n")
    assert await read(client) == b"0123456789"


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (HEAD + b"content-length: 11\r\n\r\n0123456789x", True),
        (HEAD + b"content-length: 9\r\n\r\n012345678", True),
        (HEAD + b"transfer-encoding: chunked\r\n\r\nb\r\n0123456789x\r\n0\r\n\r\n", True),
        (HEAD + b"content-encoding: gzip\r\ncontent-length: 10\r\n\r\n0123456789", True),
        (b"HTTP/1.1 206 P\r\ncontent-range: bytes 0-9/10\r\ncontent-length: 10\r\n\r\n0123456789", True),
        (HEAD + b"content-length: 10\r\n\r\n0123456789", False),
        (b"HTTP/1.1 206 P\r\ncontent-range: bytes 1-10/99\r\ncontent-length: 10\r\n\r\n0123456789", False),
        (b"HTTP/1.1 206 P\r\ncontent-range: nonsense\r\ncontent-length: 10\r\n\r\n0123456789", False),
        (b"HTTP/1.1 206 P\r\ncontent-length: 10\r\n\r\n0123456789", False),
        (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", True),
        (b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n", True),
    ],
)
async def test_f8_an_answer_to_another_question_is_refused(
    answering: Any, answer: bytes, whole: bool
) -> None:
    with pytest.raises(Problem) as refused:
        await read(await answering(answer), whole=whole)
    assert refused.value.code == "bad_upstream"


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"content-length: 10\r\n\r\n01234",
        HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n01234\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n01234\r\n0\r\n\r\n",
        HEAD + b"connection: close\r\n\r\n01234",
    ],
)
async def test_f4_a_body_that_ends_early_is_cut(answering: Any, answer: bytes) -> None:
    with pytest.raises(Cut):
        await read(await answering(answer))


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", HEAD + b"x: " + b"y" * (1 << 20) + b"\r\n\r\n"])
async def test_f8_what_is_no_answer_is_trouble(answering: Any, answer: bytes) -> None:
    with pytest.raises(Problem) as refused:
        await read(await answering(answer))
    assert refused.value.code == "unavailable"


async def test_absent_is_said(answering: Any) -> None:
    client = await answering(b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n")
    with pytest.raises(Problem) as refused:
        await read(client)
    assert refused.value.code == "not_found"


async def test_a_small_object_may_not_be_large_or_cut(answering: Any) -> None:
    client = await answering(HEAD + b"content-length: 10\r\n\r\n0123456789")
    with pytest.raises(Problem, match="longer than 9"):
        await client.fetch("/x", 9)
    client = await answering(HEAD + b"content-length: 10\r\n\r\n01234")
    with pytest.raises(Problem, match="unavailable"):
        await client.fetch("/x", 99)


@pytest.mark.parametrize("answer", [b"", HEAD + b"content-length: 10\r\n\r\n01234"])
async def test_f2_a_silent_origin_is_not_waited_for_without_end(answering: Any, answer: bytes) -> None:
    hold = asyncio.Event()
    client = await answering(answer, hold=hold, read_timeout_s=0.05)
    with pytest.raises((Problem, Cut)):
        await read(client)
    hold.set()


async def test_f2_the_breaker_opens_after_five_failures_and_tries_again_after_a_pause(clock: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    asked: list[int] = []
    client = OriginClient(
        f"http://127.0.0.1:{port}", lambda: "t", now=clock, count=lambda name, by: asked.append(by)
    )
    for _ in range(9):
        with pytest.raises(Problem) as refused:
            await read(client)
        assert refused.value.code == "unavailable"
    assert len(asked) == 2 * 5  # each request is counted, and each failure
    clock.time += 5
    for _ in range(3):
        with pytest.raises(Problem):
            await read(client)
    assert len(asked) == 2 * 6
    await client.close()


async def test_a_proxy_of_the_environment_gets_neither_request_nor_token(
    answering: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
    monkeypatch.delenv("no_proxy", raising=False)
    client = await answering(HEAD + b"Content-Length: 10\r\n\r\n0123456789")
    assert await read(client) == b"0123456789"
    assert asked == []
    proxy.close()
