"""The cycle of one request: what goes out is well formed, whole or visibly broken, and no copy waits."""

import asyncio
import logging
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl

from deploy.http_answer import COPIED, Cycle
from deploy.http_outgoing import TOGETHER, Outgoing
from edge.zone.broken import BrokenOff


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


class Connection:
    """What a cycle needs of one."""

    def __init__(self, most: int = TOGETHER) -> None:
        self.wire = Wire()
        self.transport: asyncio.Transport = self.wire
        self.flow = FlowControl(self.wire)
        self.out = Outgoing(self.wire, asyncio.get_running_loop(), most)
        self.answers = 0
        self.lingers = False

    def answered(self) -> None:
        self.answers += 1

    def linger(self) -> None:
        self.lingers = True

    @property
    def sent(self) -> bytes:
        return b"".join(self.wire.written)


def cycle(connection: Connection, *, scheme: str = "http", has_body: bool = False) -> Cycle:
    scope = {"type": "http", "method": "GET", "scheme": scheme, "http_version": "1.1"}
    return Cycle(connection, scope, has_body=has_body, expects_continue=False, keep_alive=True)


def app(*messages: Message) -> ASGIApp:
    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return answering


def start(*headers: tuple[bytes, bytes], status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(content: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


async def run(connection: Connection, made: Cycle, application: ASGIApp) -> None:
    running: set[asyncio.Task[None]] = set()
    task = asyncio.create_task(made.run(application, running))
    running.add(task)
    await task
    assert not running


@pytest.mark.parametrize(
    "field",
    [
        (b"x-name", b"film\r\nset-cookie: a=b"),
        (b"x-name", b"film\r\n\r\nbody"),
        (b"x-name", b"a\nb"),
        (b"x-name", b"a\x00"),
        (b"x name", b"a"),
        (b"x-name: y\r\nx-other", b"a"),
        (b"", b"a"),
        (b"transfer-encoding", b"chunked"),
    ],
)
async def test_a_field_that_is_not_well_formed_never_goes_out(field: tuple[bytes, bytes]) -> None:
    connection = Connection()
    await run(connection, cycle(connection), app(start(field), body(b"text")))
    assert connection.sent.startswith(b"HTTP/1.1 500 ")
    assert connection.sent.count(b"\r\n\r\n") == 1
    assert b"set-cookie" not in connection.sent
    assert connection.wire.closed


@pytest.mark.parametrize(("name", "length"), [(b"content-length", b"4"), (b"Content-Length", b"4")])
async def test_a_known_length_is_never_also_chunked(name: bytes, length: bytes) -> None:
    connection = Connection()
    await run(connection, cycle(connection), app(start((name, length)), body(b"te", more=True), body(b"xt")))
    head, _, content = connection.sent.partition(b"\r\n\r\n")
    assert content == b"text"
    assert b"transfer-encoding" not in head
    assert (connection.answers, connection.wire.closed) == (1, False)


async def test_an_unknown_length_is_chunked() -> None:
    connection = Connection()
    await run(connection, cycle(connection), app(start(), body(b"te", more=True), body(b"xt")))
    assert connection.sent.endswith(b"transfer-encoding: chunked\r\n\r\n2\r\nte\r\n2\r\nxt\r\n0\r\n\r\n")


@pytest.mark.parametrize("content", [b"tex", b"text!"])
async def test_a_body_of_another_length_is_visibly_broken(content: bytes) -> None:
    connection = Connection()
    await run(connection, cycle(connection), app(start((b"content-length", b"4")), body(content)))
    assert connection.wire.closed
    assert connection.answers == 0


async def test_who_streams_on_after_the_client_left_hears_of_it(caplog: pytest.LogCaptureFixture) -> None:
    connection = Connection()
    made = cycle(connection)
    heard: list[type[BaseException]] = []

    async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start((b"content-length", b"9")))
        made.cut()
        assert (await receive())["type"] == "http.disconnect"
        try:
            await send(body(b"abc", more=True))
        except OSError as exc:
            heard.append(type(exc))
            raise

    with caplog.at_level(logging.INFO):
        await run(connection, made, streaming)
    assert heard == [BrokenPipeError]
    assert b"abc" not in connection.sent
    assert not caplog.records, "a client may leave"


async def test_an_answer_before_the_requests_body_was_read_says_that_it_is_the_last() -> None:
    connection = Connection()
    await run(connection, cycle(connection, has_body=True), app(start((b"content-length", b"0")), body(b"")))
    assert b"connection: close\r\n" in connection.sent
    assert connection.lingers


@pytest.mark.parametrize(("scheme", "most", "writes"), [("http", TOGETHER, 1), ("https", COPIED, 4)])
async def test_tls_gets_what_it_copies_in_parts(scheme: str, most: int, writes: int) -> None:
    connection = Connection(most)
    content = bytes(range(256)) * (3 * COPIED // 256) + b"end"
    head = start((b"content-length", b"%d" % len(content)))
    await run(connection, cycle(connection, scheme=scheme), app(head, body(content)))
    assert len(connection.wire.written) == writes
    assert connection.sent.endswith(b"\r\n\r\n" + content)


def interim(status: int, *headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.interim", "status": status, "headers": list(headers)}


async def test_h25_an_interim_answer_is_a_head_of_its_own_and_the_final_one_comes_after() -> None:
    connection = Connection()
    made = cycle(connection)
    hints = interim(103, (b"Link", b"</a>"))
    await made.run(app(interim(102), hints, start((b"content-length", b"1")), body(b"x")), set())
    assert connection.sent.startswith(
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"
    )
    assert connection.sent.endswith(b"\r\n\r\nx") and made.complete and made.keep_alive


@pytest.mark.parametrize(
    "message",
    [
        interim(100),
        interim(101),
        interim(200),
        interim(103, (b"content-length", b"1")),
        interim(103, (b"Connection", b"close")),
        interim(103, (b"a", b"b\r\nc: d")),
        interim(103, (b"a b", b"c")),
    ],
)
async def test_h25_what_is_no_interim_answer_never_goes_out(
    message: Message, caplog: pytest.LogCaptureFixture
) -> None:
    connection = Connection()
    await cycle(connection).run(app(message), set())
    assert connection.sent.startswith(b"HTTP/1.1 500 ") and connection.wire.closed


async def test_f4_an_answer_that_broke_off_closes_the_connection_and_is_no_error_here(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def breaking(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start((b"content-length", b"9")))
        await send(body(b"some", more=True))
        raise BrokenOff("the origin broke off")

    connection = Connection()
    await cycle(connection).run(breaking, set())
    assert connection.sent.endswith(b"some") and connection.wire.closed and not caplog.records
