"""A streamed body on its way: how much of it is out, and whether anybody still takes it.

Content-Length is always set, so a body that breaks off is seen to be broken: when a slice fails after the
response began, BodyBroken makes the server close the connection; nothing short ever ends as if whole.
"""

from types import TracebackType
from typing import Self

from starlette.types import Message, Send

from edge.deliver.counters import Count
from edge.deliver.hold import Client, Gone


class BodyBroken(Exception):
    """A body that had begun cannot be finished: the connection must be closed, visibly short."""


class Body:
    """One body of `length` bytes; what fails while it is entered breaks it."""

    def __init__(self, send: Send, client: Client, length: int, count: Count) -> None:
        self.begun = False
        self.sent = 0
        self.waited = False  # for what it is made of
        self._count = count
        self._length = length
        self._send = send
        self._client = client

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What failed before the body began is raised as it is, afterwards as BodyBroken."""
        if self.begun and isinstance(error, Exception) and not isinstance(error, Gone):
            self._count("failed", 1)
            raise BodyBroken(f"after {self.sent} bytes: {error}") from error

    def may_wait(self) -> None:
        """What it is made of is not here yet: from now on it is noticed when the client leaves."""
        self.waited = True
        self._client.watch()

    async def begin(self, start: Message) -> None:
        """Sends the head. Gone when the client left."""
        self._client.check()
        self.begun = True
        try:
            await self._send(start)
        except OSError as exc:
            raise Gone from exc

    async def put(self, piece: memoryview | bytes) -> None:
        """Sends a piece. Gone when the client left. This yields only when the socket is full."""
        after = self.sent + len(piece)
        more = after < self._length
        try:
            await self._send({"type": "http.response.body", "body": piece, "more_body": more})
        except OSError as exc:  # ASGI 2.4: the server says that the client left
            raise Gone from exc
        self.sent = after
        if more:
            self._client.check(len(piece))
