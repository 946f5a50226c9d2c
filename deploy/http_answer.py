"""How an answer goes out: uvicorn's cycle of one request, with three habits of ours.

Who makes an answer waits until the client has taken what was made: one piece of a body for each slow client
in memory, not two (SECURITY F31). And an answer given before the request's body was read ends the
connection (RFC 9112 §9.3), which says so in its head: what is left of the body is never read as a request.
And its Date is that of the moment its head is made, not a tick of uvicorn's old: no Last-Modified may be
later (RFC 9110 §8.8.2.1).
"""

import asyncio
import time
from collections.abc import Coroutine
from email.utils import formatdate
from functools import lru_cache
from typing import Any, Final, Protocol

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

LARGE: Final = 16 << 10  # bytes of one message


class Lingers(Protocol):
    """What ends a connection slowly enough for the client to see the last answer."""

    def linger(self) -> None: ...


class Cycle(RequestResponseCycle):
    """One request and its answer."""

    connection: Lingers

    def send(self, message: ASGISendEvent) -> Coroutine[Any, Any, None]:
        """ASGI's send; what is large returns when the client has taken it."""
        if not self.response_started:
            others = [field for field in self.default_headers if field[0] != b"date"]
            self.default_headers = [_date(int(time.time())), *others]
            if self.more_body:
                self.keep_alive = False
                self.transport = _LingeringTransport(self.transport, self.connection)  # type: ignore[assignment]
        # Small answers, which never fill the buffer, are spared one more coroutine.
        large = message["type"] == "http.response.body" and len(message.get("body", b"")) >= LARGE
        return self._send_large(message) if large else super().send(message)

    async def _send_large(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()

    def cut(self) -> None:
        """Nobody is there any more: what the application sends is dropped, what it waits for is the end."""
        self.disconnected = True
        self.message_event.set()


@lru_cache(maxsize=1)
def _date(second: int) -> tuple[bytes, bytes]:
    return b"date", formatdate(second, usegmt=True).encode()


class _LingeringTransport:
    """A transport that is closed by lingering."""

    def __init__(self, transport: asyncio.Transport, connection: Lingers) -> None:
        self._transport = transport
        self._connection = connection
        self.write = transport.write
        self.is_closing = transport.is_closing

    def close(self) -> None:
        self._connection.linger()
