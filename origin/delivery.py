"""Stored objects for edges: `/v1/blobs/{asset}/{generation}/{rendition}/{object}`, whole or one byte range.

Raw ASGI: this is the origin's one busy path. Bytes go out in pieces as the store reads them, with
Content-Length; a read that fails half-way breaks the connection, so a short body never passes for a whole one
(SECURITY 1.2). Ranges are RFC 9110 §14; several at once are not offered, and the header is then ignored (H4).
"""

from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from keys.nodes import Node
from keys.problems import Problem
from origin.media.asking import Name, byte_range, parse_name
from origin.refusals import answer, note
from origin.store.blobs import BlobStore


class CutBodyError(Exception):
    """A body ended before its announced length: the server closes the connection on it."""


class Delivery:
    """The ASGI application under PREFIX. `check_node` raises Problem for who is no edge."""

    def __init__(
        self,
        blobs: BlobStore,
        check_node: Callable[[str], Awaitable[Node]],
        count: Callable[[str, float], None],
    ) -> None:
        self._blobs = blobs
        self._check_node = check_node
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        try:
            await self._serve(scope, send)
        except Problem as problem:
            request = Request(scope)
            note(request, problem)
            response = answer(problem)
            response.headers.update(_allow(problem))
            await response(scope, receive, send)

    async def _serve(self, scope: Scope, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            raise Problem("method_not_allowed")
        headers = Headers(scope=scope)
        await self._check_node(headers.get("authorization", ""))
        name = parse_name(scope["path"])
        self._count("blob_requests", 1)
        size = await self._blobs.size(*name)
        span = byte_range(headers.get("range"), size) if scope["method"] == "GET" else None
        if span is not None and span[0] >= span[1]:
            await _send_head(send, 416, [(b"content-range", b"bytes */%d" % size)], 0)
            await send({"type": "http.response.body", "body": b""})
            return
        start, end = span or (0, size)
        extra = [] if span is None else [(b"content-range", b"bytes %d-%d/%d" % (start, end - 1, size))]
        if scope["method"] == "HEAD":
            await _send_head(send, 200, extra, size)
        else:
            await self._send_bytes(send, name, start, end, 200 if span is None else 206, extra)
        await send({"type": "http.response.body", "body": b""})

    async def _send_bytes(
        self, send: Send, name: Name, start: int, end: int, status: int, extra: list[tuple[bytes, bytes]]
    ) -> None:
        pieces = self._blobs.read(*name, start, end)
        first = await anext(pieces, b"")  # before the head: what is gone by now can still be said
        await _send_head(send, status, extra, end - start)
        await send({"type": "http.response.body", "body": first, "more_body": True})
        self._count("blob_bytes", len(first))
        try:
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                self._count("blob_bytes", len(piece))
        except Problem as problem:
            raise CutBodyError(f"{'/'.join(map(str, name))} cannot be read to its end") from problem


async def _send_head(send: Send, status: int, extra: list[tuple[bytes, bytes]], length: int) -> None:
    headers = [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", b"%d" % length),
        (b"accept-ranges", b"bytes"),
        (b"x-content-type-options", b"nosniff"),
        *extra,
    ]
    if status == 416:
        headers.append((b"cache-control", b"no-store"))
    await send({"type": "http.response.start", "status": status, "headers": headers})


def _allow(problem: Problem) -> dict[str, str]:
    return {"allow": "GET, HEAD"} if problem.code == "method_not_allowed" else {}
