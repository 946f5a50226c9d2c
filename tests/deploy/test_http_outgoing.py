"""What goes out together: all in order, a head with its body, two slices at a time, nothing kept back."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from deploy.http_outgoing import TOGETHER, Outgoing
from edge.http.partial import SLICE
from tests.deploy.test_http_answer import Connection, body, cycle, run, start


class Wire(asyncio.Transport):
    """A transport that keeps each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.writes.append(b"".join(map(bytes, list_of_data)))

    def is_closing(self) -> bool:
        return self.closed


@settings(max_examples=50)
@given(st.lists(st.tuples(st.binary(max_size=9), st.booleans(), st.booleans()), max_size=20))
def test_every_byte_goes_out_once_and_in_order(steps: list[tuple[bytes, bool, bool]]) -> None:
    async def going() -> None:
        wire = Wire()
        out = Outgoing(wire, asyncio.get_running_loop(), most=12)
        for part, in_one_turn, flushed in steps:
            out.add(memoryview(part))
            if flushed:
                out.flush()
            if not in_one_turn:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert b"".join(wire.writes) == b"".join(part for part, _, _ in steps)
        assert out.empty

    asyncio.run(going())


async def test_a_head_and_two_slices_are_one_write_and_the_next_two_another() -> None:
    connection = Connection()
    slices = [bytes([number]) * SLICE for number in range(4)]

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start((b"content-length", b"%d" % (4 * SLICE))))
        for number, each in enumerate(slices):
            await send(body(each, more=number < 3))

    await run(connection, cycle(connection), answering)
    first, second = connection.wire.written
    assert first.endswith(b"\r\n\r\n" + slices[0] + slices[1]) and first.startswith(b"HTTP/1.1 200 ")
    assert second == slices[2] + slices[3]


async def test_f31_what_is_less_than_a_slice_is_sent_before_more_is_made() -> None:
    connection = Connection()
    piece = bytes(SLICE // 4)

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start((b"content-length", b"%d" % (3 * len(piece)))))
        for number in range(3):
            await send(body(piece, more=number < 2))
            assert len(connection.wire.written) == number + 1

    await run(connection, cycle(connection), answering)
    assert connection.sent.endswith(b"\r\n\r\n" + 3 * piece)


async def test_what_comes_in_drops_goes_out_in_drops() -> None:
    connection = Connection()
    seen: list[int] = []

    async def dripping(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start((b"content-length", b"3")))
        for more in (True, True, False):
            await asyncio.sleep(0)  # somebody else's turn
            seen.append(len(connection.wire.written))
            await send(body(b"x", more=more))

    await run(connection, cycle(connection), dripping)
    assert seen == [1, 2, 3]


async def test_f31_two_slices_wait_for_a_client_that_takes_nothing_and_no_more_is_made() -> None:
    connection = Connection()
    write, pause = connection.wire.writelines, connection.flow.pause_writing
    made = 0

    def not_taken(parts: Iterable[Any]) -> None:
        write(parts)
        pause()

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal made
        await send(start((b"content-length", b"%d" % (8 * SLICE))))
        for number in range(8):
            made += 1
            await send(body(bytes(SLICE), more=number < 7))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection.wire, "writelines", not_taken)
        answer = asyncio.create_task(run(connection, cycle(connection), answering))
        for _ in range(20):
            await asyncio.sleep(0)
    assert made == 2
    assert len(connection.sent.partition(b"\r\n\r\n")[2]) == TOGETHER == 2 * SLICE
    connection.flow.resume_writing()
    await answer
    assert len(connection.sent.partition(b"\r\n\r\n")[2]) == 8 * SLICE


async def test_others_have_their_turn_between_the_writes_to_a_client_that_takes_all_at_once() -> None:
    connection = Connection()
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start((b"content-length", b"%d" % (16 * SLICE))))
        for number in range(16):
            await send(body(bytes(SLICE), more=number < 15))

    beside = asyncio.create_task(other())
    await run(connection, cycle(connection), answering)
    beside.cancel()
    assert turns >= 7


async def test_nothing_is_written_to_a_connection_that_is_gone() -> None:
    wire = Wire()
    out = Outgoing(wire, asyncio.get_running_loop(), TOGETHER)
    out.add(b"some")
    wire.closed = True
    await asyncio.sleep(0)
    assert not wire.writes and out.empty
