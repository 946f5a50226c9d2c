"""Connections to origins: what is left on one is nobody's answer; what a dead one took is asked once more."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpcore
import httpx
import pytest

from edge.zone.upstream import Asked, BrokenOff, NoAnswer, Upstream
from edge.zone.wire import MOST_INTERIM, Wire
from edge.zone.zone import Origin
from tests.edge.zone.raw import FRESH, HELLO, raw
from tests.edge.zone.test_serving import Clock, in_front_of
from tests.support.serving import eventually

EVIL = b"HTTP/1.1 200 OK\r\ncache-control: max-age=9999\r\ncontent-length: 4\r\n\r\nevil"


@pytest.mark.parametrize(
    "answer",
    [
        HELLO + EVIL,
        HELLO + b"x",
        HELLO.replace(b" 5", b" 4"),  # a body longer than its length
        HELLO + b"\r\n" + EVIL,
        HELLO.replace(b"200 OK", b"204 No Content"),
        HELLO.replace(b"content-length: 5", b"transfer-encoding: chunked").replace(
            b"hello", b"5\r\nhello\r\n0\r\n\r\n"
        )
        + EVIL,
        HELLO.replace(b"content-length: 5", b"content-length: 5\r\ntransfer-encoding: chunked").replace(
            b"hello", b"5\r\nhello\r\n0\r\n\r\n"
        ),
    ],
    ids=["whole", "byte", "long", "line", "204", "chunked", "two-lengths"],
)
async def test_t9_what_follows_an_answer_is_nobodys_answer(answer: bytes) -> None:
    async with raw(lambda _, n, __: answer if n == 0 else EVIL) as (client, origin):
        first, second = await client.get("/a"), await client.get("/b")
    assert first.text in ("hello", "hell", "") and second.text == first.text
    assert origin.paths == [(0, "/a"), (1, "/b")]


async def test_t9_a_body_that_an_answer_to_head_has_is_nobodys_answer() -> None:
    async with raw(lambda _, n, __: HELLO if n == 0 else EVIL) as (client, origin):
        assert (await client.head("/a")).status_code == 200
        assert (await client.get("/b")).text == "hello"
    assert origin.paths == [(0, "/a"), (1, "/b")]


async def test_t9_what_comes_while_a_connection_is_kept_is_nobodys_answer() -> None:
    async with raw(lambda _, n, __: HELLO if n == 0 else EVIL) as (client, origin):
        await client.get("/a")
        origin.writers[0].write(EVIL)
        await origin.writers[0].drain()
        assert (await client.get("/b")).text == "hello"
    assert origin.paths == [(0, "/a"), (1, "/b")]


async def test_a_sound_connection_is_used_again() -> None:
    async with raw(lambda *_: HELLO) as (client, origin):
        assert [(await client.get(f"/{n}")).text for n in range(3)] == ["hello"] * 3
    assert {number for number, _ in origin.paths} == {0}


@pytest.mark.parametrize(
    "answer",
    [
        HELLO.replace(b"length: 5", b"length: 5\r\ncontent-length: 6"),
        HELLO.replace(b"length: 5", b"length: 5, 6"),
        HELLO.replace(b"length: 5", b"length: -5"),
        HELLO.replace(b"length: 5", b"length: +5"),
        HELLO.replace(b"length: 5", b"length: 0x5"),
        HELLO.replace(b"content-length: 5", b"transfer-encoding: gzip"),
        HELLO.replace(b"content-length: 5", b"transfer-encoding: chunked, identity"),
        HELLO.replace(b"content-length:", b"content-length :"),
        HELLO.replace(b"\r\n\r\n", b"\r\nx: a\x00b\r\n\r\n"),
        HELLO.replace(b"200 OK", b"99 OK"),
        HELLO.replace(b"200 OK", b"999 OK"),
        HELLO.replace(b"200 OK", b"101 OK"),
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000 + b"\r\n\r\n",
    ],
)
async def test_t9_an_answer_that_cannot_be_read_in_one_way_is_a_502_and_ends_its_connection(
    answer: bytes,
) -> None:
    async with raw(lambda k, _, __: answer if k == 0 else HELLO) as (client, origin):
        got = await client.get("/a")
        assert (got.status_code, got.json()["code"]) == (502, "bad_upstream")
        assert (await client.get("/b")).text == "hello"
    assert origin.paths == [(0, "/a"), (1, "/b")]


async def test_many_at_once_share_kept_connections_and_each_gets_its_own_answer() -> None:
    def say(number: int, count: int, head: bytes) -> bytes:
        path = head.split(b" ")[1]
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(path), path)

    async def one_after_another(client: httpx.AsyncClient, who: int) -> None:
        for number in range(50):
            got = await client.get(f"/{who}/{number}")
            assert (got.status_code, got.text) == (200, f"/{who}/{number}")

    async with raw(say) as (client, origin):
        await asyncio.gather(*(one_after_another(client, who) for who in range(12)))
    assert len(origin.heads) == 600 and len(origin.writers) < 600


class Queue(httpcore.AsyncNetworkStream):
    """Bytes that a stream above the socket has and the kernel does not know of."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.sent = b""
        self.closed = False
        self.reading = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        assert not self.reading, "two read at once"
        self.reading = True
        try:
            await asyncio.sleep(0)
            if not self.pieces:
                await asyncio.Event().wait()
            return self.pieces.pop(0)
        finally:
            self.reading = False

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.sent += buffer

    async def aclose(self) -> None:
        self.closed = True

    def get_extra_info(self, info: str) -> Any:
        return False if info == "is_readable" else None


async def _answer(wire: Wire) -> bytes:
    response = await wire.handle_async_request(httpcore.Request("GET", "http://a/", headers={"host": "a"}))
    body = b"".join([piece async for piece in response.aiter_stream()])
    await response.aclose()
    return body


async def test_t9_bytes_that_wait_above_the_kernel_are_nobodys_answer() -> None:
    stream = Queue(HELLO, EVIL)
    wire = Wire(httpcore.Origin(b"http", b"a", 80), stream, 10)
    assert await _answer(wire) == b"hello" and wire.is_idle()
    before = stream.sent
    with pytest.raises(httpcore.ConnectionNotAvailable):
        await _answer(wire)
    assert stream.closed and stream.sent == before
    stream = Queue(HELLO)
    wire = Wire(httpcore.Origin(b"http", b"a", 80), stream, 10)
    assert await _answer(wire) == b"hello"
    asking = asyncio.create_task(_answer(wire))
    await asyncio.sleep(0)
    with pytest.raises(httpcore.ConnectionNotAvailable):
        await _answer(wire)
    await eventually(lambda: stream.sent.count(b"GET ") == 2)
    asking.cancel()


async def test_a_connection_is_one_requests_from_before_it_looks_whether_more_came() -> None:
    stream = Queue(HELLO)
    wire = Wire(httpcore.Origin(b"http", b"a", 80), stream, 10)
    await _answer(wire)

    async def after(turns: int) -> bytes:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await _answer(wire)

    # Whenever the others come, the one that came first has it; in each turn of the loop they are before it.
    asking = [asyncio.create_task(after(turns)) for turns in range(20, -1, -1)]
    for _ in range(40):
        await asyncio.sleep(0)
    done, pending = await asyncio.wait(asking, timeout=0)
    assert {type(each.exception()) for each in done} == {httpcore.ConnectionNotAvailable}
    assert len(pending) == 1 and stream.sent.count(b"GET ") == 2 and not stream.closed
    pending.pop().cancel()


async def test_what_a_dead_kept_connection_took_is_sent_once_more_unless_it_may_have_been_done() -> None:
    def say(number: int, count: int, head: bytes) -> bytes | None:
        return HELLO if count == 0 else None

    async with raw(say) as (client, origin):
        await client.get("/a")
        assert (await client.get("/b")).text == "hello"
        assert origin.paths == [(0, "/a"), (0, "/b"), (1, "/b")]
        got = await client.post("/c", content=b"x")
        assert got.status_code == 502 and origin.paths[3:] == [(1, "/c")]


@pytest.mark.parametrize("beginning", [None, b"HTTP/1.1 200 OK\r\ncontent-le"])
async def test_a_new_connection_that_ends_is_not_asked_again(beginning: bytes | None) -> None:
    async with raw(lambda *_: beginning) as (client, origin):
        getting = asyncio.create_task(client.get("/a"))
        await eventually(lambda: bool(origin.heads))
        origin.writers[0].close()
        assert (await getting).status_code == 502
    assert len(origin.heads) == 1


async def test_half_a_head_on_a_kept_connection_is_not_asked_for_again() -> None:
    async with raw(lambda _, n, __: HELLO if n == 0 else b"HTTP/1.1 200") as (client, origin):
        await client.get("/a")
        getting = asyncio.create_task(client.get("/b"))
        await eventually(lambda: len(origin.heads) == 2)
        origin.writers[0].close()
        assert (await getting).status_code == 502
    assert len(origin.heads) == 2


HINT = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\n"


async def _raw_get(client: httpx.AsyncClient, version: bytes = b"1.1") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    writer.write(b"GET / HTTP/" + version + b"\r\nhost: a\r\nconnection: close\r\n\r\n")
    got = await reader.read()
    writer.close()
    return got


async def test_h25_answers_of_1xx_are_passed_on_and_never_stored() -> None:
    async with raw(lambda *_: b"HTTP/1.1 102 Processing\r\n\r\n" + HINT + FRESH) as (client, origin):
        first, second = await _raw_get(client), await _raw_get(client)
    passed = (
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"
    )
    assert first.startswith(passed) and first.endswith(b"\r\n\r\nhello")
    assert second.startswith(b"HTTP/1.1 200 OK\r\n") and b"link" not in second
    assert len(origin.heads) == 1


async def test_h25_who_speaks_1_0_gets_no_answer_of_1xx() -> None:
    async with raw(lambda *_: HINT + HELLO) as (client, _):
        assert (await _raw_get(client, b"1.0")).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "interim",
    [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 x\r\na: b\x01c\r\n\r\n"],
)
async def test_h25_answers_of_1xx_that_cannot_be_passed_on_are_dropped(interim: bytes) -> None:
    async with raw(lambda *_: interim + HELLO) as (client, _):
        got = await _raw_get(client)
    assert got.startswith((b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 502")) and b"HTTP/1.1 1" not in got


async def test_an_origin_that_never_comes_to_the_point_is_a_502() -> None:
    async with raw(lambda *_: HINT * (MOST_INTERIM + 1) + HELLO) as (client, _):
        got = await client.get("/")
    assert got.status_code == 502 and "http_protocol_error" in got.headers["proxy-status"]


async def test_trailers_end_here_and_what_comes_after_them_is_another_answer() -> None:
    trailed = (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n"
        b"cache-control: max-age=60\r\n\r\n"
        b"5\r\nhello\r\n0\r\nx-sum: 1\r\ncache-control: no-store\r\nset-cookie: a=b\r\n\r\n"
    )
    async with raw(lambda *_: trailed) as (client, origin):
        got = [await client.get("/a"), await client.get("/a"), await client.get("/b")]
    assert [each.text for each in got] == ["hello"] * 3
    assert all("x-sum" not in each.headers and "set-cookie" not in each.headers for each in got)
    assert origin.paths == [(0, "/a"), (0, "/b")]


async def test_why_there_is_no_connection_is_said_in_the_words_of_rfc_9209() -> None:
    upstream = Upstream()

    async def error(scheme: str, host: str, port: int) -> str:
        asked = Asked("GET", b"/", [(b"host", b"a")])
        with pytest.raises(NoAnswer) as caught:
            await upstream.ask(Origin(scheme, host, port), asked, private=True)
        return caught.value.error

    async with await asyncio.start_server(
        lambda _, w: w.write(b"no TLS at all\r\n"), "127.0.0.1", 0
    ) as plain:
        port = plain.sockets[0].getsockname()[1]
        assert await error("http", "nowhere.invalid", 80) == "dns_error"
        assert await error("https", "127.0.0.1", port) == "tls_protocol_error"
    assert await error("http", "127.0.0.1", port) == "connection_refused"
    await upstream.close()


async def test_t9_a_connection_answered_before_the_body_was_taken_is_never_used_again() -> None:
    paths: list[bytes] = []
    connections = 0

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            paths.append(head.split(b" ")[1])
            if head.startswith(b"POST"):
                writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
                await over.wait()
            else:
                writer.write(HELLO)
        writer.close()

    async def body() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n"
        await over.wait()
        raise OSError("the client gives up")

    over = asyncio.Event()
    async with await asyncio.start_server(early, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with in_front_of(url, Clock()) as client:
            posting = asyncio.create_task(client.post("/a", content=body()))
            await eventually(lambda: paths == [b"/a"])
            posting.cancel()
            await asyncio.wait((posting,))
            assert (await client.get("/b")).text == "hello"
            over.set()
    assert paths == [b"/a", b"/b"] and connections == 2


async def test_a_head_may_take_longer_than_the_silence_that_cuts_a_body() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.3)  # much longer than the silence below
        writer.write(HELLO[:-1])
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()

    async with await asyncio.start_server(slow, "127.0.0.1", 0) as server:
        origin = Origin("http", "127.0.0.1", server.sockets[0].getsockname()[1])
        upstream = Upstream(first_byte_s=0.02)
        reply = await upstream.ask(origin, Asked("GET", b"/", []), first_byte_s=60, private=True)
        assert reply.status == 200
        with pytest.raises(BrokenOff):
            _ = [piece async for piece in reply.pieces()]
        await reply.close()
        await upstream.close()
