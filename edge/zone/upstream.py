"""One request to a zone's origin and its answer, streamed both ways.

Knows connections, their times, and what an origin may do wrong on the wire, but not what fields mean.
A request is sent once. Only a GET or HEAD without a body whose kept connection turned out to be
closed, before a byte of an answer came, is sent once more on another one (RFC 9110 §9.2.2).
"""

import asyncio
import errno
import re
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

import httpcore

from edge.http.fields import Fields, lowered
from edge.zone.broken import BrokenOff as BrokenOff
from edge.zone.dialing import Dialer
from edge.zone.names import Names, Undialled
from edge.zone.wire import Interim, Pool, Unanswered
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

    def __init__(
        self,
        error: str,
        detail: str,
        *,
        late: bool = False,
        sent: bool = False,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(f"{error}: {detail}")
        self.error = error
        self.late = late  # it took too long: a 504, else a 502
        self.sent = sent  # some of the request may have reached it
        self.retry_after_s = retry_after_s  # seconds after which it is worth trying again


@dataclass(frozen=True, slots=True)
class Asked:
    """What is sent."""

    method: str
    target: bytes  # path and query as they came
    fields: Fields  # without Host the origin is asked for its own
    body: AsyncIterator[bytes] | None = None  # as it comes; None: it has none
    interim: Interim | None = None  # told of answers of 1xx, which are dropped otherwise
    anew: bool = False  # a shield is not to answer with what it has stored already
    block: int | None = None  # bytes: of a body in slices a shield is to give the first of them, as a 206


def _unheard(size: int) -> None:
    """For whoever does not ask how much came."""


class Reply:
    """An answer whose head is there. Call `close` when no more of it is wanted."""

    def __init__(self, response: httpcore.Response) -> None:
        self.status = response.status
        self.fields: Fields = lowered(response.headers)
        self.came: Callable[[int], object] = _unheard  # told of every piece's bytes
        self.of_shield = False
        self._response = response

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. BrokenOff."""
        try:
            async for piece in self._response.aiter_stream():
                self.came(len(piece))
                yield piece
        except _LOST as exc:
            raise BrokenOff(str(exc)) from exc
        except httpcore.TimeoutException as exc:
            raise BrokenOff("nothing came for too long") from exc

    async def close(self) -> None:
        """Gives the connection back; one that was not read to the end is closed."""
        await self._response.aclose()


class _Course:
    """How far one request came, as httpcore tells it. Its time is for a connection, then for the head."""

    def __init__(self, connect_s: float, first_byte_s: float | None) -> None:
        self.limit = asyncio.timeout(connect_s)
        self.dialled = False  # on a connection of its own
        self.sent = False
        self._connect_s, self._first_byte_s = connect_s, first_byte_s
        self._times: dict[str, float] = {}
        self._silence_s = 0.0

    def times(self, silence_s: float) -> dict[str, float]:
        """How long httpcore may wait for one read or write, which is less once the head is there.

        `silence_s` is for what has begun. A head has a limit of its own, which may be longer.
        """
        self._silence_s = silence_s
        self._times = {"read": max(silence_s, self._first_byte_s or 0.0), "write": silence_s}
        return self._times

    async def follow(self, name: str, info: object) -> None:
        """The `trace` of httpcore."""
        loop = asyncio.get_running_loop()
        if self.limit.expired():
            return
        if name == "connection.connect_tcp.started":
            if self.sent:  # on a kept connection that is gone
                self.limit.reschedule(loop.time() + self._connect_s)
            self.dialled, self.sent = True, False
        elif name == "http11.send_request_headers.started":
            self.sent = True
            self.limit.reschedule(None if self._first_byte_s is None else loop.time() + self._first_byte_s)
        elif name == "http11.receive_response_headers.complete":
            self._times["read"] = self._silence_s


class Upstream:
    """Connections to origins. Each origin has its own, so that one that hangs takes nobody else's."""

    def __init__(
        self,
        *,
        connect_s: float = CONNECT_S,
        first_byte_s: float = FIRST_BYTE_S,
        names: Names | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls` says whom to trust; None: as httpcore does."""
        self._connect_s, self._first_byte_s = connect_s, first_byte_s
        self._names, self._tls = names or Names(), tls
        self._pools: dict[tuple[Origin, bool], Pool] = {}

    async def close(self) -> None:
        """Closes them all."""
        for pool in self._pools.values():
            await pool.aclose()
        await self._names.close()

    async def ask(
        self,
        origin: Origin,
        asked: Asked,
        *,
        connect_s: float | None = None,
        first_byte_s: float | None = None,
        private: bool = False,
    ) -> Reply:
        """The answer's head. NoAnswer; what the request's body raises.

        `private`: the origin may be in a private network, as its zone says.
        `connect_s` is for all of a connection: name, TCP and TLS. `first_byte_s` is from then on until the
        head is there; None: as long as something can be sent or comes.
        """
        course = _Course(self._connect_s if connect_s is None else connect_s, first_byte_s)
        try:
            async with course.limit:
                response = await self._sent(self._pool(origin, private=private), origin, asked, course)
        except (TimeoutError, httpcore.TimeoutException) as exc:
            raise _too_late(exc, course) from exc
        except Undialled as exc:
            raise NoAnswer(exc.error, str(exc), late=exc.error == "dns_timeout") from exc
        except httpcore.ConnectError as exc:
            raise NoAnswer(unconnected(exc), str(exc) or "no connection") from exc
        except (httpcore.RemoteProtocolError, httpcore.LocalProtocolError) as exc:
            raise NoAnswer("http_protocol_error", str(exc), sent=course.sent) from exc
        except httpcore.NetworkError as exc:
            raise NoAnswer(
                "connection_terminated", str(exc) or "it closed the connection", sent=course.sent
            ) from exc
        if not usable(response):
            await response.aclose()
            raise NoAnswer("http_protocol_error", "a head that cannot be passed on", sent=True)
        return Reply(response)

    async def _sent(self, pool: Pool, origin: Origin, asked: Asked, course: _Course) -> httpcore.Response:
        try:
            return await pool.handle_async_request(self._request(origin, asked, course))
        except Unanswered:
            if asked.body is not None or asked.method not in ("GET", "HEAD"):
                raise
        return await pool.handle_async_request(self._request(origin, asked, course))

    def _pool(self, origin: Origin, *, private: bool) -> Pool:
        pool = self._pools.get((origin, private))
        if pool is None:
            if self._tls is None and origin.scheme == "https":
                self._tls = httpcore.default_ssl_context()  # once: it reads many certificates
            pool = self._pools[origin, private] = Pool(
                max_connections=CONNECTIONS,
                max_keepalive_connections=KEPT,
                keepalive_expiry=KEPT_S,
                ssl_context=self._tls,
                network_backend=Dialer(self._names, private=private),
            )
        return pool

    def _request(self, origin: Origin, asked: Asked, course: _Course) -> httpcore.Request:
        url = httpcore.URL(
            scheme=origin.scheme.encode(),
            host=origin.host.strip("[]").encode(),
            port=origin.port,
            target=asked.target,
        )
        fields = list(asked.fields)
        if all(name != b"host" for name, _ in fields):
            fields.insert(0, (b"host", origin.authority))
        times = course.times(self._first_byte_s)
        extensions = {"timeout": times, "trace": course.follow, "interim": asked.interim}
        return httpcore.Request(asked.method, url, headers=fields, content=asked.body, extensions=extensions)


def usable(response: httpcore.Response) -> bool:
    """Whether this head can be passed on: a final status there is, no control characters."""
    return 200 <= response.status <= 599 and sendable(response.headers)


def _too_late(exc: Exception, course: _Course) -> NoAnswer:
    if course.sent:
        return NoAnswer("http_response_timeout", "no answer in time", late=True, sent=True)
    if course.dialled:
        return NoAnswer("connection_timeout", "no connection in time", late=True)
    return NoAnswer("connection_limit_reached", "all connections are in use")


def sendable(fields: Fields) -> bool:
    """Whether no value has control characters in it."""
    return not any(_UNSENDABLE.search(value) for _, value in fields)


def unconnected(exc: httpcore.ConnectError) -> str:
    """Why there is no connection, in the words of RFC 9209 §2.3."""
    cause = exc.__cause__ or exc.__context__
    if isinstance(cause, socket.gaierror):
        return "dns_error"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "tls_certificate_error"
    if isinstance(cause, ssl.SSLError):
        return "tls_protocol_error"
    if isinstance(cause, OSError) and cause.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return "destination_ip_unroutable"
    return "connection_refused"
