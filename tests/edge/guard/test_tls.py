"""An edge with a certificate of its own, for small sites: `--tls-cert`, `--tls-key` (SECURITY T11)."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from deploy import http_limits
from deploy.http_guard import Guard
from deploy.serve import config
from tests.edge.guard.apps import PIECE, QUICK, Recorder, small_reader
from tests.edge.guard.odd import START
from tests.edge.parts import listening_socket
from tests.support.certificates import self_signed
from tests.support.serving import eventually
from tests.support.wire import WITHIN_S, answers


@contextlib.asynccontextmanager
async def served(
    app: Recorder, pair: tuple[Path, Path], guard: Guard | None = None
) -> AsyncIterator[tuple[str, uvicorn.Server]]:
    listening, url = listening_socket()
    settings = config(app, tls=(str(pair[0]), str(pair[1])), guard=guard)
    settings.timeout_graceful_shutdown = 5
    server = uvicorn.Server(settings)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await eventually(lambda: server.started)
    yield url.replace("http:", "https:"), server
    server.should_exit = True
    await serving


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return self_signed(tmp_path)


def trusting(pair: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(pair[0]))


async def spoken(url: str, context: ssl.SSLContext, data: bytes) -> bytes:
    address = httpx.URL(url)
    reader, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
    writer.write(data)
    async with asyncio.timeout(WITHIN_S):
        got = await reader.read()
    writer.close()
    return got


async def test_https_is_served_and_the_application_knows(pair: tuple[Path, Path]) -> None:
    async with (
        served(Recorder(), pair) as (url, _),
        httpx.AsyncClient(verify=trusting(pair)) as client,
    ):
        assert (await client.get(f"{url}/x")).text == "/x"
        body = bytes(3 << 20)
        assert (await client.post(f"{url}/take", content=body)).text.startswith(f"{len(body)} ")


async def test_t9_refusals_come_over_tls_too_and_end_it(pair: tuple[Path, Path]) -> None:
    async with served(Recorder(), pair, Guard(QUICK)) as (url, _):
        [told] = answers(await spoken(url, trusting(pair), START + b"X : y\r\n\r\n" + START + b"\r\n"))
        assert (told.status, told.headers[b"connection"]) == (400, b"close")


async def test_plain_http_on_a_tls_port_is_not_answered(pair: tuple[Path, Path]) -> None:
    async with served(Recorder(), pair) as (url, _):
        with pytest.raises(httpx.TransportError):
            async with httpx.AsyncClient() as client:
                await client.get(url.replace("https:", "http:"))


async def test_tls_older_than_1_2_is_refused(pair: tuple[Path, Path]) -> None:
    async with served(Recorder(), pair) as (url, _):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = trusting(pair)
            context.minimum_version = context.maximum_version = version
            assert b" 200 " in await spoken(url, context, START + b"Connection: close\r\n\r\n")
        old = trusting(pair)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning):
            old.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await spoken(url, old, START + b"\r\n")


@pytest.mark.parametrize("start", [b"", b"\x16\x03\x01\x02\x00"])
async def test_t11_a_handshake_that_does_not_come_in_time_is_ended(
    pair: tuple[Path, Path], start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert http_limits.HANDSHAKE_S == 10
    monkeypatch.setattr(http_limits, "HANDSHAKE_S", 0.2)
    async with served(Recorder(), pair) as (url, _):
        address = httpx.URL(url)
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(start)
        async with asyncio.timeout(WITHIN_S):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()


async def test_t11_f31_over_tls_too_who_takes_nothing_is_cut_and_costs_little(
    pair: tuple[Path, Path],
) -> None:
    app = Recorder()
    async with served(app, pair, Guard(QUICK)) as (url, server):
        line = await small_reader(url, "/endless", trusting(pair))
        await app.arrived.wait()
        most = 0

        def gone() -> bool:
            nonlocal most
            waiting = [c.transport.get_write_buffer_size() for c in server.server_state.connections]
            most = max(most, *waiting, 0)
            return not waiting

        await eventually(gone)
        assert 0 < most <= PIECE + (64 << 10)
        line.close()
