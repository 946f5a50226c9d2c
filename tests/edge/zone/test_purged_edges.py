"""Two edges and a keys service, over sockets: a purge is on both as soon as it is made, or keys is back."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from edge.zone.app import ZoneApp
from edge.zone.purges import PurgeFeed
from edge.zone.zone import Zone
from keys import secrets as secret_files
from keys import store_purges
from keys.app import create_app
from keys.client import KeysClient, node_credential
from keys.nodes import NodeIdentity
from keys.problems import Problem
from keys.purge import NEW
from keys.secrets import Secrets
from keys.service import KeysService
from keys.stores import Stores
from tests.support.lifespan import lived
from tests.support.serving import _Server as Server
from tests.support.serving import listening_on, served


class Origin:
    """Answers everything with a number that grows, and its path as a surrogate key."""

    def __init__(self) -> None:
        self.asked = 0
        self.gate: asyncio.Event | None = None
        self.reached = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lived(receive, send)
            return
        self.asked += 1
        body = b"%d" % self.asked
        self.reached.set()
        if self.gate is not None:
            await self.gate.wait()
        fields = [
            (b"cache-control", b"max-age=600"),
            (b"surrogate-key", b"all " + scope["raw_path"]),
            (b"content-length", b"%d" % len(body)),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": body})


class Edge:
    """One worker's zones, and its feed."""

    def __init__(self, app: ZoneApp, client: httpx.AsyncClient, keys: KeysClient) -> None:
        self.app, self.client = app, client
        self.feed = PurgeFeed(keys, app.purge)

    async def get(self, path: str, zone: str = "press") -> str:
        return (await self.client.get(path, headers={"host": zone})).text

    async def at(self, version: int) -> None:
        """Waits until all up to this version is done here."""
        async with asyncio.timeout(20), self.feed.news:
            await self.feed.news.wait_for(lambda: self.feed.version >= version)


class Fleet:
    """Keys at one address, also when it is started again, and edges in front of one origin."""

    def __init__(self, folder: Path, secrets: Secrets) -> None:
        self.secrets, self.origin, self.edges = secrets, Origin(), list[Edge]()
        self._database = f"sqlite:///{folder}/keys.db"
        with listening_on() as free:
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"

    @contextlib.asynccontextmanager
    async def keys(self) -> AsyncIterator[KeysService]:
        """A keys service at `url`, while entered."""
        stores = await Stores.open(self._database)
        service = await KeysService.start(stores, self.secrets, hosts=["http://edge.test"])
        server = Server(uvicorn.Config(create_app(service), log_level="error"))
        with listening_on(self._port) as listening:
            task = asyncio.create_task(server.serve(sockets=[listening]))
            await server.up.wait()
            try:
                yield service
            finally:
                await service.hush()
                server.should_exit = True
                await task


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    found = Fleet(tmp_path, secret_files.load_or_create(tmp_path / "secrets"))
    async with contextlib.AsyncExitStack() as stack:
        origin = await stack.enter_async_context(served(found.origin))
        async with found.keys() as service:
            node = NodeIdentity.load_or_create(tmp_path / "edge.json", "edge-1", "edge")
            await service.roster.enrol(node.name, "edge", node.public_jwk())
        for name in ("edge-a", "edge-b"):
            zones = [Zone.parse(f"/={origin}")]
            app = ZoneApp(zones, name=name, memory_bytes=8 << 20, now=time.time)
            base = await stack.enter_async_context(served(app))
            client = await stack.enter_async_context(httpx.AsyncClient(base_url=base, timeout=20))
            keys = await stack.enter_async_context(
                KeysClient(found.url, node_credential(node, time.time), timeout_s=2)
            )
            found.edges.append(Edge(app, client, keys))
        yield found


@contextlib.asynccontextmanager
async def hearing(fleet: Fleet) -> AsyncIterator[None]:
    """The edges poll while entered, and have heard where the log stands."""
    tasks = [asyncio.create_task(edge.feed.run()) for edge in fleet.edges]
    try:
        for edge in fleet.edges:
            await edge.at(0)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_purge_is_on_every_edge(fleet: Fleet) -> None:
    one, other = fleet.edges
    async with (
        fleet.keys(),
        hearing(fleet),
        KeysClient(fleet.url, lambda: fleet.secrets.admin_token) as operator,
    ):
        before = [await edge.get(path) for edge in fleet.edges for path in ("/a", "/b")]
        assert [await edge.get(path) for edge in fleet.edges for path in ("/a", "/b")] == before
        assert len(set(before)) == 4
        for number, (kind, value) in enumerate((("url", "/a"), ("key", "/a"), ("prefix", "/a"))):
            kept = [await edge.get("/a") for edge in fleet.edges]
            made = await operator.purge("press", kind, value, soft=number == 1)
            await asyncio.gather(one.at(made.version), other.at(made.version))
            assert not set(kept) & {await edge.get("/a") for edge in fleet.edges}
        assert [await edge.get("/b") for edge in fleet.edges] == before[1::2], "nothing else was purged"
        made = await operator.purge("other", "zone")
        await asyncio.gather(one.at(made.version), other.at(made.version))
        assert [await edge.get("/b") for edge in fleet.edges] == before[1::2], "nor in another zone"


async def test_an_edge_that_was_cut_off_catches_up_when_keys_is_back(fleet: Fleet) -> None:
    async with fleet.keys(), hearing(fleet):
        before = [await edge.get("/a") for edge in fleet.edges]
    assert [await edge.get("/a") for edge in fleet.edges] == before, "keys is away: served as it was"
    async with fleet.keys() as service:  # no edge hears of it yet
        made = await service.purger.purge("press", "url", "/a", soft=False)
        kept = [await edge.get("/b") for edge in fleet.edges]
        async with hearing(fleet):
            await asyncio.gather(*(edge.at(made.version) for edge in fleet.edges))
            assert not set(before) & {await edge.get("/a") for edge in fleet.edges}
            assert [await edge.get("/b") for edge in fleet.edges] == kept


async def test_an_edge_whose_feed_broke_off_goes_on_hearing(fleet: Fleet) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with fleet.keys():
            await stack.enter_async_context(hearing(fleet))
            before = [await edge.get("/a") for edge in fleet.edges]
        for edge in fleet.edges:
            with pytest.raises(Problem):
                await edge.feed.poll()
        async with fleet.keys() as service:
            made = await service.purger.purge("press", "zone", "", soft=False)
            await asyncio.gather(*(edge.at(made.version) for edge in fleet.edges))
            assert not set(before) & {await edge.get("/a") for edge in fleet.edges}


async def test_who_was_away_for_longer_than_the_log_goes_back_purges_everything_softly(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_purges, "KEPT_MOST", 2)
    async with fleet.keys() as service:
        async with hearing(fleet):
            before = [await edge.get("/b") for edge in fleet.edges]
        for _ in range(4):
            made = await service.purger.purge("press", "url", "/a", soft=False)
        await service.purger._store.forget(time.time())
        async with hearing(fleet):
            await asyncio.gather(*(edge.at(made.version) for edge in fleet.edges))
            assert not set(before) & {await edge.get("/b") for edge in fleet.edges}


async def test_what_was_kept_before_the_first_answer_of_keys_is_stale(fleet: Fleet) -> None:
    before = [await edge.get("/a") for edge in fleet.edges]
    assert [edge.feed.version for edge in fleet.edges] == [NEW, NEW]
    async with fleet.keys(), hearing(fleet):
        assert not set(before) & {await edge.get("/a") for edge in fleet.edges}


async def test_an_answer_that_was_on_its_way_is_given_and_not_kept(fleet: Fleet) -> None:
    one, origin = fleet.edges[0], fleet.origin
    async with fleet.keys() as service, hearing(fleet):
        origin.gate = asyncio.Event()
        late = asyncio.create_task(one.get("/a"))
        await origin.reached.wait()
        made = await service.purger.purge("press", "url", "/a", soft=False)
        await one.at(made.version)
        origin.gate.set()
        assert await late == "1"
        assert [await one.get("/a"), await one.get("/a")] == ["2", "2"]


async def test_who_starts_after_a_hard_purge_knows_when_parts_from_before_it_are_no_good(
    fleet: Fleet,
) -> None:
    """The second level may hold them still, and says when they were stored."""
    async with fleet.keys() as service:
        for path, soft in (("/hard", False), ("/soft", True)):
            made = await service.purger.purge("press", "url", path, soft=soft)
        started = time.time()
        async with hearing(fleet):
            await asyncio.gather(*(edge.at(made.version) for edge in fleet.edges))
    for edge in fleet.edges:
        when = {}
        for path in ("/hard", "/soft"):
            await edge.get(path)
            when[path] = edge.app.store.purged(edge.app.store.get(f"http://press{path}")[0].entry)
        assert when["/hard"] >= started and when["/soft"] == float("-inf")
