"""Clients that are slow, or many: each is gone when its time is up, and nobody else waits (SECURITY T11).

The times are shortened; that the real ones are the promised ones is in `test_limits`.
"""

import asyncio
import contextlib
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from deploy.http_guard import Guard
from edge.guard.limits import Limits
from tests.edge.guard.apps import PIECE, QUICK, Recorder, guarded, small_reader
from tests.edge.guard.odd import START
from tests.edge.parts import world
from tests.support.serving import eventually
from tests.support.wire import WITHIN_S, answers, closed, connected, said

GOOD = START + b"\r\n"
POST = b"POST /take HTTP/1.1\r\nHost: a\r\n"


def counted() -> tuple[dict[str, int], Callable[[str, int], None]]:
    found: dict[str, int] = {}

    def count(name: str, by: int) -> None:
        found[name] = found.get(name, 0) + by

    return found, count


@pytest.mark.parametrize("start", [b"GET / HT", START + b"X: ", b"G"])
async def test_t11_a_head_that_does_not_come_in_time_is_told_so_and_gone(start: bytes) -> None:
    found, count = counted()
    async with guarded(Recorder(), Guard(QUICK, count=count)) as (url, _):
        [told] = answers(await said(url, start))
        assert (told.status, told.headers[b"connection"]) == (408, b"close")
        assert await said(url) == b""  # who has asked nothing is told nothing
        assert found == {"guard_late": 2}


async def test_t11_a_head_that_trickles_is_gone_all_the_same() -> None:
    async with guarded(Recorder(), Guard(QUICK)) as (url, _):
        reader, writer = await connected(url)

        async def trickle() -> None:
            for byte in START * 1000:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)

        task = asyncio.create_task(trickle())
        async with asyncio.timeout(WITHIN_S):
            assert b" 408 " in await reader.readline()
        task.cancel()
        await closed(writer)


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"]
)
async def test_t11_a_body_that_stops_is_told_so_and_never_whole(framing: bytes) -> None:
    app = Recorder()
    async with guarded(app, Guard(QUICK)) as (url, _):
        [told] = answers(await said(url, POST + framing))
        assert told.status == 408
        await asyncio.wait_for(app.left.wait(), 5)
        assert app.ended == ["left"]


async def test_a_body_at_a_fair_pace_lives_past_every_deadline() -> None:
    async with guarded(Recorder(), Guard(QUICK)) as (url, _):
        reader, writer = await connected(url)
        writer.write(POST + b"Content-Length: 20000\r\n\r\n")
        for _ in range(20):
            writer.write(bytes(1000))
            await asyncio.sleep(0.1)
        async with asyncio.timeout(WITHIN_S):
            assert b" 200 " in await reader.readline()
        await closed(writer)


async def test_f22_a_connection_kept_idle_is_closed_without_a_word() -> None:
    async with guarded(Recorder(), Guard(QUICK)) as (url, _):
        assert [a.status for a in answers(await said(url, GOOD))] == [200]


async def test_t11_f31_who_takes_nothing_is_cut_and_costs_one_piece_of_memory_meanwhile() -> None:
    app = Recorder()
    found, count = counted()
    async with guarded(app, Guard(QUICK, count=count)) as (url, server):
        line = await small_reader(url, "/endless")
        await app.arrived.wait()
        [connection] = server.server_state.connections
        waiting: list[int] = []
        async with asyncio.timeout(WITHIN_S):
            while connection in server.server_state.connections:
                waiting.append(connection.transport.get_write_buffer_size())
                await asyncio.sleep(0.02)
        assert 0 < max(waiting) <= PIECE
        assert found == {"guard_late": 1}
        await asyncio.wait_for(app.left.wait(), 5)
        line.close()


async def test_t11_who_takes_little_lives_on() -> None:
    app = Recorder()
    async with guarded(app, Guard(QUICK)) as (url, server):
        line = await small_reader(url, "/endless")
        loop = asyncio.get_running_loop()
        for _ in range(30):  # five times as long as a client may stall
            assert await loop.sock_recv(line, 2048)
            await asyncio.sleep(0.1)
        assert len(server.server_state.connections) == 1
        line.close()


async def test_t11_two_thousand_slow_connections_are_gone_and_others_are_served(web: Path) -> None:
    slow = 2000
    _raise_file_limit(2 * slow + 500)
    found, count = counted()
    limits = replace(Limits(), head_s=2.0, look_every_s=0.2, linger_s=0.3)
    async with world(web, guard=Guard(limits, count=count)) as edge, httpx.AsyncClient(timeout=30) as client:
        parts = urlsplit(edge.url)
        ended = 0

        async def hold(turn: int) -> None:
            nonlocal ended
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write((b"", b"GET / HT", START, START + b"X: y")[turn % 4])
            told = await reader.read()
            assert not told or b" 408 " in told
            ended += 1
            await closed(writer)

        async def watch() -> int:
            served = 0
            while ended < slow:
                answer = await client.get(edge.session() + "720p/0.m4s")
                assert answer.status_code == 200
                served += 1
            return served

        watching = [asyncio.create_task(watch()) for _ in range(4)]
        async with asyncio.timeout(120):
            await asyncio.gather(*(hold(turn) for turn in range(slow)))
            served = await asyncio.gather(*watching)
        assert ended == slow == found["guard_late"]
        assert min(served) > 0


async def test_t11_too_many_headers_and_too_large_ones_are_refused_at_once() -> None:
    async with guarded(Recorder()) as (url, _):
        for fields in (
            b"".join(b"X-%d: y\r\n" % i for i in range(2000)),
            b"X: " + b"y" * (1 << 20) + b"\r\n",
            b"y" * (1 << 20),
        ):
            [told] = answers(await said(url, START + fields + b"\r\n"))
            assert told.status == 431
        [told] = answers(await said(url, b"GET /" + b"a" * (1 << 20)))
        assert told.status == 414


async def test_t11_more_connections_than_a_client_may_have_are_told_so() -> None:
    found, count = counted()
    guard = Guard(replace(QUICK, idle_s=60, head_s=60, connections_per_client=3), (), count)
    async with guarded(Recorder(), guard) as (url, _):
        held = [await connected(url) for _ in range(3)]
        for reader, writer in held:
            writer.write(GOOD)
            assert b" 200 " in await reader.readline()
        [told] = answers(await said(url, GOOD))
        assert (told.status, told.headers[b"retry-after"]) == (429, b"2")
        [elsewhere] = answers(await said(url, GOOD[:-2] + b"Connection: close\r\n\r\n", local="127.0.0.2"))
        assert elsewhere.status == 200
        await closed(held[0][1])
        await eventually(lambda: guard.crowd.total == 2)
        [again] = answers(await said(url, GOOD[:-2] + b"Connection: close\r\n\r\n"))
        assert again.status == 200 and found == {"guard_full": 1}
        for _, writer in held[1:]:
            await closed(writer)


async def test_a_full_server_says_so_and_those_within_go_on() -> None:
    guard = Guard(replace(QUICK, idle_s=60, head_s=60, connections=10))
    async with guarded(Recorder(), guard) as (url, _):
        held = [await connected(url) for _ in range(10)]
        for reader, writer in held:
            writer.write(GOOD)
            assert b" 200 " in await reader.readline()
        [told] = answers(await said(url, GOOD))
        assert (told.status, told.headers[b"retry-after"]) == (503, b"2")
        for reader, writer in held:
            writer.write(GOOD)
            await reader.readuntil(b"\r\n\r\n/")
            assert b" 200 " in await reader.readline()
            await closed(writer)


async def test_those_far_above_are_closed_before_they_can_cost_anything() -> None:
    guard = Guard(replace(QUICK, idle_s=60, head_s=60, connections=1))
    async with guarded(Recorder(), guard) as (url, _):
        held = [await connected(url) for _ in range(9)]  # one to be served, eight to be told
        await eventually(lambda: guard.crowd.total == 9)
        reader, writer = await connected(url)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), WITHIN_S) == b""
        for _, each in [*held, (reader, writer)]:
            await closed(each)
        await eventually(lambda: guard.crowd.total == 0)
        [told] = answers(await said(url, GOOD[:-2] + b"Connection: close\r\n\r\n"))
        assert told.status == 200


async def test_f18_a_request_on_its_way_when_the_service_is_to_end_is_answered() -> None:
    app = Recorder()
    async with guarded(app, Guard(replace(QUICK, head_s=5))) as (url, server):
        waiting, halfway, silent = [await connected(url) for _ in range(3)]
        waiting[1].write(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        halfway[1].write(START)
        await app.arrived.wait()
        server.should_exit = True
        assert await silent[0].read() == b""
        halfway[1].write(b"\r\n")
        app.go.set()
        for reader, _ in (halfway, waiting):
            [told] = answers(await reader.read())
            assert (told.status, told.headers[b"connection"]) == (200, b"close")
        for _, writer in (waiting, halfway, silent):
            await closed(writer)


async def test_f18_a_connection_that_was_promised_to_stay_takes_one_request_more() -> None:
    app = Recorder()
    async with guarded(app, Guard(replace(QUICK, head_s=5, idle_s=5, drain_s=1))) as (url, server):
        reader, writer = await connected(url)
        writer.write(b"GET /begun HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"connection" not in await reader.readuntil(b"\r\n\r\n")
        server.should_exit = True
        [connection] = server.server_state.connections
        await eventually(lambda: bool(vars(connection)["_draining"]))
        app.go.set()
        assert await reader.readexactly(5) == b"begun"
        writer.write(GOOD)
        [told] = answers(await reader.read())
        assert (told.status, told.headers[b"connection"]) == (200, b"close")
        await closed(writer)


def _raise_file_limit(wanted: int) -> None:
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < wanted:
        pytest.skip(f"this process may open {most} files, and the test needs {wanted}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(now, wanted), most))
