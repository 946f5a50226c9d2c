"""Stored objects for edges, from a shield: the questions and answers of an origin (`origin.delivery`).

    GET /v1/blobs/{asset}/{generation}/{rendition}/{object}      whole, or one byte range

Every request shows a node's bearer, cached or not. Slices come from the shield's library as they are sealed,
each checked against the packager's signed list before a byte of it goes out. Who asks in a circle gets 508
(SECURITY T22). An error that is the fault of whoever the shield asks says so (`Proxy-Status`, RFC 9209), so
that edges go on asking this shield for what it has.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from starlette.types import Receive, Scope, Send

from edge.cache.counters import Count, ignore
from edge.cache.hops import CDN_LOOP, came_by
from edge.deliver.answer import fields_of, refusal, send_answer
from edge.http.status import CacheStatus, loops, with_proxy_status
from keys.nodes import Node
from keys.problems import Problem
from origin.media.asking import Name, byte_range, parse_name
from origin.media.asset import DESCRIPTOR_OBJECT, DESCRIPTOR_RENDITION, LIST_OBJECT, Descriptor
from origin.media.digests import ObjectDigest
from origin.media.seal import SLICE, TAG, sealed_length

STORED_SLICE: Final = SLICE + TAG  # bytes from one sealed slice of an object to the next
MOST_LOOP_BYTES: Final = 1024
HEAD_WAITS_S: Final = 0.5  # for the first slice; then edges at least hear that somebody is here
Pairs = list[tuple[bytes, bytes]]

log = logging.getLogger("sluice.shield")


class Opened(Protocol):
    """One object, open for reading (`edge.cache.library`)."""

    length: int
    source: str

    async def slice(self, index: int) -> memoryview:
        """Slice `index`, sealed."""

    def close(self) -> None:
        """No more slices are wanted."""


class Library(Protocol):
    """What is asked of the cache (`edge.cache.library`, with sealed levels)."""

    async def descriptor(self, asset: str, generation: int) -> Descriptor:
        """What the packager said of a generation."""

    async def listed(self, asset: str, generation: int, rendition: str, name: str) -> ObjectDigest:
        """What the signed list says of an object."""

    async def text(self, asset: str, generation: int, rendition: str, name: str) -> memoryview:
        """A signed document as it is published."""

    async def open(
        self,
        tenant: str,
        asset: str,
        generation: int,
        rendition: str,
        name: str,
        storage_key: bytes,
        *,
        wanted: range | None = None,
    ) -> Opened:
        """A stored object."""


class CutBodyError(Exception):
    """A body ended before its announced length: the server closes the connection on it."""


class Blobs:
    """The ASGI application. `check_node` raises Problem for who may not ask; `key` is for the node's L1."""

    def __init__(
        self,
        library: Library,
        check_node: Callable[[str], Awaitable[Node]],
        *,
        name: str,
        key: bytes,
        count: Count = ignore,
    ) -> None:
        self._library, self._check_node, self._count = library, check_node, count
        self._name, self._key = name, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        farther = False
        try:
            if scope["method"] not in ("GET", "HEAD"):
                raise Problem("method_not_allowed")
            fields = fields_of(scope["headers"])
            await self._check_node(fields.get(b"authorization", b"").decode("latin-1"))
            if loops(scope["headers"], self._name):
                self._count("loops", 1)
                raise Problem("loop", "This request has been here before: a shield's origin leads back.")
            came_by(_caches(fields.get(CDN_LOOP.encode(), b"")))
            name = parse_name(scope["path"])
            self._count("requests", 1)
            farther = True
            ranged = fields.get(b"range", b"").decode("latin-1") if scope["method"] == "GET" else None
            await self._serve(_Answering(send, self._name, ranged, head=scope["method"] == "HEAD"), name)
        except Problem as problem:
            await self._refuse(send, problem, farther=farther, head=scope["method"] == "HEAD")

    async def _serve(self, answering: "_Answering", name: Name) -> None:
        asset, generation, rendition, stored = name
        if stored == LIST_OBJECT or (rendition, stored) == (DESCRIPTOR_RENDITION, DESCRIPTOR_OBJECT):
            text = await self._library.text(*name)
            start, stop = answering.span(len(text))
            await answering.begin(None)
            await self._send(answering, text[start:stop])
        else:
            size = sealed_length((await self._library.listed(*name)).length)
            start, stop = answering.span(size)
            if answering.head or start >= stop:
                await answering.begin(None)
            else:
                tenant = (await self._library.descriptor(asset, generation)).tenant
                run = range(start // STORED_SLICE, -(-stop // STORED_SLICE))
                opened = await self._library.open(
                    tenant, asset, generation, rendition, stored, self._key, wanted=run
                )
                try:
                    await self._slices(answering, opened, run, start, stop)
                finally:
                    opened.close()
        await answering.end()

    async def _slices(
        self, answering: "_Answering", opened: Opened, run: range, start: int, stop: int
    ) -> None:
        """Stored bytes [start, stop), slice by slice. A Problem before the head; CutBodyError after it."""
        coming = asyncio.ensure_future(opened.slice(run.start))
        try:
            await asyncio.wait({coming}, timeout=HEAD_WAITS_S)
            if coming.done():
                coming.result()
            await answering.begin(opened.source)
            for index in run:
                sealed = await (coming if index == run.start else opened.slice(index))
                begins = index * STORED_SLICE
                await self._send(answering, sealed[max(0, start - begins) : stop - begins])
        except Problem as problem:
            if not answering.begun:
                raise
            log.warning("%s: cut off: %s", problem.id, problem)
            raise CutBodyError(str(problem)) from problem
        finally:
            if not coming.done():
                coming.cancel()
                await asyncio.wait({coming})

    async def _send(self, answering: "_Answering", piece: memoryview) -> None:
        if await answering.piece(piece):
            self._count("bytes", len(piece))

    async def _refuse(self, send: Send, problem: Problem, *, farther: bool, head: bool) -> None:
        extra: Pairs = [(b"x-content-type-options", b"nosniff")]
        if problem.code == "method_not_allowed":
            extra.append((b"allow", b"GET, HEAD"))
        if farther and problem.code in ("unavailable", "bad_upstream"):
            extra = with_proxy_status(extra, self._name, "destination_unavailable")
        if not farther:
            self._count("refused", 1)
        log.info("%s refused: %s", problem.id, problem)
        await send_answer(send, refusal(problem), extra, head=head)


def _caches(field: bytes) -> str:
    """Whom a request came by, as it may be told on: others may wait for what is asked with it."""
    if len(field) > MOST_LOOP_BYTES or not field.isascii():
        raise Problem("bad_request", detail="CDN-Loop too long, or no ASCII")
    return field.decode("ascii")


class _Answering:
    """One answer on its way out."""

    def __init__(self, send: Send, name: str, ranged: str | None, *, head: bool) -> None:
        self._send, self._name, self._ranged = send, name, ranged
        self.head, self.begun = head, False
        self._size, self._span = 0, (0, 0)
        self._partial = False

    def span(self, size: int) -> tuple[int, int]:
        """Which bytes of so many are asked for: first byte and end. Nothing of them: it will be a 416."""
        found = byte_range(self._ranged, size)
        self._partial = found is not None
        self._size, self._span = size, found or (0, size)
        return self._span

    async def begin(self, source: str | None) -> None:
        """Sends the head. `source`: which level of the cache has the bytes."""
        start, stop = self._span
        status, length = (206 if self._partial else 200), max(0, stop - start)
        headers: Pairs = [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", b"%d" % length),
            (b"accept-ranges", b"bytes"),
            (b"x-content-type-options", b"nosniff"),
        ]
        if self._partial and length:
            headers.append((b"content-range", b"bytes %d-%d/%d" % (start, stop - 1, self._size)))
        elif self._partial:
            status = 416
            headers += [(b"content-range", b"bytes */%d" % self._size), (b"cache-control", b"no-store")]
        if source is not None:
            missed = source == "origin"
            how = CacheStatus(
                hit=not missed,
                fwd="miss" if missed else None,
                stored=missed,
                detail=None if missed else source,
            )
            headers.append((b"cache-status", how.write(self._name)))
        self.begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def piece(self, piece: memoryview) -> bool:
        """Sends a part of the body; whether there was anything to send."""
        if self.head or not piece:
            return False
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        return True

    async def end(self) -> None:
        """Nothing more comes."""
        await self._send({"type": "http.response.body", "body": b""})
