"""What the HTTP server refuses before anybody routes: limits that uvicorn's protocol lacks (SECURITY T9,
T11).

Head of a request: 32 KiB, 100 headers, 10 s to arrive in full. Exactly one Host of a plain form, no transfer
coding but chunked, and not beside a length. What is refused gets a bare 400 and the connection is closed.
"""

import asyncio
import re
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES: Final = 32 << 10
HEADERS: Final = 100
HEAD_S: Final = 10.0  # from the first byte of a request, or from connecting, to the end of its head

_HOST: Final = re.compile(rb"[A-Za-z0-9._-]+(?::\d{1,5})?|\[[0-9A-Fa-f:.]+\](?::\d{1,5})?")


class BadHead(Exception):
    """A request head that is not taken. Raised inside the parser, which turns it into a refusal."""


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with these limits."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A head must arrive in time also on a connection that has not sent any byte."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more to wait for."""
        self._head_is_there()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._head_bytes = 0
        if self._deadline is None:
            self._expect_head()

    def on_url(self, url: bytes) -> None:
        """A part of the request target."""
        self._grow(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        self._grow(len(name) + len(value) + 4)
        super().on_header(name, value)
        if len(self.headers) > HEADERS:
            raise BadHead("too many headers")

    def on_headers_complete(self) -> None:
        """The head is whole."""
        check_head(self.parser.get_http_version(), self.headers)
        self._head_is_there()
        super().on_headers_complete()

    def _grow(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES:
            raise BadHead("head too large")

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_S, self._too_late)

    def _head_is_there(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        self.transport.close()


def check_head(version: str, headers: list[tuple[bytes, bytes]]) -> None:
    """Returns for a head with one reading only. BadHead otherwise. Names are lower-case."""
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version != "1.0"):  # RFC 9112 §3.2
        raise BadHead("not exactly one Host")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise BadHead("odd Host")
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if len(lengths) > 1 or (lengths and not lengths[0].isdigit()):
        raise BadHead("odd Content-Length")
    if codings and (lengths or version == "1.0" or len(codings) > 1 or codings[0].lower() != b"chunked"):
        raise BadHead("odd Transfer-Encoding")  # RFC 9112 §6.1, §6.3
