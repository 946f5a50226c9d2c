"""Edges whose zones lead to each other: a request goes round once, then it is refused."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from deploy.http_guard import Guard
from deploy.serve import Server, config
from edge.guard.limits import Limits
from edge.zone.app import ZoneApp
from edge.zone.zone import Zone
from tests.edge.parts import world
from tests.edge.zone.test_beside import web, zone
from tests.support.serving import listening_on

__all__ = ["web"]


@contextlib.asynccontextmanager
async def plain(listening: socket.socket, name: str, url: str) -> AsyncIterator[list[str]]:
    """A plain edge of that name in front of `url`; the targets it was asked for."""
    asked: list[str] = []
    app = ZoneApp([Zone.parse(f"/={url}")], name=name, memory_bytes=1 << 20, now=time.time)

    async def seen(scope, receive, send):  # type: ignore[no-untyped-def]
        if scope["type"] == "http":
            asked.append(scope["raw_path"].decode())
        await app(scope, receive, send)

    server = Server(config(seen, guard=Guard(Limits(any_method=True)), finish_s=1))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield asked
    finally:
        server.should_exit = True
        await serving


async def test_t22_two_edges_behind_each_other_refuse_within_two_hops(web: Path) -> None:
    with listening_on() as listening:
        second = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with (
            world(web, zones=[zone(second, base="/z/press")]) as first,
            plain(listening, "edge-b", first.url) as asked,
            httpx.AsyncClient(timeout=20) as client,
        ):
            got = await client.get(f"{first.url}/z/press/a")
            assert (got.status_code, got.json()["code"]) == (508, "loop")
            assert asked == ["/z/press/a"]
            assert first.counted["zone_requests"] == 2
            got = await client.get(f"{second}/z/press/b")
            assert got.status_code == 508 and asked == ["/z/press/a", "/z/press/b", "/z/press/b"]


async def test_t22_an_edge_in_front_of_itself_refuses_at_once(web: Path) -> None:
    with listening_on() as listening:
        own = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with plain(listening, "edge-b", own) as asked, httpx.AsyncClient(timeout=20) as client:
            assert (await client.get(f"{own}/a")).status_code == 508
            assert asked == ["/a", "/a"]
