"""How an answer goes out: one request and its answer, between an ASGI application and a connection.

Who makes an answer waits until the client has taken what was made: one piece of a body for each slow client
in memory, not two (SECURITY F31; slices of the cache go by twos). Others have their turn after two slices,
however fast a client takes them. An answer given before the request's body was read ends the connection (RFC
9112 §9.3), which says so in its head: what is left of the body is never read as a request. A head goes out
only when every field of it is well formed, a body only in the length its head announced.
"""

import asyncio
import logging
import re
import time
from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, Protocol

from starlette.types import ASGIApp, Message
from uvicorn.protocols.http.flow_control import FlowControl

from deploy.http_outgoing import LARGE, TOGETHER, Outgoing
from deploy.http_scope import INTERIM
from edge.guard.head import FIELD_LINES
from edge.zone.broken import BrokenOff

COPIED: Final = 256 << 10  # bytes given to TLS at once: it makes a copy of what waits for the client
NO_BODY: Final = (204, 304)
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
TROUBLE: Final = b"Internal Server Error"
CHUNKED: Final = b"transfer-encoding: chunked\r\n"
CLOSE: Final = b"connection: close\r\n"

_FIELD_LINES: Final = re.compile(FIELD_LINES)
_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding", b"connection"))
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_STATUS_LINES: Final = {
    status: f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n".encode() for status in range(200, 600)
}

Fields = Iterable[tuple[bytes, bytes]]


def _phrase(status: int) -> bytes:
    return _PHRASES.get(status, "").encode()


log = logging.getLogger("uvicorn.error")


def every_answer() -> tuple[tuple[bytes, bytes], ...]:
    """The fields every answer carries: its date, of this very second (RFC 9110 §6.6.1)."""
    return _dated(int(time.time()))


@lru_cache(1)
def _dated(second: int) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"date", formatdate(second, usegmt=True).encode()),)


def field_lines(headers: Fields) -> tuple[bytes, int | None, bool]:
    """The fields of a head as they go out, the length they announce, and whether they end the connection.

    RuntimeError when a field is not well formed, or is about framing, which is not for applications to say.
    """
    parts: list[bytes] = []
    length: int | None = None
    says_close = False
    dated = False  # by an origin, whose date stays
    for name, value in headers:
        name = name.lower()
        parts += (name, b": ", value, b"\r\n")
        dated = dated or name == b"date"
        if name in _FRAMING:
            if name == b"content-length":
                length = int(value)
            elif name == b"connection":
                says_close = says_close or b"close" in value.lower()
            else:
                raise RuntimeError("how a body is framed is not for applications to say")
    if not dated:
        for name, value in every_answer():
            parts += (name, b": ", value, b"\r\n")
    fields = b"".join(parts)
    if not _FIELD_LINES.fullmatch(fields) or 4 * fields.count(b"\r\n") != len(parts):
        raise RuntimeError("a field that is not well formed")
    return fields, length, says_close


def whole_head(status: int, headers: Fields, size: int) -> bytes:
    """The head of an answer with so long a body, on a connection that stays open. RuntimeError as above."""
    fields, length, says_close = field_lines(headers)
    if length != size or says_close or status in NO_BODY:
        raise RuntimeError("not an answer whose length is known")
    return b"".join((_STATUS_LINES[status], fields, b"\r\n"))


class Connection(Protocol):
    """What an answer goes out on."""

    transport: asyncio.Transport
    flow: FlowControl
    out: Outgoing

    def answered(self) -> None:
        """An answer is out in full."""

    def linger(self) -> None:
        """Ends it slowly enough for the client to see the last answer."""


class Cycle:
    """One request and its answer."""

    def __init__(
        self,
        connection: Connection,
        scope: dict[str, Any],
        *,
        has_body: bool,
        expects_continue: bool,
        keep_alive: bool,
    ) -> None:
        """`keep_alive`: the connection may stay when this answer is out."""
        self.keep_alive = keep_alive
        self.more_body = has_body  # of the request is still to come
        self.body = bytearray()  # what came of it and was not received
        self.started = False  # the head is out
        self.complete = False
        self._connection = connection
        self._transport = connection.transport
        self._flow = connection.flow
        self._out = connection.out
        self._scope = scope
        self._continue = expects_continue
        self._cut = False
        self._early = False  # answered before the request's body was read
        self._news = not has_body  # something to receive
        self._waiting: asyncio.Event | None = None
        self._straight = 0  # bytes of large pieces since others last had a turn
        self._until_close = False  # a body whose end is that of the connection
        self._left: int | None = 0  # bytes of the body still to be sent; None: in chunks

    async def run(self, app: ASGIApp, running: set["asyncio.Task[None]"]) -> None:
        """Has the application answer, in a task of `running`, which it leaves at the end.

        What the application leaves undone becomes a 500, or the connection's end.
        """
        try:
            await app(self._scope, self.receive, self.send)
        except BrokenOff:
            await self._give_up()  # whoever broke it off is in the log
        except BaseException as exc:
            if not self._cut or not isinstance(exc, OSError):
                log.error("Exception in ASGI application\n", exc_info=exc)
            await self._give_up()
        else:
            if not self.complete and not self._cut:
                log.error("the application returned without a whole answer")
                await self._give_up()
        finally:
            running.discard(asyncio.current_task())

    def goes_on(self, left: int) -> None:
        """The head is out already, and with it all of the body but so many bytes."""
        self.started, self._left = True, left

    def came(self, content: bytes, *, more: bool) -> None:
        """More of the request's body."""
        self.body += content
        self.more_body = more
        self._tell()

    def cut(self) -> None:
        """Nobody is there any more: what the application sends is dropped, what it waits for is the end."""
        self._cut = True
        self._tell()

    async def receive(self) -> Message:
        """ASGI's receive."""
        if self._continue and not self._transport.is_closing():
            self._transport.write(CONTINUE)
            self._continue = False
        if not self._cut and not self.complete:
            self._flow.resume_reading()
            await self._until_news()
        if self._cut or self.complete:
            return {"type": "http.disconnect"}
        content, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": content, "more_body": self.more_body}

    async def send(self, message: Message) -> None:
        """ASGI's send; what is large returns when the client has taken it."""
        if self._flow.write_paused:
            await self._taken()
        if self._cut:
            if message.get("more_body"):  # ASGI 2.4: whoever streams need not go on
                raise BrokenPipeError("the client left")
            return
        kind = message["type"]
        if self.started:
            if kind != "http.response.body" or self.complete:
                raise RuntimeError(f"{kind} is not what comes after the head, or comes after the end")
            body, more = message.get("body", b""), message.get("more_body", False)
            if len(body) > COPIED and self._scope["scheme"] == "https":
                await self._send_parts(memoryview(body), more=more)
            else:
                self._send_body(body, more=more)
                if len(body) >= LARGE:
                    self._straight += len(body)
                    await self._taken()
        elif kind == "http.response.start":
            self._send_head(message["status"], message.get("headers", ()))
        elif kind == INTERIM:
            self._send_interim(message["status"], message.get("headers", ()))
        else:
            raise RuntimeError(f"{kind} is not the head of an answer")

    async def _send_parts(self, body: memoryview, *, more: bool) -> None:
        for at in range(0, len(body), COPIED):
            if not self._cut:
                self._send_body(body[at : at + COPIED], more=more or at + COPIED < len(body))
                await self._taken()

    async def _taken(self) -> None:
        """What was written is with the client, and others had a turn if that was much."""
        if self._flow.write_paused and not self._cut:
            await self._flow.drain()
        elif self._straight >= TOGETHER:
            self._straight = 0
            await asyncio.sleep(0)

    def _send_head(self, status: int, headers: Fields) -> None:
        if self.more_body:
            self.keep_alive, self._early = False, True
        self._continue = False
        fields, length, says_close = field_lines(headers)
        lines = [_STATUS_LINES[status], fields]
        self._left = length
        if self._scope["method"] == "HEAD" or status in NO_BODY:
            self._left = 0
        elif length is None and self._scope["http_version"] == "1.0":
            self.keep_alive, self._until_close = False, True  # RFC 9112 §6.1: no chunks for who speaks 1.0
        elif length is None:
            lines.append(CHUNKED)
        if says_close:
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(CLOSE)
        lines.append(b"\r\n")
        self.started = True
        self._out.add(b"".join(lines))

    def _send_interim(self, status: int, headers: Fields) -> None:
        """An answer of 1xx before the final one; who speaks 1.0 gets none (RFC 9110 §15.2)."""
        if self._scope["http_version"] == "1.0":
            return
        parts = [part for name, value in headers for part in (name.lower(), b": ", value, b"\r\n")]
        fields = b"".join(parts)
        if not 102 <= status < 200 or any(part in _FRAMING for part in parts[::4]):
            raise RuntimeError("no interim answer")
        if fields and (not _FIELD_LINES.fullmatch(fields) or 4 * fields.count(b"\r\n") != len(parts)):
            raise RuntimeError("a field that is not well formed")
        self._transport.write(b"HTTP/1.1 %d %s\r\n%s\r\n" % (status, _phrase(status), fields))

    def _send_body(self, body: bytes | memoryview, *, more: bool) -> None:
        if self._scope["method"] == "HEAD":
            pass
        elif self._until_close:
            self._out.add(body)
        elif self._left is None:
            chunk = [b"%x\r\n" % len(body), body, b"\r\n"] if body else []
            if not more:
                chunk.append(b"0\r\n\r\n")
            self._out.add(*chunk)
        else:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("a body of another length than its head announced")
            if body:
                self._out.add(body)
        if not more:
            self._out.flush()
            self._complete()

    def _complete(self) -> None:
        self.complete = True
        self._tell()
        if self.keep_alive:
            pass
        elif self._early:
            self._connection.linger()
        else:
            self._transport.close()
        self._connection.answered()

    async def _give_up(self) -> None:
        if self._cut or self.complete:
            return
        if self.started:
            self._out.flush()
            self._transport.close()  # a body is whole or visibly broken
            return
        self.keep_alive = False
        kind = (b"content-type", b"text/plain; charset=utf-8")
        length = (b"content-length", str(len(TROUBLE)).encode())
        await self.send({"type": "http.response.start", "status": 500, "headers": [kind, length]})
        await self.send({"type": "http.response.body", "body": TROUBLE})

    async def _until_news(self) -> None:
        if not self._news:
            if self._waiting is None:  # few applications ever wait here
                self._waiting = asyncio.Event()
            await self._waiting.wait()
        self._news = False
        if self._waiting is not None:
            self._waiting.clear()

    def _tell(self) -> None:
        self._news = True
        if self._waiting is not None:
            self._waiting.set()
