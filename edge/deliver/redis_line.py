"""A lean line to a Redis-protocol server, for what is asked on every segment.

Commands go out as they come, over one connection, and answers are given out in the same order; parsing is
hiredis's. The library's own client costs eight times the exchange itself: pool, retries, observability. A
command that is late, or given up, closes the connection, so that a late answer is nobody's.
"""

import asyncio
import ssl
from collections import deque
from typing import Any, Final, cast

import hiredis
from redis.asyncio.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

Word = str | bytes | int
_PORT: Final = 6379


class RedisLine:
    """Asks the server at `url`: redis://, rediss:// or unix://. Connects when first asked, and again."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        """`timeout_s` is for one answer, connecting included."""
        self._where: dict[str, Any] = dict(parse_url(url))
        self._timeout_s = timeout_s
        self._line: _Line | None = None
        self._connecting = asyncio.Lock()

    async def ask(self, *command: Word) -> object:
        """The answer. ResponseError when the server refuses; else TimeoutError, OSError or RedisError."""
        async with asyncio.timeout(self._timeout_s):
            line = self._line
            if line is None or line.lost:
                line = await self._connect()
            return await line.ask(command)

    def close(self) -> None:
        """Ends the connection. The next command makes another."""
        if self._line is not None:
            self._line.close()
            self._line = None

    async def _connect(self) -> "_Line":
        async with self._connecting:
            if self._line is None or self._line.lost:
                self._line = await self._new_line()
            return self._line

    async def _new_line(self) -> "_Line":
        loop, where = asyncio.get_running_loop(), self._where
        if "path" in where:
            _, line = await loop.create_unix_connection(_Line, where["path"])
        else:
            tls = ssl.create_default_context() if "connection_class" in where else None
            _, line = await loop.create_connection(
                _Line, where.get("host", "localhost"), where.get("port", _PORT), ssl=tls
            )
        if "password" in where:
            await line.ask(("AUTH", *([where["username"]] if "username" in where else []), where["password"]))
        if where.get("db"):
            await line.ask(("SELECT", where["db"]))
        return line


class _Line(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self.lost = False
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[object]] = deque()

    async def ask(self, command: tuple[Word, ...]) -> object:
        if self.lost:
            raise RedisConnectionError("the connection was lost")
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._transport.write(hiredis.pack_command(command))  # type: ignore[arg-type] # any length
        try:
            found = await answer
        except asyncio.CancelledError:
            self.close()
            raise
        if isinstance(found, hiredis.ReplyError):
            raise ResponseError(str(found))
        return found

    def close(self) -> None:
        self._transport.abort()
        self.connection_lost(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (found := self._reader.gets()) is not False:
                answer = self._waiting.popleft()
                if not answer.done():
                    answer.set_result(found)
        except (hiredis.ProtocolError, IndexError):  # no Redis, or answers nobody asked for
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        while self._waiting:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(RedisConnectionError(f"the connection was lost: {exc}"))
