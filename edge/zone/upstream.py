"""One request to a zone's origin and its answer, streamed both ways.

Knows connections, their times, and what an origin may do wrong on the wire, but not what fields mean.
A request is sent once. Only a GET or HEAD without a body whose kept connection turned out to be
closed, before a byte of an answer came, is sent once more on another one (RFC 9110 §9.2.2).
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Final

import httpcore

from edge.http.fields import Fields, lowered
from edge.zone.zone import Origin

CONNECT_S: Final = 2.0
FIRST_BYTE_S: Final = 60.0  # also between two pieces of a body
CONNECTIONS: Final = 512
KEPT: Final = 64  # idle connections
KEPT_S: Final = 15.0

_UNSENDABLE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LOST: Final = (httpcore.NetworkError, httpcore.RemoteProtocolError)


class NoAnswer(Exception):
    """The origin gave no answer that can be used. `error` is its type in RFC 9209."""

    def __init__(self, error: str, detail: str, *, late: bool = False) -> None:
        super().__init__(f"{error}: {detail}")
        self.error = error
        self.late = late  # it took too long: a 504, else a 502


class BrokenOff(Exception):
    """An answer's body ended before it was whole."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is sent."""

    method: str
    target: bytes  # path and query as they came
    fields: Fields  # with Host
    body: AsyncIterator[bytes] | None = None  # as it comes; None: it has none


class Reply:
    """An answer whose head is there. Call `close` when no more of it is wanted."""

    def __init__(self, response: httpcore.Response) -> None:
        self.status = response.status
        self.fields: Fields = lowered(response.headers)
        self._response = response

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. BrokenOff."""
        try:
            async for piece in self._response.aiter_stream():
                yield piece
        except _LOST as exc:
            raise BrokenOff(str(exc)) from exc
        except httpcore.TimeoutException as exc:
            raise BrokenOff("nothing came for too long") from exc

    async def close(self) -> None:
        """Gives the connection back; one that was not read to the end is closed."""
        await self._response.aclose()


class Upstream:
    """Connections to origins."""

    def __init__(self, *, connect_s: float = CONNECT_S, first_byte_s: float = FIRST_BYTE_S) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=CONNECTIONS, max_keepalive_connections=KEPT, keepalive_expiry=KEPT_S
        )
        self._times = {
            "timeout": {
                "connect": connect_s,
                "pool": connect_s,
                "read": first_byte_s,
                "write": first_byte_s,
            }
        }

    async def close(self) -> None:
        """Closes them all."""
        await self._pool.aclose()

    async def ask(self, origin: Origin, asked: Asked) -> Reply:
        """The answer's head. NoAnswer; what the request's body raises."""
        try:
            response = await self._sent(origin, asked)
        except httpcore.ConnectTimeout as exc:
            raise NoAnswer("connection_timeout", "no connection in time", late=True) from exc
        except httpcore.PoolTimeout as exc:
            raise NoAnswer("connection_limit_reached", "all connections are in use") from exc
        except httpcore.TimeoutException as exc:
            raise NoAnswer("http_response_timeout", "no answer in time", late=True) from exc
        except httpcore.ConnectError as exc:
            raise NoAnswer("connection_refused", str(exc) or "no connection") from exc
        except (httpcore.RemoteProtocolError, httpcore.LocalProtocolError) as exc:
            raise NoAnswer("http_protocol_error", str(exc)) from exc
        except httpcore.NetworkError as exc:
            raise NoAnswer("connection_terminated", str(exc) or "it closed the connection") from exc
        if not usable(response):
            await response.aclose()
            raise NoAnswer("http_protocol_error", "a head that cannot be passed on")
        return Reply(response)

    async def _sent(self, origin: Origin, asked: Asked) -> httpcore.Response:
        again = asked.body is None and asked.method in ("GET", "HEAD")
        try:
            return await self._pool.handle_async_request(self._request(origin, asked))
        except _LOST as exc:
            if not again or isinstance(exc, httpcore.ConnectError) or not _silent(exc):
                raise
        return await self._pool.handle_async_request(self._request(origin, asked))

    def _request(self, origin: Origin, asked: Asked) -> httpcore.Request:
        url = httpcore.URL(
            scheme=origin.scheme.encode(),
            host=origin.host.strip("[]").encode(),
            port=origin.port,
            target=asked.target,
        )
        return httpcore.Request(
            asked.method, url, headers=list(asked.fields), content=asked.body, extensions=self._times
        )


def usable(response: httpcore.Response) -> bool:
    """Whether this head can be passed on: a final status there is, no control characters."""
    return 200 <= response.status <= 599 and not any(
        _UNSENDABLE.search(value) for _, value in response.headers
    )


def _silent(exc: Exception) -> bool:
    """Whether the connection ended before any of an answer came, as kept ones do."""
    return not isinstance(exc, httpcore.RemoteProtocolError) or "without sending a response" in str(exc)
