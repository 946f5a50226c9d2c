"""The rig itself: what it breaks is broken in the way it says, and nothing else is."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.support.proxy import Proxy
from tests.support.serving import served

BODY = bytes(range(256)) * 800  # 200 KiB


async def whole(request: Request) -> Response:
    return Response(BODY)


async def chunked(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield BODY

    return StreamingResponse(pieces())


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy before a real HTTP server."""
    app = Starlette(routes=[Route("/whole", whole), Route("/chunked", chunked)])
    async with served(app) as url:
        with Proxy(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as found:
            yield found


async def got(proxy: Proxy, path: str = "/whole") -> bytes:
    async with httpx.AsyncClient(timeout=20) as client:
        answer = await client.get(proxy.url + path)
        assert answer.status_code == 200
        return answer.content


async def test_left_alone_it_passes_everything_and_says_what_was_asked(proxy: Proxy) -> None:
    assert await got(proxy) == BODY
    assert await got(proxy, "/chunked") == BODY
    assert proxy.asked == ["/whole", "/chunked"]
    assert proxy.connections == 2 and proxy.bytes_down > 2 * len(BODY)


@pytest.mark.parametrize("path", ["/whole", "/chunked"])
async def test_a_flipped_bit_passes_http_unnoticed(proxy: Proxy, path: str) -> None:
    proxy.corrupt(at=5000)
    body = await got(proxy, path)
    assert len(body) == len(BODY)
    differing = [(a, b) for a, b in zip(body, BODY, strict=True) if a != b]
    assert len(differing) == 1 and differing[0][0] ^ differing[0][1] == 1
    assert await got(proxy, path) == BODY, "once"


@pytest.mark.parametrize("path", ["/whole", "/chunked"])
@pytest.mark.parametrize("how", ["cut", "fin"])
async def test_a_body_that_ends_early_is_seen_as_a_transfer_error(proxy: Proxy, path: str, how: str) -> None:
    getattr(proxy, how)(after=5000)
    with pytest.raises(httpx.TransportError):
        await got(proxy, path)
    assert proxy.fired == 1
    assert await got(proxy, path) == BODY


def raw(proxy: Proxy) -> bytes:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        client.sendall(b"GET /whole HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        found = b""
        while piece := client.recv(1 << 16):
            found += piece
        return found


async def test_a_cut_is_a_reset_and_a_fin_is_an_orderly_end(proxy: Proxy) -> None:
    proxy.cut(after=5000)
    with pytest.raises(ConnectionResetError):
        await asyncio.to_thread(raw, proxy)
    proxy.fin(after=5000)
    assert len(await asyncio.to_thread(raw, proxy)) == 5000


async def test_refused_connections_are_refused_and_come_back_on_the_same_port(proxy: Proxy) -> None:
    proxy.refuse()
    with pytest.raises(httpx.ConnectError):
        await got(proxy)
    proxy.accept()
    assert await got(proxy) == BODY


async def test_dropping_resets_what_is_open(proxy: Proxy) -> None:
    async with httpx.AsyncClient() as client:
        proxy.blackhole = True
        waiting = asyncio.create_task(client.get(proxy.url + "/whole"))
        while not proxy.connections:  # noqa: ASYNC110 - another thread's
            await asyncio.sleep(0.01)
        proxy.drop()
        with pytest.raises(httpx.TransportError):
            await waiting


async def test_a_black_hole_answers_nothing_until_it_is_over(proxy: Proxy) -> None:
    proxy.blackhole = True
    waiting = asyncio.create_task(got(proxy))
    await asyncio.wait([waiting], timeout=0.3)
    assert not waiting.done() and proxy.asked == []
    proxy.heal()
    assert await waiting == BODY


@contextlib.contextmanager
def taking_at_least(seconds: float) -> Iterator[None]:
    """The only bound a rig can promise: not sooner."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began >= seconds


async def test_delay_and_rate_slow_it_down(proxy: Proxy) -> None:
    proxy.delay_s = 0.2
    with taking_at_least(0.4):
        assert await got(proxy) == BODY
    proxy.heal()
    proxy.rate = len(BODY) * 2.5
    with taking_at_least(0.3):
        assert await got(proxy) == BODY
