"""HTTP/1.1 connections to origins that are used again only when nothing is left on them (SECURITY T9).

    pool = Pool(max_connections=512, max_keepalive_connections=64, keepalive_expiry=15.0)

Bytes beyond the end of an answer would be read as the beginning of the next one, which somebody else gets: a
connection on which any came is closed, whether they came with the answer, after it, or wait in a buffer
that the kernel no longer knows of. So is one whose answer said its length in two ways. httpcore's own
connection does the rest; this is its version in requirements.lock, whose inner methods are used here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import h11
import httpcore

from edge.http.fields import Fields

MOST_INTERIM: Final = 16  # answers of 1xx before the final one
LOOKS: Final = 3  # turns of the loop in which bytes that are here are given out

Interim = Callable[[int, Fields], Awaitable[None]]  # told of each answer of 1xx
Head = tuple[bytes, int, bytes, list[tuple[bytes, bytes]], bytes]


class Unanswered(httpcore.NetworkError):
    """A kept connection turned out to be closed: nothing of an answer came."""


class Wire(httpcore.AsyncHTTP11Connection):
    """One connection."""

    _ambiguous = False  # the last answer said its length in two ways

    async def _send_request_headers(self, request: httpcore.Request) -> None:
        if self._request_count > 1 and await self._more_came():
            raise httpcore.ConnectionNotAvailable  # the pool takes another one; this is closed
        await super()._send_request_headers(request)

    async def _more_came(self) -> bool:
        """Whether there is anything to read before a request was sent. Consumes it.

        Asked when the connection is this request's already, or another one would read at the same time.
        """
        reading = asyncio.ensure_future(self._network_stream.read(1))
        try:
            for _ in range(LOOKS):
                await asyncio.sleep(0)
        finally:
            reading.cancel()
        await asyncio.wait((reading,))
        if reading.cancelled():
            return False
        reading.exception()  # an end that is an error is an end as well
        return True

    async def _receive_response_headers(self, request: httpcore.Request) -> Head:
        timeout = request.extensions.get("timeout", {}).get("read")
        tell: Interim | None = request.extensions.get("interim")
        for count in range(MOST_INTERIM + 1):
            event = await self._next_head(timeout, first=count == 0)
            if isinstance(event, h11.Response) or event.status_code == 101:
                break
            if tell is not None and event.status_code != 100:
                await tell(event.status_code, list(event.headers))
        else:
            raise httpcore.RemoteProtocolError("too many answers of 1xx")
        fields = event.headers.raw_items()
        said = {name for name, _ in event.headers}
        self._ambiguous = {b"content-length", b"transfer-encoding"} <= said
        rest = self._h11_state.trailing_data[0]
        return b"HTTP/" + event.http_version, event.status_code, event.reason, fields, rest

    async def _next_head(
        self, timeout: float | None, *, first: bool
    ) -> h11.Response | h11.InformationalResponse:
        try:
            while True:
                event = await self._receive_event(timeout=timeout)
                if isinstance(event, h11.Response | h11.InformationalResponse):
                    return event
        except (httpcore.RemoteProtocolError, httpcore.NetworkError) as exc:
            state = self._h11_state
            if self._request_count < 2 or not first or state.their_state is h11.ERROR:
                raise
            if state.trailing_data[0]:  # some of a head
                raise
            raise Unanswered(str(exc)) from exc

    async def _response_closed(self) -> None:
        if self._ambiguous or self._h11_state.trailing_data[0]:
            await self.aclose()
        else:
            await super()._response_closed()


class _Connecting(httpcore.AsyncHTTPConnection):
    """What connects when its first request comes."""

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        try:
            async with self._request_lock:
                if self._connection is None:
                    stream = await self._connect(request)
                    self._connection = Wire(self._origin, stream, self._keepalive_expiry)
        except BaseException:
            self._connect_failed = True
            raise
        return await self._connection.handle_async_request(request)


class Pool(httpcore.AsyncConnectionPool):
    """httpcore's pool of such connections."""

    def create_connection(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        """A connection that is not made yet."""
        return _Connecting(
            origin,
            ssl_context=self._ssl_context,
            keepalive_expiry=self._keepalive_expiry,
            network_backend=self._network_backend,
        )
