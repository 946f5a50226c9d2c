"""How a zone's answers go out over raw ASGI: what is held, what is passed on, and refusals of our own."""

import contextlib
from contextlib import aclosing
from itertools import zip_longest

from starlette.types import Message, Send

from edge.http.answer import Answer
from edge.http.fields import Fields, end_to_end, without
from edge.http.status import CacheStatus, with_cache_status, with_proxy_status, with_via
from edge.zone.at_once import HIT, Hit, Read
from edge.zone.forwarding import INTERIM
from edge.zone.store import Held
from edge.zone.upstream import Reply, sendable
from keys.problems import Problem

_OF_BODIES = frozenset({b"content-length"})
_LAST_HOP = {"OPTIONS": 204, "TRACE": 405}


class Saying:
    """Answers as the cache of this name."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def held(
        self, send: Send, made: Answer, read: Read, how: CacheStatus, held: Held, *, only_stored: bool = False
    ) -> bool:
        """An answer made of what is held; bytes that are still coming go out as they come.

        False, and nothing is sent, when `only_stored` and some of it would have to be asked for. What makes
        its first byte impossible is raised before anything is sent; BrokenOff afterwards.
        """
        frame = made.frame
        with contextlib.ExitStack() as opened:
            readings = [read(*span) for span in _spans(made)]
            for reading in readings:
                opened.callback(reading.close)
            if only_stored and not all(reading.complete for reading in readings):
                return False
            if readings:
                if how.hit and not readings[0].begun:
                    how = CacheStatus(fwd="partial", ttl=how.ttl, detail=how.detail)
                await readings[0].ready()
            hit = Hit.long(held, read) if how.hit and made.spans is None else None
            await self._head(send, made.status, made.fields, how, hit)
            for before, reading in zip_longest(frame.heads if frame else (), readings):
                if before:
                    await _more(send, before)
                async with aclosing(reading.pieces()) as pieces:
                    async for piece in pieces:
                        await _more(send, piece)
            await _end(send, frame.end if frame else b"")
        return True

    async def whole(
        self, send: Send, made: Answer, body: tuple[bytes, ...], held: Held, how: CacheStatus
    ) -> None:
        """The same of a hit whose bytes are all there: one that is fresh may be given again as it is."""
        await self._head(send, made.status, made.fields, how, Hit(held))
        for piece in body[:-1]:
            await _more(send, piece)
        await _end(send, body[-1] if body else b"")

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

    async def interim(self, send: Send, hidden: frozenset[bytes], status: int, fields: Fields) -> None:
        """An answer of 1xx, as the origin gave it (RFC 9110 §15.2); a malformed one is dropped."""
        fields = without(end_to_end(fields), hidden | _OF_BODIES)
        if sendable(fields):
            await send({"type": INTERIM, "status": status, "headers": fields})

    async def _head(
        self, send: Send, status: int, fields: Fields, how: CacheStatus | None, hit: Hit | None = None
    ) -> None:
        fields = with_via(fields, self._name)
        if how is not None:
            fields = with_cache_status(fields, self._name, how)
        start: Message = {"type": "http.response.start", "status": status, "headers": fields}
        if hit is not None and how is not None and _same_for_all(hit, status, how):
            start[HIT] = hit
        await send(start)


def _same_for_all(hit: Hit, status: int, how: CacheStatus) -> bool:
    return status == 200 and not hit.held.entry.variant and how.detail is None


def _spans(made: Answer) -> tuple[tuple[int, int | None], ...]:
    return ((0, None),) if made.spans is None else made.spans


async def _more(send: Send, piece: bytes | memoryview) -> None:
    await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _end(send: Send, last: bytes = b"") -> None:
    await send({"type": "http.response.body", "body": last})
