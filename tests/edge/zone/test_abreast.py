"""A shield that hears of a purge later than an edge gives it nothing that was purged."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from starlette.types import Send

from edge.shield import abreast
from edge.shield.abreast import Abreast
from edge.zone.purges import PurgeFeed
from edge.zone.through import Through, told
from keys.problems import Problem
from keys.purge import NEW, Purge, Purges
from tests.edge.parts import MemoryKeys, World, world
from tests.edge.zone.test_beside import web, zone
from tests.edge.zone.test_serving import Origin, Seen, answer
from tests.edge.zone.test_through import Shield, by_way_of, shielding
from tests.support.serving import served

__all__ = ["web"]


class HeldBack:
    """Keys as the shield hears it: polls that may be held never end; others too when it is `away`."""

    def __init__(self, log: list[Purge]) -> None:
        self.log, self.away, self.asked = log, False, 0

    async def purges(self, after: int, wait_s: float = 0) -> Purges:
        self.asked += 1
        if wait_s or self.away:
            await asyncio.Event().wait()
        return Purges(len(self.log), tuple(self.log[after:]) if after >= 0 else ())


@dataclass
class Setup:
    """Two edges behind a shield that is slow to hear; only the first is told of purges."""

    origin: Origin
    shield: Shield
    heard: HeldBack
    keys: MemoryKeys
    edges: list[World]
    clients: list[httpx.AsyncClient]
    number: int = 1

    async def get(self, path: str, edge: int = 0) -> str:
        return (await self.clients[edge].get(f"/z/press{path}")).text

    async def purge(self, kind: str, value: str) -> None:
        """From now on the origin has something else, and the first edge has heard of it."""
        self.number += 1
        made = Purge(len(self.heard.log) + 1, "press", kind, value, soft=False)
        self.heard.log.append(made)
        self.keys.purged.append(made)
        beside = self.edges[0].app.beside
        assert beside is not None
        await beside.purges.poll()

    async def give(self, origin: Origin, seen: Seen, send: Send) -> None:
        etag = f'"{self.number}"'
        fields = [(b"cache-control", b"max-age=600"), (b"etag", etag.encode())]
        same = seen.fields.get("if-none-match") == etag
        await answer(send, 304 if same else 200, fields, f"{seen.target} {self.number}".encode())


@pytest.fixture
async def found(web: Path) -> AsyncIterator[Setup]:
    origin, heard, log = Origin(), HeldBack([]), MemoryKeys()
    async with contextlib.AsyncExitStack() as stack:
        made = zone(await stack.enter_async_context(served(origin)))
        shield, at = await stack.enter_async_context(shielding([made], keys=heard))
        setup = Setup(origin, shield, heard, log, [], [])

        def known() -> int:
            beside = setup.edges[0].app.beside
            return beside.purges.heard if beside else NEW

        for keys, through in ((log, Through(lambda: "good", known)), (None, Through(lambda: "good"))):
            entering = world(web, keys, zones=[by_way_of(at, made)], zone_upstream=through)
            edge = await stack.enter_async_context(entering)
            setup.edges.append(edge)
            client = httpx.AsyncClient(base_url=edge.url, timeout=20)
            setup.clients.append(await stack.enter_async_context(client))
        origin.give = setup.give
        await shield.zones._beside.purges.known.wait()
        yield setup


async def test_a_shield_whose_poll_is_held_back_asks_at_once_and_gives_nothing_purged(found: Setup) -> None:
    assert [await found.get("/a", edge) for edge in (1, 0)] == ["/a 1", "/a 1"]
    assert await found.get("/b", 1) == "/b 1"
    await found.purge("url", "/a")
    assert await found.get("/a") == "/a 2"
    assert await found.get("/b") == "/b 1", "nothing else was purged"
    assert [each.target for each in found.origin.seen] == ["/a", "/b", "/a"]
    assert found.heard.asked == 3, "at the start, the poll that is held, and the one for the edge"


async def test_while_the_shield_cannot_hear_what_it_stored_before_needs_the_origin_once(
    found: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(abreast, "CATCH_UP_S", 0.01)
    assert await found.get("/a", 1) == "/a 1" and await found.get("/b", 1) == "/b 1"
    found.heard.away = True
    await found.purge("url", "/a")
    assert await found.get("/a") == "/a 2"
    found.number = 1
    assert await found.get("/b") == "/b 1"
    told_by = [(each.target, each.fields.get("if-none-match")) for each in found.origin.seen]
    assert told_by == [("/a", None), ("/b", None), ("/a", '"1"'), ("/b", '"1"')]
    before = len(found.shield.asked)
    for _ in range(3):
        found.edges[0].app.beside._app.store.doubt("http://press/b", time.time())  # type: ignore[union-attr]
        assert await found.get("/b") == "/b 1"
    assert len(found.shield.asked) == before + 3
    assert len(found.origin.seen) == 4, "what was validated since is good enough"


async def test_what_is_on_its_way_to_a_shield_that_cannot_hear_is_not_given_to_who_knows_better(
    found: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(abreast, "CATCH_UP_S", 0.01)
    reached, gate = asyncio.Event(), asyncio.Event()

    async def slow(origin: Origin, seen: Seen, send: Send) -> None:
        number, origin.give = found.number, found.give
        reached.set()
        await gate.wait()
        await answer(send, 200, [(b"cache-control", b"max-age=600")], f"{seen.target} {number}".encode())

    found.origin.give = slow
    late = asyncio.create_task(found.get("/a", 1))
    await reached.wait()
    found.heard.away = True
    await found.purge("zone", "")
    better = asyncio.create_task(found.get("/a"))
    gate.set()
    assert [await late, await better] == ["/a 1", "/a 2"]


async def test_h16_what_clients_say_in_the_fields_of_nodes_is_heard_by_nobody(found: Setup) -> None:
    said = {"sluice-purges": "99; anew", "sluice-block": "1", "sluice-node": "good"}
    await found.get("/a")
    for path in ("/a", "/b"):
        await found.clients[1].get(f"/z/press{path}", headers=said)
    assert [each[b"sluice-purges"] for each in found.shield.fields] == [b"0", b"-1", b"-1"]
    assert not any(b"sluice-block" in each for each in found.shield.fields)
    assert [each.target for each in found.origin.seen] == ["/a", "/b"]
    assert not any(name.startswith("sluice-") for each in found.origin.seen for name in each.fields)
    async with httpx.AsyncClient() as client:
        at = found.edges[0].app.beside._app._zones[0].origins[0].url  # type: ignore[union-attr]
        refused = await client.get(f"{at}/z/press/a", headers=said | {"sluice-node": "other"})
        assert refused.status_code == 401
        again = await client.get(f"{at}/z/press/a", headers=said | {"sluice-purges": "0; anew"})
        assert (again.text, len(found.origin.seen)) == ("/a 1", 3), "of a node it is"


class Log:
    """Keys in memory, that can be away."""

    def __init__(self) -> None:
        self.version, self.away, self.asked = 0, False, 0
        self.gates: list[asyncio.Event] = []
        self.done: list[Sequence[Purge] | None] = []

    async def purges(self, after: int, wait_s: float = 0) -> Purges:
        self.asked += 1
        found = range(after + 1, self.version + 1) if after >= 0 else ()
        told = Purges(self.version, tuple(Purge(each, "press", "zone", "", soft=False) for each in found))
        if self.gates:
            await self.gates.pop().wait()
        if self.away:
            raise Problem("unavailable")
        return told

    async def purge(self, purges: Sequence[Purge] | None) -> None:
        self.done.append(purges)
        await asyncio.sleep(0)


async def test_two_polls_at_once_do_each_purge_once_and_see_no_gap() -> None:
    log = Log()
    feed = PurgeFeed(log, log.purge)
    await feed.poll()
    log.version, gate = 2, asyncio.Event()
    log.gates.append(gate)
    held = asyncio.create_task(feed.poll())
    await asyncio.sleep(0)
    log.version = 3
    await feed.poll()
    gate.set()
    await held
    assert [None if each is None else [one.version for one in each] for each in log.done] == [None, [1, 2, 3]]
    assert (feed.version, feed.heard) == (3, 3)


async def test_only_who_is_behind_asks_and_not_again_and_again() -> None:
    log, now, clock = Log(), [1000.0], [0.0]
    feed = PurgeFeed(log, log.purge)
    await feed.poll()
    found = Abreast(feed, now=lambda: now[0], clock=lambda: clock[0])
    for said in (None, b"", b"0", b"-1", b"-2", b"x", b"01", b"1.5", b"9" * 30, b"7;anew", b" 7"):
        assert await found.doubted(said) is None, said
    assert log.asked == 1
    assert await found.doubted(b"0; anew") == 1000.0
    log.version = 5
    assert await found.doubted(told(5)) is None and log.asked == 2
    log.away = True
    assert await found.doubted(told(6)) == 1000.0 and log.asked == 3
    now[0], log.version = 2000.0, 8
    assert await found.doubted(told(6)) == 1000.0 and log.asked == 3, "the same number, within a second"
    assert await found.doubted(told(7)) == 2000.0 and log.asked == 4
    log.away, clock[0] = False, 2.0
    assert await found.doubted(told(7, anew=True)) == 2000.0
    assert await found.doubted(told(7)) is None and (log.asked, feed.version) == (5, 8)
    await found.close()
