"""Long hits that are ready: two slices at once, then the rest as it is taken, never of something else."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import cast

import pytest
from starlette.types import Message

from edge.guard.head import Head
from edge.http.partial import SLICE
from edge.zone.app import ZoneApp
from edge.zone.at_once import LOOKED_EVERY_S, Ready
from edge.zone.broken import BrokenOff
from edge.zone.sliced import Sliced
from edge.zone.zone import Zone
from keys.purge import Purge
from tests.edge.zone.test_at_once import Cache, Clock
from tests.edge.zone.test_serving import Origin
from tests.support.large_origin import LargeOrigin, content
from tests.support.zone_edge import edge_of

TOTAL = 5 * SLICE + 3


@dataclass
class Long:
    """A cache of one long body that was asked for twice, so that it is a hit."""

    cache: Cache
    origin: LargeOrigin
    head: Head

    @property
    def sliced(self) -> Sliced:
        (held,) = self.cache.app.store.get("http://a/a")
        return cast("Sliced", held.body)

    def ready(self) -> Ready:
        found = self.cache.app.at_once(self.head, "http")
        assert found is not None
        return found


@pytest.fixture
async def long() -> AsyncIterator[Long]:
    origin, clock = LargeOrigin(TOTAL), Clock()
    async with origin.served() as url:
        app = ZoneApp([Zone.parse(f"/={url}")], name="edge-a", memory_bytes=64 << 20, now=clock)
        try:
            cache = Cache(app, Origin(), clock)
            yield Long(cache, origin, await cache.warm())
        finally:
            await app.close()


async def rest_of(ready: Ready) -> list[bytes]:
    """What is sent after the beginning, message by message."""
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("its request has no body")

    async def send(message: Message) -> None:
        sent.append({**message, "body": bytes(message["body"])})

    assert ready.rest is not None
    await ready.rest({}, receive, send)
    assert [each.get("more_body", False) for each in sent] == [True] * (len(sent) - 1) + [False]
    return [each["body"] for each in sent]


async def test_what_is_ready_begins_with_two_slices_and_goes_on_with_the_others(long: Long) -> None:
    asked, ready = len(long.origin.asked), long.ready()
    assert [len(piece) for piece in ready.body] == [SLICE, SLICE] and ready.left == TOTAL - 2 * SLICE
    rest = await rest_of(ready)
    assert [len(piece) for piece in rest] == [SLICE, SLICE, SLICE, 3, 0]
    usual = await long.cache.ask(long.head)
    assert (ready.status, list(ready.fields), b"".join((*ready.body, *rest))) == usual
    assert usual[2] == content(0, TOTAL) and len(long.origin.asked) == asked
    assert long.cache.app.ready.bytes == 2 * SLICE


async def test_a_slice_let_go_meanwhile_is_asked_for_again(long: Long) -> None:
    ready = long.ready()
    long.sliced.forget(3)
    assert b"".join(await rest_of(ready)) == content(2 * SLICE, TOTAL)
    assert long.origin.ranges_asked[-1] == f"bytes={3 * SLICE}-{4 * SLICE - 1}"


async def test_f7_what_has_changed_meanwhile_is_broken_off_and_never_mixed(long: Long) -> None:
    ready = long.ready()
    long.sliced.forget(3)
    long.origin.edition = 2
    with pytest.raises(BrokenOff):
        await rest_of(ready)
    assert long.cache.app.at_once(long.head, "http") is None


async def test_a_beginning_that_was_let_go_is_not_ready_again(long: Long) -> None:
    long.cache.clock.at += 1
    long.sliced.forget(1)
    usual = long.cache.ask(long.head)  # brings it back
    assert (await usual)[2] == content(0, TOTAL)
    assert long.cache.app.at_once(long.head, "http") is None
    await long.cache.ask(long.head)
    assert b"".join((*long.ready().body, *await rest_of(long.ready()))) == content(0, TOTAL)


async def test_a_link_taken_back_meanwhile_ends_it_within_a_second(long: Long) -> None:
    ready, held = long.ready(), True

    def allowed() -> None:
        long.cache.clock.at += LOOKED_EVERY_S
        if not held:
            raise PermissionError

    assert ready.rest is not None
    ready.rest._still = allowed  # type: ignore[attr-defined] # what a signed zone's answers come with
    long.cache.clock.at += LOOKED_EVERY_S
    assert b"".join(await rest_of(ready)) == content(2 * SLICE, TOTAL)
    took: list[int] = []

    async def receive() -> Message:
        raise AssertionError("its request has no body")

    async def send(message: Message) -> None:
        nonlocal held
        held = False
        took.append(len(message["body"]))
        long.cache.clock.at += LOOKED_EVERY_S

    with pytest.raises(BrokenOff, match="link"):
        await ready.rest({}, receive, send)
    assert took == [SLICE]


async def test_over_tls_which_copies_what_waits_nothing_long_is_ready(long: Long) -> None:
    assert long.cache.app.at_once(long.head, "https") is None


async def test_what_is_long_is_ready_for_others_while_the_first_still_takes_it(long: Long) -> None:
    long.cache.clock.at += 1
    ready: list[Ready | None] = []

    def taking() -> float:
        ready.append(long.cache.app.at_once(long.head, "http"))
        return 0.5

    assert (await long.cache.ask(long.head, taking))[2] == content(0, TOTAL)
    assert ready[0] is not None and ready[1] is not None
    assert ready[2:] and set(map(type, ready[2:])) == {type(None)}  # in the next second its Age is another


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("same", [False, True])
async def test_what_is_purged_while_it_is_sent_is_not_ready_again_and_never_mixed(
    long: Long, soft: bool, same: bool
) -> None:
    ready = long.ready()
    long.cache.clock.at += 0.1
    await long.cache.app.purge([Purge(1, "a", "url", "/a", soft=soft)])
    assert long.cache.app.at_once(long.head, "http") is None
    long.origin.edition = 1 if same else 2
    if same or soft:  # what is there is sent on; what is gone is asked for of the edition that was begun
        assert b"".join(await rest_of(ready)) == content(2 * SLICE, TOTAL)
    else:
        with pytest.raises(BrokenOff):
            await rest_of(ready)
    assert long.cache.app.at_once(long.head, "http") is None
    assert (await long.cache.ask(long.head))[2] == content(0, TOTAL, long.origin.edition)


async def test_long_hits_asked_for_at_once_on_one_connection_come_in_order_and_whole() -> None:
    async with LargeOrigin(TOTAL).served() as url, edge_of(url) as edge:
        for _ in range(2):
            assert (await edge.client.get("/a")).content == content(0, TOTAL)
        base = edge.client.base_url
        reader, writer = await asyncio.open_connection(base.host, base.port)
        asked = b"GET /a HTTP/1.1\r\nHost: %s:%d\r\n\r\n" % (base.host.encode(), base.port or 80)
        ranged = asked.replace(b"\r\n\r\n", b"\r\nRange: bytes=3-9\r\n\r\n")
        writer.write(asked * 2 + ranged + asked)
        for wanted in (content(0, TOTAL), content(0, TOTAL), content(3, 10), content(0, TOTAL)):
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"content-length: %d\r\n" % len(wanted) in head
            assert await reader.readexactly(len(wanted)) == wanted
        writer.write(asked + b"no request\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(TOTAL) == content(0, TOTAL)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        writer.close()
