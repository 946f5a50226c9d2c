"""How the connections of a worker end when it is told to: none is closed that a request may be on its way on.

uvicorn closes at once every connection that answers nothing just then; a request that its client is just
sending there is lost (RFC 9112 §9.5 leaves it to the client to notice). Here, once the server drains,

    a request that comes still is answered, and told `Connection: close`;
    an answer under way whose head is out goes on, and its connection may take one request more;
    a connection without a request is closed after LINGER_S, and not while bytes wait to be read on it.
"""

import asyncio
import fcntl
import sys
import termios
from typing import Any, Final

from uvicorn.server import ServerState

from deploy.http_limits import LimitedProtocol

LINGER_S: Final = 1.0  # longer than a busy client's pause between two requests
LOOK_AGAIN_S: Final = 0.05


class DrainingState(ServerState):
    """What all connections of a server share: whether it drains."""

    def __init__(self) -> None:
        super().__init__()
        self.draining = False


class DrainingProtocol(LimitedProtocol):
    """One connection, which ends as the module says."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._leaving: asyncio.TimerHandle | None = None

    @property
    def _draining(self) -> bool:
        return bool(getattr(self.server_state, "draining", False))

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection accepted just before the server stopped accepting."""
        super().connection_made(transport)
        if self._draining:
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing left to close."""
        if self._leaving is not None:
            self._leaving.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server drains: this connection is to end as soon as nothing is lost by it."""
        if not self._answering():
            self._linger()
        elif not self.cycle.response_started:
            self.cycle.keep_alive = False  # has uvicorn say `Connection: close`

    def on_headers_complete(self) -> None:
        """A request while the server drains is the last one here."""
        super().on_headers_complete()
        if self._draining:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        """An answer that began before the server drained promised that its connection stays."""
        super().on_response_complete()
        if self._draining and not self._answering():
            self._linger()

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _in_head(self) -> bool:
        """Whether a request has begun whose head is not whole."""
        return self.scope is not None and (self.cycle is None or self.cycle.scope is not self.scope)

    def _linger(self, pause_s: float = LINGER_S) -> None:
        if self._leaving is None and not self.transport.is_closing():
            self._leaving = self.loop.call_later(pause_s, self._leave)

    def _leave(self) -> None:
        self._leaving = None
        if self.transport.is_closing() or self._answering():
            return
        if self._in_head() or _unread(self.transport):
            self._linger(LOOK_AGAIN_S)
        else:
            self.transport.close()


def _unread(transport: asyncio.Transport) -> bool:
    """Whether bytes wait in the socket: closing it then would reset the connection."""
    number = transport.get_extra_info("socket").fileno()
    return int.from_bytes(fcntl.ioctl(number, termios.FIONREAD, bytes(4)), sys.byteorder) > 0
