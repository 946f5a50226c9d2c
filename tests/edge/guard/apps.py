"""Small applications behind the guard, over a real socket."""

import asyncio
import contextlib
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from deploy.http_guard import Guard
from deploy.serve import config
from edge.guard.limits import Limits
from tests.edge.parts import listening_socket
from tests.support.lifespan import lived

PIECE: Final = 256 << 10
QUICK: Final = Limits(
    head_s=0.3, body_s=0.3, body_credit_s=0.6, stall_s=0.6, idle_s=0.3, linger_s=0.3, drain_s=0.1,
    look_every_s=0.05,
)  # fmt: skip


@dataclass
class Recorder:
    """An application that tells what it was asked, in the order in which it was asked.

    /take reads the body and answers its length and digest; /refuse answers 403 without reading; /endless
    sends pieces without end; /wait answers when `go` is set, /begun has begun before; all else is its path.
    """

    asked: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)  # how bodies ended: whole or left
    headers: list[list[tuple[bytes, bytes]]] = field(default_factory=list)
    pieces: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lived(receive, send)
            return
        path = scope["path"]
        self.asked.append(f"{scope['method']} {path}")
        self.headers.append(scope["headers"])
        self.arrived.set()
        if path == "/take":
            await self._take(receive, send)
        elif path == "/refuse":
            await _whole(send, 403, b"no")
        elif path == "/endless":
            await self._endless(receive, send)
        elif path == "/wait":
            await self.go.wait()
            await _whole(send, 200, b"waited")
        elif path == "/begun":
            start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]}
            await send(start)
            await self.go.wait()
            await send({"type": "http.response.body", "body": b"begun"})
        else:
            await _whole(send, 200, path.encode())

    async def _take(self, receive: Receive, send: Send) -> None:
        digest, length, more = hashlib.sha256(), 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.ended.append("left")
                self.left.set()
                return
            digest.update(message["body"])
            length += len(message["body"])
            more = message["more_body"]
        self.ended.append("whole")
        await _whole(send, 200, f"{length} {digest.hexdigest()}".encode())

    async def _endless(self, receive: Receive, send: Send) -> None:
        await receive()
        gone = asyncio.ensure_future(receive())
        size = b"%d" % (1 << 40)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", size)]})
        while not gone.done():
            await send({"type": "http.response.body", "body": bytes(PIECE), "more_body": True})
            self.pieces += 1
            await asyncio.sleep(0)
        self.left.set()


async def _whole(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def guarded(app: ASGIApp, guard: Guard | None = None) -> AsyncIterator[tuple[str, uvicorn.Server]]:
    """(URL, server) of the app behind this guard."""
    listening, url = listening_socket()
    settings = config(app, guard=guard)
    settings.timeout_graceful_shutdown = 5
    server = uvicorn.Server(settings)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:  # noqa: ASYNC110 - uvicorn tells no other way
        await asyncio.sleep(0.005)
    try:
        yield url, server
    finally:
        server.should_exit = True
        await serving


async def small_reader(url: str, path: str, tls: ssl.SSLContext | None = None) -> socket.socket:
    """A client that has asked, and whose system takes little before he reads: nobody reads here."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    parts = urlsplit(url)

    def ask() -> socket.socket:
        line.connect((parts.hostname, parts.port))
        spoken = tls.wrap_socket(line, server_hostname=parts.hostname) if tls else line
        spoken.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        spoken.setblocking(False)
        return spoken

    return await asyncio.to_thread(ask)
