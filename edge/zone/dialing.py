"""Connections to origins: to checked addresses only, several of one name tried a moment apart (RFC 8305)."""

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any, Final

import httpcore

from edge.zone.names import Names

APART_S: Final = 0.25  # RFC 8305 §5: before the next address is tried beside
MOST: Final = 8  # addresses of one name that are tried


class Dialer(httpcore.AsyncNetworkBackend):
    """Connects where `names` says that a host is. `private`: the operator allowed private networks for it."""

    def __init__(self, names: Names, *, private: bool) -> None:
        self._names, self._private = names, private
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection. httpcore.ConnectError, of which Undialled is one; httpcore.ConnectTimeout."""
        addresses = await self._names.addresses(host, private=self._private)
        if len(addresses) == 1:
            return await self._connect(addresses[0], port, timeout)
        return await self._first(list(addresses[:MOST]), port, timeout)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """No origin is one."""
        raise httpcore.ConnectError("no origin is a file")

    async def sleep(self, seconds: float) -> None:
        """For httpcore."""
        await asyncio.sleep(seconds)

    async def _connect(self, address: str, port: int, timeout: float | None) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._network.connect_tcp(address, port, timeout))

    async def _first(
        self, addresses: list[str], port: int, timeout: float | None
    ) -> httpcore.AsyncNetworkStream:
        """The first connection there is; when there is none, why not."""
        trying: set[asyncio.Task[httpcore.AsyncNetworkStream]] = set()
        won: asyncio.Task[httpcore.AsyncNetworkStream] | None = None
        failed: BaseException | None = None
        try:
            while won is None and (addresses or trying):
                if addresses:
                    trying.add(asyncio.create_task(self._connect(addresses.pop(0), port, timeout)))
                apart = APART_S if addresses else None
                done, _ = await asyncio.wait(trying, timeout=apart, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    if each.exception() is None:
                        won = won or each
                    else:
                        failed = failed or each.exception()
                        trying.discard(each)
        finally:
            rest = trying - {won}
            for each in rest:
                each.cancel()
            try:
                for late in await asyncio.gather(*rest, return_exceptions=True):
                    if isinstance(late, httpcore.AsyncNetworkStream):
                        await late.aclose()
            except asyncio.CancelledError:
                if won is not None:
                    await won.result().aclose()
                raise
        if won is None:
            assert failed is not None
            raise failed
        return won.result()


class _Stream(httpcore.AsyncNetworkStream):
    """A connection that can be asked about also when it was reset a moment ago: its socket is gone then."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See httpcore."""
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See httpcore."""
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """See httpcore."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """See httpcore."""
        return _Stream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """See httpcore. Of one that is gone: it can be read, to its end, and there is no more to say."""
        try:
            return self._stream.get_extra_info(info)
        except (AttributeError, OSError):
            return info == "is_readable" or None
