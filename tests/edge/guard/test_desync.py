"""One reading of what comes over a connection, or an end to it (SECURITY T9, H16, H33, H34, H36)."""

import asyncio
import hashlib

import pytest

from deploy.http_guard import Guard
from edge.guard.limits import Limits
from keys.problems import STATUS
from tests.edge.guard.apps import Recorder, guarded
from tests.edge.guard.odd import REFUSED, START, UNFINISHED
from tests.edge.parts import World
from tests.support.wire import Answer, answers, closed, connected, said

GOOD = START + b"\r\n"
POST = b"POST /take HTTP/1.1\r\nHost: a\r\n"


async def test_t9_h33_what_has_two_readings_gets_one_refusal_and_the_connection_ends(edge: World) -> None:
    probes = {**REFUSED, **{what: (raw, "bad_request") for what, raw in UNFINISHED.items()}}
    assert len(probes) >= 30

    async def probe(what: str, raw: bytes, code: str) -> None:
        for before in (b"", b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"):
            found = answers(await said(edge.url, before + raw + GOOD))
            assert [a.status for a in found] == [200] * bool(before) + [STATUS[code]], what
            _is_a_refusal(found[-1], raw)

    await asyncio.gather(*(probe(what, *each) for what, each in probes.items()))


def _is_a_refusal(told: Answer, raw: bytes) -> None:
    """SECURITY H36."""
    assert told.headers[b"connection"] == b"close"
    assert told.headers[b"cache-control"] == b"no-store"
    assert told.headers[b"content-type"] == b"application/problem+json"
    assert len(told.body) < 200
    assert b"evil" not in told.body and b"server" not in told.headers


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 4\r\n\r\nabcdGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\nX: y\r\nHost: b\r\n\r\n"
        b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_what_follows_a_body_is_the_next_request_and_answered_in_order(body: bytes) -> None:
    app = Recorder()
    async with guarded(app) as (url, _):
        data = POST + body + b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GOOD
        digest = f"4 {hashlib.sha256(b'abcd').hexdigest()}".encode()
        assert [a.body for a in answers(await said(url, data))] == [digest, b"/smuggled", b"/last"]
        assert app.asked == ["POST /take", "GET /smuggled", "GET /last"]
        assert all(name != b"x" for name, _ in app.headers[0])  # trailers are dropped


async def test_t9_pipelined_requests_wait_for_the_answer_before_them() -> None:
    app = Recorder()
    async with guarded(app) as (url, _):
        reader, writer = await connected(url)
        writer.write(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n" + GOOD.replace(b" / ", b" /second ") * 3)
        await app.arrived.wait()
        writer.write(b"GET /third HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await asyncio.sleep(0.05)
        assert app.asked == ["GET /wait"]
        app.go.set()
        found = answers(await reader.read())
        assert [a.body for a in found] == [b"waited", *[b"/second"] * 3, b"/third"]
        await closed(writer)


@pytest.mark.parametrize(
    "chunks",
    [
        b"x\r\n",
        b"5\r\nabcdefg\r\n0\r\n\r\n",
        b"5\r\nabcde0\r\n\r\n",
        b"1\nab\n0\n\n",
        b"0\r\n X: y\r\n\r\n",
    ],
)
async def test_t9_a_body_with_odd_chunks_is_refused_once_and_never_seen_as_whole(chunks: bytes) -> None:
    app = Recorder()
    async with guarded(app) as (url, _):
        head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
        for parts in ((head + chunks + GOOD,), (head, chunks + GOOD)):
            [told] = answers(await said(url, *parts))
            assert told.status == 400 and told.headers[b"connection"] == b"close"
        assert "whole" not in app.ended


async def test_t9_after_an_early_answer_the_rest_of_the_body_is_no_request() -> None:
    app = Recorder()
    async with guarded(app) as (url, _):
        head = b"POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
        reader, writer = await connected(url)
        writer.write(head)
        told = await reader.readuntil(b"\r\n\r\nno")
        assert b" 403 " in told and b"connection: close" in told
        writer.write(GOOD * 3)
        assert await reader.read() == b""
        await closed(writer)
        assert app.asked == ["POST /refuse"]
        # A body that is there already when the answer is made is simply passed over.
        whole = head + b"x" * 100 + b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        assert [a.status for a in answers(await said(url, whole))] == [403, 200]


async def test_h34_an_upload_refused_is_told_so_without_waiting_for_its_body() -> None:
    app = Recorder()
    async with guarded(app) as (url, _):
        expecting = b" HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\n"
        told = await said(url, b"POST /refuse" + expecting)
        assert told.startswith(b"HTTP/1.1 403 ") and b"connection: close" in told
        reader, writer = await connected(url)
        writer.write(b"POST /take" + expecting)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        body = bytes(range(250)) * 400
        writer.write(body)
        assert hashlib.sha256(body).hexdigest().encode() in await reader.readuntil(b"\r\n\r\n100000 ") + (
            await reader.readexactly(64)
        )
        await closed(writer)


async def test_a_large_body_streams_through_and_never_lies_in_memory_whole() -> None:
    app = Recorder()
    async with guarded(app) as (url, _):
        body = hashlib.shake_128(b"body").digest(8 << 20)
        pieces = [body[i : i + 70_001] for i in range(0, len(body), 70_001)]
        chunked = b"".join(b"%x\r\n" % len(piece) + piece + b"\r\n" for piece in pieces)
        expected = f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode()
        last = b"Connection: close\r\n\r\n"
        for message in (
            POST + b"Content-Length: %d\r\n" % len(body) + last + body,
            POST + b"Transfer-Encoding: chunked\r\n" + last + chunked + b"0\r\n\r\n",
        ):
            [told] = answers(await said(url, message))
            assert told.body == expected


async def test_a_client_that_leaves_in_its_body_was_never_whole() -> None:
    app = Recorder()
    async with guarded(app) as (url, _):
        _, writer = await connected(url)
        writer.write(POST + b"Content-Length: 100\r\n\r\nabc")
        await app.arrived.wait()
        await closed(writer)
        await asyncio.wait_for(app.left.wait(), 5)
        assert app.ended == ["left"]


async def test_an_edge_takes_no_large_bodies() -> None:
    app = Recorder()
    async with guarded(app, Guard(Limits(body_bytes=1000))) as (url, _):
        for framing in (b"Content-Length: 1001\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n"):
            [told] = answers(await said(url, POST + framing))
            assert told.status == 413


async def test_upgrade_is_ignored_and_nothing_after_it_is_lost() -> None:
    app = Recorder()
    async with guarded(app) as (url, _):
        head = START + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n"
        websocket = START + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"
        data = head + websocket + b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        assert [a.body for a in answers(await said(url, data))] == [b"/", b"/", b"/x"]


async def test_h16_methods_at_the_wire(edge: World) -> None:
    base = edge.session().removeprefix(edge.url) + "720p/0.m4s"

    async def ask(method: str, target: str = base) -> Answer:
        lines = f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        [told] = answers(await said(edge.url, lines.encode()), (0,) if method == "HEAD" else ())
        return told

    for method in ("BREW", "PROPFIND", "get", "CONNECT", "PURGE"):
        assert (await ask(method)).status == 501
    for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE"):
        told = await ask(method)
        assert (told.status, told.headers[b"allow"]) == (405, b"GET, HEAD, OPTIONS")
    assert (await ask("OPTIONS")).status == 204
    head, whole = await ask("HEAD"), await ask("GET")
    assert head.headers[b"content-length"] == whole.headers[b"content-length"] != b"0"


async def test_t10_a_range_header_as_large_as_heads_may_be_costs_no_more_than_the_whole(edge: World) -> None:
    base = edge.session().removeprefix(edge.url) + "720p/0.m4s"

    async def ask(value: str) -> Answer:
        lines = f"GET {base} HTTP/1.1\r\nHost: a\r\nRange: {value}\r\nConnection: close\r\n\r\n"
        [told] = answers(await said(edge.url, lines.encode()))
        return told

    whole = await ask("lines=1-2")
    assert whole.status == 200
    for value in (
        "bytes=" + ",".join(f"{i}-{i}" for i in range(1000)),
        "bytes=" + ",".join(["0-"] * 1000),
        "bytes=" + "0-1," * 2500,
        "bytes=" + "9" * 10_000 + "-",
        "bytes=" + " " * 10_000 + "0-1",
        "bytes=0-" + "1" * 30_000,
    ):
        told = await ask(value)
        assert told.status in (200, 206, 416), value[:40]
        assert len(told.body) <= len(whole.body) * 1.02
    assert (await ask("bytes=" + "0-1," * 10_000)).status == 431
