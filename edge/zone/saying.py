"""How a zone's answers go out over raw ASGI: what is held, what is passed on, and refusals of our own."""

from contextlib import aclosing
from itertools import zip_longest

from starlette.types import Send

from edge.http.answer import Answer
from edge.http.fields import Fields
from edge.http.status import CacheStatus, with_cache_status, with_proxy_status, with_via
from edge.zone.store import Held
from edge.zone.upstream import Reply
from keys.problems import Problem

_LAST_HOP = {"OPTIONS": 204, "TRACE": 405}


class Saying:
    """Answers as the cache of this name."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def held(self, send: Send, made: Answer, held: Held, how: CacheStatus) -> None:
        """An answer made of what is held; bytes that are still coming go out as they come."""
        readings = [held.body.read(*span) for span in _spans(made)]
        frame = made.frame
        try:
            await self._head(send, made.status, made.fields, how)
            for before, reading in zip_longest(frame.heads if frame else (), readings):
                if before:
                    await _more(send, before)
                async with aclosing(reading.pieces()) as pieces:
                    async for piece in pieces:
                        await _more(send, piece)
            await _end(send, frame.end if frame else b"")
        finally:
            for reading in readings:
                reading.close()

    async def reply(self, send: Send, reply: Reply, fields: Fields, how: CacheStatus) -> None:
        """An origin's answer as it comes. BrokenOff when it ends too early: then ours does so visibly."""
        try:
            await self._head(send, reply.status, fields, how)
            async with aclosing(reply.pieces()) as pieces:
                async for piece in pieces:
                    await _more(send, piece)
            await _end(send)
        finally:
            await reply.close()

    async def problem(
        self,
        send: Send,
        problem: Problem,
        *,
        error: str = "",
        how: CacheStatus | None = None,
        head: bool = False,
    ) -> None:
        """A refusal. `error` is that of RFC 9209, where it is about the origin."""
        body = problem.body()
        fields: Fields = [(name.encode(), value.encode()) for name, value in problem.headers()]
        if error:
            fields = with_proxy_status(fields, self._name, error)
        fields = [*fields, (b"content-length", b"%d" % len(body))]
        await self._head(send, problem.status, fields, how)
        await _end(send, b"" if head else body)

    async def last_hop(self, send: Send, method: str) -> None:
        """OPTIONS or TRACE that is not to go further (RFC 9110 §7.6.2)."""
        await self._head(send, _LAST_HOP[method], [(b"allow", b"GET, HEAD, OPTIONS")], None)
        await _end(send)

    async def _head(self, send: Send, status: int, fields: Fields, how: CacheStatus | None) -> None:
        fields = with_via(fields, self._name)
        if how is not None:
            fields = with_cache_status(fields, self._name, how)
        await send({"type": "http.response.start", "status": status, "headers": fields})


def _spans(made: Answer) -> tuple[tuple[int, int | None], ...]:
    return ((0, None),) if made.spans is None else made.spans


async def _more(send: Send, piece: bytes) -> None:
    await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _end(send: Send, last: bytes = b"") -> None:
    await send({"type": "http.response.body", "body": last})
