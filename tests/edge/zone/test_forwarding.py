"""What an origin is told by a zone of who asks, over how many hops, and how."""

import asyncio
import contextlib
import json
import socket
import ssl
import sys
from pathlib import Path

import httpx
import pytest

from edge.deliver.clients import networks
from edge.zone.app import ZoneApp
from edge.zone.zone import Origin, Zone
from tests.edge.parts import world
from tests.edge.zone.raw import HELLO, raw
from tests.edge.zone.test_serving import Clock, Edge, edge, in_front_of
from tests.support.certificates import self_signed
from tests.support.wire import said

__all__ = ["edge"]  # the fixture


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 204), ("TRACE", 405)])
async def test_what_may_go_no_further_is_answered_here(edge: Edge, method: str, status: int) -> None:
    got = await edge.client.request(method, "/x", headers={"max-forwards": "0"})
    assert got.status_code == status and "GET" in got.headers["allow"]
    assert got.headers["via"] == "1.1 edge-a" and edge.origin.seen == []


async def test_each_hop_takes_one_of_max_forwards_and_other_methods_none(edge: Edge) -> None:
    for method in ("OPTIONS", "GET"):
        await edge.client.request(method, "/x", headers={"max-forwards": "7"})
    assert [seen.fields["max-forwards"] for seen in edge.origin.seen] == ["6", "7"]


@pytest.mark.parametrize("value", ["x", "-1", "", "1.5"])
async def test_max_forwards_that_is_no_number_is_passed_on_as_it_came(edge: Edge, value: str) -> None:
    assert (await edge.client.request("OPTIONS", "/x", headers={"max-forwards": value})).status_code == 200
    assert edge.origin.seen[0].fields["max-forwards"] == value


@pytest.mark.parametrize(
    ("trusted", "told"),
    [
        (["127.0.0.1/32"], "192.0.2.7, 127.0.0.1"),
        (["192.0.2.0/24"], "127.0.0.1"),
        ([], "127.0.0.1"),
    ],
)
async def test_whom_a_trusted_proxy_speaks_for_is_carried_on_and_nobody_else(
    trusted: list[str], told: str
) -> None:
    async with raw(lambda *_: HELLO) as (_, origin):
        zone = Zone.parse(f"/=http://127.0.0.1:{origin.port}")
        app = ZoneApp([zone], name="edge-a", memory_bytes=1 << 20, now=Clock(), trusted=networks(trusted))
        async with in_front_of("http://unused", Clock(), app=app) as client:
            await client.get("/", headers={"x-forwarded-for": "192.0.2.7", "forwarded": "for=192.0.2.7"})
    lines = origin.heads[0][1].lower().split(b"\r\n")
    assert [line for line in lines if line.startswith((b"x-forwarded-for", b"forwarded"))] == [
        b"x-forwarded-for: " + told.encode()
    ]


async def test_a_plain_edge_speaks_tls_where_it_has_a_certificate(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    async with raw(lambda *_: HELLO) as (_, origin):
        command = ["-P", "-m", "deploy.cli", "edge", "--plain", "--zone", f"/=http://127.0.0.1:{origin.port}"]
        command += ["--port", str(_free_port()), "--tls-cert", str(certificate), "--tls-key", str(key)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(30):
                line = await process.stdout.readline()
            url = json.loads(line.removeprefix(b"ready "))["edges"][0]
            assert url.startswith("https://")
            context = ssl.create_default_context(cafile=str(certificate))
            async with httpx.AsyncClient(base_url=url, verify=context) as client:
                assert (await client.get("/")).text == "hello"
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.communicate()
    assert b"x-forwarded-proto: https\r\n" in origin.heads[0][1].lower()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


async def test_h25_an_answer_of_1xx_of_a_zone_beside_media_is_without_what_is_the_edges_to_say(
    tmp_path: Path,
) -> None:
    theirs = b"server: o\r\nsurrogate-key: a\r\naccess-control-allow-origin: *\r\n"
    hint = b"HTTP/1.1 103 x\r\nlink: </a>\r\n" + theirs + b"\r\n"
    (tmp_path / "index.html").write_text("")
    async with raw(lambda *_: hint + HELLO) as (_, origin):
        zone = Zone("/z/press/", (Origin.parse(f"http://127.0.0.1:{origin.port}"),), name="press")
        async with world(tmp_path, zones=[zone]) as edge:
            sent = b"GET /z/press/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
            got = await said(edge.url, sent)
    assert got.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n")
