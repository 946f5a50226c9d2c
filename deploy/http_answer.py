"""How an answer goes out: uvicorn's cycle of one request, with two habits of ours.

Who makes an answer waits until the client has taken what was made: one piece of a body for each slow client
in memory, not two (SECURITY F31). And an answer given before the request's body was read ends the
connection (RFC 9112 §9.3), which says so in its head: what is left of the body is never read as a request.
"""

import asyncio
from typing import Protocol

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Lingers(Protocol):
    """What ends a connection slowly enough for the client to see the last answer."""

    def linger(self) -> None: ...


class Cycle(RequestResponseCycle):
    """One request and its answer."""

    connection: Lingers

    async def send(self, message: ASGISendEvent) -> None:
        """ASGI's send; returns when the client has taken most of what was sent."""
        if not self.response_started and self.more_body:
            self.keep_alive = False
            self.transport = _LingeringTransport(self.transport, self.connection)  # type: ignore[assignment]
        await super().send(message)
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()

    def cut(self) -> None:
        """Nobody is there any more: what the application sends is dropped, what it waits for is the end."""
        self.disconnected = True
        self.message_event.set()


class _LingeringTransport:
    """A transport that is closed by lingering."""

    def __init__(self, transport: asyncio.Transport, connection: Lingers) -> None:
        self._transport = transport
        self._connection = connection
        self.write = transport.write
        self.is_closing = transport.is_closing

    def close(self) -> None:
        self._connection.linger()
