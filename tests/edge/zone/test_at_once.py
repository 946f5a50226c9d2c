"""Answers that are ready are those the usual way would give, and no others are ready."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message

from edge.guard.head import Head, read
from edge.zone.app import ZoneApp
from edge.zone.at_once import HARMLESS as NO_MATTER
from edge.zone.at_once import KEPT_BYTES, LONGEST
from edge.zone.zone import Zone
from tests.edge.zone.test_serving import Origin
from tests.support.serving import served

EDGE = Path(__file__).parents[3] / "edge"
HARMLESS = "host: a\r\nuser-agent: u\r\naccept: */*\r\ncookie: a=b\r\nx-forwarded-for: 192.0.2.1\r\n"
ODD = {
    "range": "bytes=0-1",
    "if-none-match": '"1"',
    "if-match": '"1"',
    "if-modified-since": "Thu, 01 Jan 1970 00:00:00 GMT",
    "if-range": '"1"',
    "cache-control": "no-cache",
    "pragma": "no-cache",
    "authorization": "Basic YQ==",
    "origin": "https://a.example",
    "cdn-loop": "edge-a",
    "max-forwards": "1",
    "te": "trailers",
    "x-unheard-of": "1",
}


@dataclass
class Clock:
    at: float = field(default_factory=lambda: int(time.time()) + 0.25)

    def __call__(self) -> float:
        return self.at


@dataclass
class Cache:
    """A zone's application and what its clients get."""

    app: ZoneApp
    origin: Origin
    clock: Clock
    got: list[Message] = field(default_factory=list)

    def head(self, target: str = "/a", fields: str = HARMLESS, method: str = "GET") -> Head:
        return read(f"{method} {target} HTTP/1.1\r\n{fields}\r\n".encode())

    async def ask(
        self, head: Head, taking: Callable[[], float] = lambda: 0.0
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """The answer the usual way; its client needs `taking` seconds for each message."""
        sent: list[Message] = []

        async def receive() -> Message:
            await asyncio.Event().wait()  # the client stays, and its request has no body
            raise AssertionError

        async def send(message: Message) -> None:
            sent.append(message)
            self.clock.at += taking()

        scope: dict[str, Any] = {
            "type": "http",
            "method": head.method,
            "scheme": "http",
            "http_version": "1.1",
            "client": ("127.0.0.1", 1),
            "raw_path": head.path,
            "path": head.path.decode(),
            "query_string": head.query,
            "headers": head.fields,
        }
        await self.app(scope, receive, send)
        return sent[0]["status"], sent[0]["headers"], b"".join(each["body"] for each in sent[1:])

    async def warm(self, head: Head | None = None) -> Head:
        """Has been asked for, so that it is a hit, and asked for again."""
        head = head or self.head()
        await self.ask(head)
        await asyncio.gather(*self.app._filling._tasks)  # the body's end
        await self.ask(head)
        return head


@contextlib.asynccontextmanager
async def caching(*fields: tuple[bytes, bytes]) -> AsyncIterator[Cache]:
    origin, clock = Origin(fields=list(fields)), Clock()
    async with served(origin) as url:
        app = ZoneApp([Zone.parse(f"/={url}")], name="edge-a", memory_bytes=64 << 20, now=clock)
        try:
            yield Cache(app, origin, clock)
        finally:
            await app.close()


@pytest.fixture
async def cache() -> AsyncIterator[Cache]:
    async with caching((b"cache-control", b"max-age=60"), (b"etag", b'"1"')) as found:
        yield found


async def test_a_hit_is_ready_for_the_rest_of_its_second(cache: Cache) -> None:
    head = await cache.warm()
    asked = len(cache.origin.seen)
    ready = cache.app.at_once(head, "http")
    assert ready is not None
    assert (ready.status, list(ready.fields), b"".join(ready.body)) == await cache.ask(head)
    cache.clock.at += 0.7
    again = cache.app.at_once(head, "http")
    assert again is not None and list(again.fields) == list(ready.fields)
    cache.clock.at += 0.1
    assert cache.app.at_once(head, "http") is None
    await cache.ask(head)
    later = cache.app.at_once(head, "http")
    assert later is not None and dict(later.fields)[b"age"] == b"1"
    assert len(cache.origin.seen) == asked


async def test_a_miss_is_not_ready_nor_what_is_kept_elsewhere(cache: Cache) -> None:
    head = cache.head()
    await cache.ask(head)
    assert cache.app.at_once(head, "http") is None
    await cache.warm()
    assert cache.app.at_once(cache.head("/b"), "http") is None
    assert cache.app.at_once(cache.head("/a?x=1"), "http") is None


@pytest.mark.parametrize("name", ODD)
async def test_a_field_that_may_matter_is_thought_about(cache: Cache, name: str) -> None:
    await cache.warm()
    assert cache.app.at_once(cache.head(fields=f"{HARMLESS}{name}: {ODD[name]}\r\n"), "http") is None


@pytest.mark.parametrize("name", ODD)
async def test_t6_an_answer_to_such_a_request_is_nobody_elses(cache: Cache, name: str) -> None:
    await cache.warm(cache.head())
    cache.clock.at += 1
    await cache.ask(cache.head(fields=f"{HARMLESS}{name}: {ODD[name]}\r\n"))
    assert cache.app.at_once(cache.head(), "http") is None


async def test_host_scheme_and_method_are_part_of_the_question(cache: Cache) -> None:
    head = await cache.warm()
    assert cache.app.at_once(head, "http") is not None
    assert cache.app.at_once(cache.head(fields="host: b\r\n"), "http") is None
    assert cache.app.at_once(head, "https") is None
    assert cache.app.at_once(cache.head(method="HEAD"), "http") is None


async def test_what_varies_or_is_long_is_not_ready() -> None:
    fresh = (b"cache-control", b"max-age=60")
    async with caching(fresh, (b"vary", b"accept")) as cache:
        assert cache.app.at_once(await cache.warm(), "http") is None
    async with caching(fresh) as cache:
        cache.origin.body = bytes(LONGEST + 1)
        assert cache.app.at_once(await cache.warm(), "http") is None
        cache.origin.body = bytes(LONGEST)
        assert cache.app.at_once(await cache.warm(cache.head("/b")), "http") is not None


async def test_what_stops_being_fresh_stops_being_ready() -> None:
    async with caching((b"cache-control", b"max-age=1"), (b"etag", b'"1"')) as cache:
        head = await cache.warm()
        assert cache.app.at_once(head, "http") is not None
        cache.clock.at += 0.74
        assert cache.app.at_once(head, "http") is not None
        cache.clock.at += 0.26
        assert cache.app.at_once(head, "http") is None


async def test_what_is_served_stale_is_not_ready() -> None:
    async with caching((b"cache-control", b"max-age=1, stale-while-revalidate=600")) as cache:
        head = await cache.warm()
        cache.clock.at += 10
        assert (await cache.ask(head))[0] == 200
        assert cache.app.at_once(head, "http") is None


async def test_what_is_ready_is_bounded_and_goes_with_its_second() -> None:
    async with caching((b"cache-control", b"max-age=60")) as cache:
        cache.origin.body = bytes(1 << 20)
        for number in range(40):
            await cache.warm(cache.head(f"/{number}"))
        assert cache.app.ready.bytes <= KEPT_BYTES
        assert cache.app.at_once(cache.head("/0"), "http") is None
        assert cache.app.at_once(cache.head("/39"), "http") is not None
        cache.clock.at += 1
        cache.origin.body = b"x"
        await cache.warm(cache.head("/new"))
        assert cache.app.ready.bytes == 1


async def test_h17_what_was_invalidated_or_let_go_is_not_ready(cache: Cache) -> None:
    head = await cache.warm()
    await cache.ask(cache.head(method="POST"))
    assert cache.app.at_once(head, "http") is None
    await cache.warm()
    assert cache.app.at_once(head, "http") is not None
    cache.app.store.remove(cache.app.store.get("http://a/a")[0])
    assert cache.app.at_once(head, "http") is None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("get"), st.sampled_from(["/a", "/b"]), st.sampled_from(["", *ODD])),
        st.tuples(st.just("post"), st.sampled_from(["/a", "/b"]), st.just("")),
        st.tuples(st.just("wait"), st.sampled_from(["0.3", "1", "61"]), st.just("")),
        st.tuples(st.just("change"), st.sampled_from(["max-age=60", "max-age=1", "no-store"]), st.just("")),
    ),
    max_size=12,
)


@settings(max_examples=20)
@given(STEPS)
def test_what_is_ready_is_what_the_usual_way_gives(steps: list[tuple[str, str, str]]) -> None:
    async def run() -> None:
        async with caching((b"cache-control", b"max-age=60"), (b"etag", b'"1"')) as cache:
            for what, which, odd in steps:
                if what == "wait":
                    cache.clock.at += float(which)
                elif what == "change":
                    cache.origin.fields[0] = (b"cache-control", which.encode())
                    cache.origin.body += b"."
                    cache.origin.fields[1] = (b"etag", b'"%d"' % len(cache.origin.body))
                else:
                    fields = f"{HARMLESS}{odd}: {ODD[odd]}\r\n" if odd else HARMLESS
                    head = cache.head(which, fields, what.upper())
                    ready = cache.app.at_once(head, "http")
                    usual = await cache.ask(head)
                    assert ready is None or (ready.status, list(ready.fields), b"".join(ready.body)) == usual

    asyncio.run(run())


def test_no_field_that_is_harmless_is_looked_at_where_answers_are_decided() -> None:
    parts = ("http/reuse.py", "http/preconditions.py", "http/answer.py", "zone/serving.py")
    text = "".join((EDGE / each).read_text() for each in parts)
    assert [name for name in NO_MATTER if f'b"{name.decode()}"' in text] == []


async def test_an_answer_that_took_long_to_be_taken_is_not_given_again_with_its_old_age(cache: Cache) -> None:
    head = await cache.warm()
    cache.clock.at += 1
    seconds = iter([30.0])
    usual = await cache.ask(head, taking=lambda: next(seconds, 0.0))
    assert dict(usual[1])[b"age"] == b"1"
    assert cache.app.at_once(head, "http") is None  # its Age is of half a minute ago


async def test_an_answer_made_of_what_was_validated_meanwhile_is_not_given_again(cache: Cache) -> None:
    head = await cache.warm()
    cache.clock.at += 1
    (held,) = cache.app.store.get("http://a/a")

    def renewed() -> float:
        if dict(held.entry.fields)[b"cache-control"] == b"no-cache":
            return 0.0
        cache.app.store.update(held, replace(held.entry, fields=[(b"cache-control", b"no-cache")]))
        return 0.0

    await cache.ask(head, taking=renewed)
    assert cache.app.at_once(head, "http") is None
