"""A zone in front of a real origin, over real sockets, served as every service of ours is."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from deploy.http_guard import Guard
from deploy.serve import Server, config
from edge.guard.limits import Limits
from edge.zone.app import ZoneApp
from edge.zone.zone import Zone
from tests.support.lifespan import lived
from tests.support.serving import listening_on, served

Fields = list[tuple[bytes, bytes]]


@dataclass
class Seen:
    """A request as it came to the origin."""

    method: str
    target: str
    fields: dict[str, str]
    body: bytes


@dataclass
class Origin:
    """An origin under the test's control: answers as `give` says, remembers what it was asked."""

    status: int = 200
    fields: Fields = field(default_factory=list)
    body: bytes = b"hello"
    seen: list[Seen] = field(default_factory=list)
    give: Callable[["Origin", Seen, Send], Awaitable[None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lived(receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        target = scope["raw_path"].decode() + ("?" + scope["query_string"].decode()).rstrip("?")
        fields = {name.decode(): value.decode() for name, value in scope["headers"]}
        seen = Seen(scope["method"], target, fields, body)
        self.seen.append(seen)
        if self.give is not None:
            await self.give(self, seen, send)
        else:
            await answer(send, self.status, self.fields, self.body)


async def answer(send: Send, status: int, fields: Fields, body: bytes) -> None:
    length = [] if status in (204, 304) else [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*length, *fields]})
    await send({"type": "http.response.body", "body": body if status not in (204, 304) else b""})


@dataclass
class Clock:
    """Time that is ahead of ours, or stands still."""

    ahead: float = 0.0
    stopped: float | None = None  # where it stands

    def __call__(self) -> float:
        return (time.time() if self.stopped is None else self.stopped) + self.ahead


@dataclass
class Edge:
    """An edge and what is behind it."""

    client: httpx.AsyncClient
    origin: Origin
    clock: Clock


@contextlib.asynccontextmanager
async def in_front_of(
    url: str, clock: Clock, memory: int = 64 << 20, *, name: str = "edge-a", app: ZoneApp | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    app = app or ZoneApp([Zone.parse(f"/={url}")], name=name, memory_bytes=memory, now=clock)
    with listening_on() as listening:
        server = Server(config(app, guard=Guard(Limits(any_method=True)), finish_s=1))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        base = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            async with httpx.AsyncClient(base_url=base, timeout=20) as client:
                yield client
        finally:
            server.should_exit = True
            await serving


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    origin, clock = Origin(fields=[(b"cache-control", b"max-age=60"), (b"etag", b'"1"')]), Clock()
    async with served(origin) as url, in_front_of(url, clock) as client:
        yield Edge(client, origin, clock)


async def test_a_fresh_answer_is_served_without_asking_again(edge: Edge) -> None:
    first, second = await edge.client.get("/a?b=1"), await edge.client.get("/a?b=1")
    assert (first.text, second.text) == ("hello", "hello")
    assert first.headers["cache-status"] == "edge-a; fwd=uri-miss; stored"
    assert second.headers["cache-status"].startswith("edge-a; hit; ttl=")
    assert "age" in second.headers and second.headers.get_list("date") == [first.headers["date"]]
    assert [seen.target for seen in edge.origin.seen] == ["/a?b=1"]


async def test_the_origin_is_told_who_asks_by_us_alone(edge: Edge) -> None:
    sent = {"host": "films.example", "x-forwarded-host": "evil", "x-forwarded-for": "192.0.2.1"}
    await edge.client.get("/", headers={**sent, "connection": "x-hop", "x-hop": "1", "x-end": "2"})
    told = edge.origin.seen[0].fields
    assert (told["host"], told["x-forwarded-for"], told["x-forwarded-proto"]) == (
        "films.example",
        "127.0.0.1",
        "http",
    )
    assert told["via"] == "1.1 edge-a" and told["cdn-loop"] == "edge-a" and told["x-end"] == "2"
    assert "x-hop" not in told and "x-forwarded-host" not in told


async def test_hosts_do_not_share_answers(edge: Edge) -> None:
    for host in ("a.example", "b.example"):
        await edge.client.get("/", headers={"host": host})
    assert len(edge.origin.seen) == 2


async def test_any_method_is_passed_with_its_body_once(edge: Edge) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE", "M-SEARCH"):
        got = await edge.client.request(method, "/x", content=b"z" * 300_000)
        assert got.status_code == 200
    assert [seen.method for seen in edge.origin.seen] == ["POST", "PUT", "PATCH", "DELETE", "M-SEARCH"]
    assert {len(seen.body) for seen in edge.origin.seen} == {300_000}


async def test_a_body_of_unknown_length_is_streamed_to_the_origin(edge: Edge) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"piece"

    await edge.client.post("/x", content=pieces())
    assert edge.origin.seen[0].body == b"piece" * 3


async def test_an_unsafe_request_makes_what_is_stored_unused(edge: Edge) -> None:
    await edge.client.get("/x")
    await edge.client.post("/x")
    await edge.client.get("/x")
    assert [seen.method for seen in edge.origin.seen] == ["GET", "POST", "GET"]


async def test_what_is_stale_is_validated_and_fresh_again(edge: Edge) -> None:
    async def give(origin: Origin, seen: Seen, send: Send) -> None:
        status = 304 if seen.fields.get("if-none-match") == '"1"' else 200
        await answer(send, status, origin.fields, origin.body)

    edge.origin.give = give
    await edge.client.get("/")
    edge.clock.ahead = 100
    edge.origin.fields = [(b"cache-control", b"max-age=1000"), (b"etag", b'"1"')]
    got = await edge.client.get("/")
    assert (got.status_code, got.text) == (200, "hello")
    assert "fwd=stale; fwd-status=304" in got.headers["cache-status"]
    assert "hit" in (await edge.client.get("/")).headers["cache-status"]
    assert len(edge.origin.seen) == 2


async def test_head_ranges_and_conditions_are_answered_from_a_stored_body(edge: Edge) -> None:
    await edge.client.get("/")
    head = await edge.client.head("/")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "5", b"")
    part = await edge.client.get("/", headers={"range": "bytes=1-2"})
    assert (part.status_code, part.text, part.headers["content-range"]) == (206, "el", "bytes 1-2/5")
    assert (await edge.client.get("/", headers={"range": "bytes=9-"})).status_code == 416
    assert (await edge.client.get("/", headers={"if-none-match": '"1"'})).status_code == 304
    two = await edge.client.get("/", headers={"range": "bytes=0-0,4-4"})
    assert two.headers["content-type"].startswith("multipart/byteranges") and two.content.count(b"--") >= 3
    assert len(edge.origin.seen) == 1


class Held:
    """An origin's answer that goes out piece by piece, when the test says so."""

    def __init__(self, fields: Fields) -> None:
        self.fields, self.asked, self.head = fields, asyncio.Event(), asyncio.Event()
        self.rest = asyncio.Event()

    async def __call__(self, origin: Origin, seen: Seen, send: Send) -> None:
        self.asked.set()
        await self.head.wait()
        await send({"type": "http.response.start", "status": 200, "headers": self.fields})
        await send({"type": "http.response.body", "body": b"first ", "more_body": True})
        await self.rest.wait()
        await send({"type": "http.response.body", "body": b"rest"})


async def test_f19_those_who_miss_together_ask_once_and_get_bytes_as_they_come(edge: Edge) -> None:
    held = Held([(b"cache-control", b"max-age=60")])
    edge.origin.give = held
    came = 0
    all_began = asyncio.Event()

    async def watch() -> bytes:
        nonlocal came
        body = b""
        async with edge.client.stream("GET", "/big") as got:
            async for piece in got.aiter_raw():
                if not body:
                    came += 1
                    if came == 20:
                        all_began.set()
                body += piece
        return body

    watching = [asyncio.create_task(watch()) for _ in range(20)]
    await held.asked.wait()
    held.head.set()
    await all_began.wait()  # all have the first bytes while the origin keeps back the rest
    held.rest.set()
    assert await asyncio.gather(*watching) == [b"first rest"] * 20
    assert len(edge.origin.seen) == 1


async def test_what_may_not_be_stored_is_never_waited_for_again(edge: Edge) -> None:
    edge.origin.fields = [(b"cache-control", b"private")]
    await edge.client.get("/mine")
    held = Held([(b"cache-control", b"private")])
    edge.origin.give = held
    asking = [asyncio.create_task(edge.client.get("/mine")) for _ in range(5)]
    async with asyncio.timeout(10):
        while len(edge.origin.seen) < 6:  # noqa: ASYNC110 - each asks though no answer came
            await asyncio.sleep(0.01)
    held.head.set()
    held.rest.set()
    assert {got.text for got in await asyncio.gather(*asking)} == {"first rest"}


async def test_answers_that_take_each_others_place_are_whole_for_who_asked_for_them(edge: Edge) -> None:
    edge.origin.body = bytes(range(256)) * 4000
    for _ in range(5):
        fields = {"if-none-match": '"other"'}  # nobody waits for such a one
        got = await asyncio.gather(*(edge.client.get("/large", headers=fields) for _ in range(12)))
        assert {each.content for each in got} == {edge.origin.body}
        edge.clock.ahead += 100


async def test_stale_is_served_while_one_request_renews_it(edge: Edge) -> None:
    edge.origin.fields = [(b"cache-control", b"max-age=1, stale-while-revalidate=600")]
    await edge.client.get("/")
    edge.clock.ahead = 10
    held = Held([(b"cache-control", b"max-age=600")])
    edge.origin.give = held
    for _ in range(3):
        assert (await edge.client.get("/")).text == "hello"
    await held.asked.wait()
    held.head.set()
    held.rest.set()
    async with asyncio.timeout(10):
        while (await edge.client.get("/")).text != "first rest":  # noqa: ASYNC110 - the edge's own task
            await asyncio.sleep(0.01)
    assert len(edge.origin.seen) == 2


async def test_f6_stale_is_served_for_an_error_where_that_is_allowed(edge: Edge) -> None:
    edge.origin.fields = [(b"cache-control", b"max-age=1, stale-if-error=600")]
    await edge.client.get("/")
    edge.clock.ahead, edge.origin.status = 10, 503
    got = await edge.client.get("/")
    assert (got.status_code, got.text) == (200, "hello") and "fwd-status=503" in got.headers["cache-status"]
    assert (await edge.client.get("/other")).status_code == 503


async def test_f2_an_origin_that_is_not_there_is_a_502_that_says_so() -> None:
    with listening_on() as closed:
        port = closed.getsockname()[1]
    async with in_front_of(f"http://127.0.0.1:{port}", Clock()) as client:
        got = await client.get("/")
    assert (got.status_code, got.json()["code"]) == (502, "bad_upstream")
    assert got.headers["proxy-status"] == "edge-a; error=connection_refused"


async def test_f4_a_body_that_breaks_off_is_cut_visibly_and_not_kept() -> None:
    asked = 0

    async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 100\r\n\r\nshort")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(breaks_off, "127.0.0.1", 0) as origin:
        url = f"http://127.0.0.1:{origin.sockets[0].getsockname()[1]}"
        async with in_front_of(url, Clock()) as client:
            for _ in range(2):
                with pytest.raises(httpx.RemoteProtocolError):
                    await client.get("/")
    assert asked == 2


async def test_t22_a_request_that_was_here_before_is_refused(edge: Edge) -> None:
    got = await edge.client.get("/", headers={"cdn-loop": "other, EDGE-A; hop=1"})
    assert got.status_code == 508 and "proxy_loop_detected" in got.headers["proxy-status"]
    assert edge.origin.seen == []


async def test_only_if_cached_asks_nobody(edge: Edge) -> None:
    assert (await edge.client.get("/", headers={"cache-control": "only-if-cached"})).status_code == 504
    assert edge.origin.seen == []


async def test_a_negative_answer_is_kept_as_long_as_it_says(edge: Edge) -> None:
    edge.origin.status = 404
    assert [(await edge.client.get("/no")).status_code for _ in range(2)] == [404, 404]
    assert len(edge.origin.seen) == 1


async def test_what_is_too_large_to_keep_passes_through_whole() -> None:
    origin = Origin(fields=[(b"cache-control", b"max-age=60")], body=b"x" * (3 << 20))

    async def unmeasured(origin: Origin, seen: Seen, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": origin.fields})
        for _ in range(12):
            await send({"type": "http.response.body", "body": b"x" * (1 << 18), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    origin.give = unmeasured
    async with served(origin) as url, in_front_of(url, Clock(), memory=4 << 20) as client:
        for _ in range(2):
            assert (await client.get("/")).content == origin.body
    assert len(origin.seen) == 2


async def test_a_client_of_http_1_0_gets_a_body_that_ends_with_the_connection(edge: Edge) -> None:
    held = Held([])
    held.head.set()
    held.rest.set()
    edge.origin.give = held
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.client.base_url.port)
    writer.write(b"GET / HTTP/1.0\r\nhost: a\r\n\r\n")
    got = await reader.read()
    writer.close()
    assert b"transfer-encoding" not in got and got.endswith(b"\r\n\r\nfirst rest")
