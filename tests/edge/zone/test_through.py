"""Zones through a shield, over real sockets: asked once for all edges, and only by nodes."""

import asyncio
import contextlib
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.serve import Server, config
from edge.deliver.cors import Cors
from edge.shield.zones import NoLinks, ShieldZones
from edge.zone.access import Access
from edge.zone.beside import Beside
from edge.zone.parts import Parts
from edge.zone.purges import GivesPurges
from edge.zone.seen import Seen
from edge.zone.through import Through
from edge.zone.zone import Origin as ZoneOrigin
from edge.zone.zone import Zone
from keys.nodes import Node
from keys.problems import Problem
from keys.purge import Purges
from tests.edge.parts import World, world
from tests.edge.zone.test_beside import web, zone
from tests.edge.zone.test_serving import Origin
from tests.support.lifespan import lived
from tests.support.serving import listening_on, served

__all__ = ["web"]
FRESH = [(b"cache-control", b"max-age=60"), (b"etag", b'"1"'), (b"surrogate-key", b"a b")]


class NoPurges:
    """Keys, where nothing is ever purged."""

    async def purges(self, after: int, wait_s: float = 0) -> Purges:
        await asyncio.sleep(wait_s)
        return Purges(0)


class Shield:
    """The zones of a shield, and what it was asked."""

    def __init__(
        self, zones: list[Zone], url: str, name: str = "shield-a", keys: GivesPurges | None = None
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.fields: list[dict[bytes, bytes]] = []
        self.asked: list[str] = []

        def count(which: str, by: int = 1) -> None:
            self.counts[which] += by

        beside = Beside(
            zones,
            Access(None, NoLinks(), None),  # type: ignore[arg-type]
            keys or NoPurges(),
            Cors((url,), ()),
            node=name,
            public_url=url,
            now=time.time,
            parts=Parts(
                upstream=Through(lambda: "good"), seen=Seen(count=lambda which, by, _: count(which, by))
            ),
        )
        self.zones = ShieldZones(beside, [each.name for each in zones], check, count)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            async with self.zones.running():
                await lived(receive, send)
            return
        self.fields.append(dict(scope["headers"]))
        self.asked.append(scope["raw_path"].decode())
        await self.zones(scope, receive, send)


async def check(authorization: str) -> Node:
    if authorization != "Bearer good":
        raise Problem("unauthenticated")
    return Node("edge-1", "edge", None)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def shielding(
    zones: list[Zone],
    listening: socket.socket | None = None,
    *,
    name: str = "shield-a",
    keys: GivesPurges | None = None,
) -> AsyncIterator[tuple[Shield, str]]:
    with listening or listening_on() as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        shield = Shield(zones, url, name, keys)
        server = Server(config(shield, finish_s=1))
        serving = asyncio.create_task(server.serve(sockets=[taken]))
        try:
            yield shield, url
        finally:
            server.should_exit = True
            await serving


def by_way_of(shield: str | list[str], made: Zone) -> Zone:
    shields = [shield] if isinstance(shield, str) else shield
    ways = [replace(ZoneOrigin.parse(each), shield_of=made.name, base=made.base) for each in shields]
    return replace(made, origins=(*ways, *made.origins))


@dataclass
class Setup:
    origin: Origin
    shield: Shield
    shield_url: str
    edges: list[World]

    async def get(self, path: str, edge: int = 0, headers: dict[str, str] | None = None) -> httpx.Response:
        async with httpx.AsyncClient(timeout=20) as client:
            return await client.get(f"{self.edges[edge].url}{path}", headers=headers)


@contextlib.asynccontextmanager
async def setup(web: Path, bearer: str = "good", **how: Any) -> AsyncIterator[Setup]:
    """Two edges with nothing in common but a shield, and their origin."""
    origin = Origin(fields=list(FRESH))
    async with served(origin) as url:
        made = zone(url, **how)
        async with shielding([replace(made, rules=replace(made.rules, hidden=frozenset()))]) as (shield, at):
            ways = [by_way_of(at, made)]
            async with (
                world(web, zones=ways, zone_upstream=Through(lambda: bearer)) as one,
                world(web, zones=ways, zone_upstream=Through(lambda: bearer)) as two,
            ):
                yield Setup(origin, shield, at, [one, two])


@pytest.mark.parametrize("base", ["", "/bucket/films"])
async def test_f19_two_edges_cost_the_origin_one_request(web: Path, base: str) -> None:
    async with setup(web, base=base) as found:
        answers = [await found.get("/z/press/a?x=1", edge) for edge in (0, 1, 0, 1)]
        assert {each.status_code for each in answers} == {200}
        assert [each.target for each in found.origin.seen] == [f"{base}/a?x=1"]
        assert found.shield.counts["requests"] == 2
        assert answers[1].headers["cache-status"].startswith("shield-a; hit")
        assert "surrogate-key" not in answers[0].headers


async def test_h21_age_is_of_both(web: Path) -> None:
    async with setup(web) as found:
        found.origin.fields = [(b"cache-control", b"max-age=600"), (b"age", b"100")]
        await found.get("/z/press/a")
        assert 100 <= int((await found.get("/z/press/a", 1)).headers["age"]) <= 110


async def test_the_node_shows_itself_to_the_shield_and_to_nobody_else(web: Path) -> None:
    async with setup(web, forward=frozenset({b"authorization"})) as found:
        found.origin.fields = [(b"cache-control", b"public, max-age=60")]
        await found.get("/z/press/a", headers={"authorization": "Basic dTpw", "sluice-node": "evil"})
        (asked,) = found.shield.fields
        assert (asked[b"sluice-node"], asked[b"authorization"]) == (b"good", b"Basic dTpw")
        (seen,) = found.origin.seen
        assert "sluice-node" not in seen.fields and seen.fields["authorization"] == "Basic dTpw"


async def test_only_nodes_are_answered_also_from_what_is_stored(web: Path) -> None:
    async with setup(web) as found:
        assert (await found.get("/z/press/a")).status_code == 200
        async with httpx.AsyncClient() as client:
            for fields in ({}, {"sluice-node": "other"}, {"authorization": "Bearer good"}):
                refused = await client.get(f"{found.shield_url}/z/press/a", headers=fields)
                assert (refused.status_code, refused.headers["sluice-node"]) == (401, "refused")
                assert refused.headers["cache-control"] == "no-store"
            odd = await client.get(f"{found.shield_url}/z;a=b", headers={"sluice-node": "good"})
            assert (odd.status_code, odd.headers["sluice-node"]) == (404, "refused")


async def test_a_shield_that_refuses_is_passed_by_and_its_answer_kept_by_nobody(web: Path) -> None:
    async with setup(web, bearer="stranger") as found:
        answers = [await found.get("/z/press/a") for _ in range(3)]
        assert {each.status_code for each in answers} == {200}
        assert len(found.origin.seen) == 1
    async with setup(web) as found:
        found.shield.zones._names = frozenset()
        assert (await found.get("/z/press/b")).status_code == 200
        assert found.shield.counts["refused"] == 1


async def test_f1_the_shield_dies_and_the_origin_is_asked(web: Path) -> None:
    origin = Origin(fields=list(FRESH))
    async with served(origin) as url:
        made = zone(url)
        async with contextlib.AsyncExitStack() as stack:
            _, at = await stack.enter_async_context(shielding([made]))
            way = by_way_of(at, made)
            async with (
                world(web, zones=[way], zone_upstream=Through(lambda: "good")) as edge,
                httpx.AsyncClient(base_url=edge.url, timeout=20) as client,
            ):
                assert (await client.get("/z/press/a")).status_code == 200
                await stack.aclose()
                assert [(await client.get(f"/z/press/{n}")).status_code for n in range(8)] == [200] * 8
                assert [each.target for each in origin.seen] == ["/a", *(f"/{n}" for n in range(8))]


async def test_a_redirect_of_the_origin_leads_to_the_zone_of_the_edge(web: Path) -> None:
    async with setup(web, base="/films") as found:
        found.origin.status = 302
        found.origin.fields = [(b"location", b"/films/b?c=d"), (b"cache-control", b"max-age=60")]
        assert (await found.get("/z/press/a")).headers["location"] == "/z/press/b?c=d"
        found.origin.fields = [(b"location", b"https://else.example/z/press/b")]
        assert (await found.get("/z/press/e")).headers["location"] == "https://else.example/z/press/b"


async def test_t22_a_shield_whose_origin_is_the_edge_is_508_within_two_hops(web: Path) -> None:
    with listening_on() as taken:
        at = f"http://127.0.0.1:{taken.getsockname()[1]}"
        nowhere = zone("http://127.0.0.1:1")
        way = replace(by_way_of(at, nowhere), origins=by_way_of(at, nowhere).origins[:1])
        async with world(web, zones=[way], zone_upstream=Through(lambda: "good")) as edge:
            back = zone(edge.url, base="/z/press")
            async with shielding([back], taken) as (shield, _), httpx.AsyncClient(timeout=20) as client:
                got = await client.get(f"{edge.url}/z/press/a")
                assert (got.status_code, got.json()["code"]) == (508, "loop")
                assert [each[b"cdn-loop"] for each in shield.fields] == [b"sluice-edge-1"]


async def test_f1_connections_that_are_reset_as_soon_as_they_are_made_are_no_answer(web: Path) -> None:
    """As those of a balancer or tunnel whose own server is gone. Once an internal error, now and then."""

    async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        writer.transport.abort()

    server = await asyncio.start_server(reset, "127.0.0.1", 0)
    origin = Origin(fields=list(FRESH))
    async with server, served(origin) as url:
        way = by_way_of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", zone(url))
        async with (
            world(web, zones=[way], zone_upstream=Through(lambda: "good")) as edge,
            httpx.AsyncClient(base_url=edge.url, timeout=20) as client,
        ):
            assert [(await client.get(f"/z/press/{n}")).status_code for n in range(8)] == [200] * 8
