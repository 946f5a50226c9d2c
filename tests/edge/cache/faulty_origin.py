"""A published generation, and an origin that serves it and can be told to misbehave."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from origin.media.asset import Descriptor, Rendition, write_descriptor
from origin.media.digests import ObjectDigest, digest_of, write_list
from origin.media.seal import SLICE, Sealer
from tests.support.serving import listening_on

TENANT, ASSET, GENERATION, RENDITION = "default", "film", 1, "720p"
SIZES = {"init.mp4": 700, "0.m4s": 5 * SLICE // 2, "1.m4s": SLICE, "2.m4s": 9 * SLICE + 5, "3.m4s": 0}


@dataclass
class Published:
    """A generation as a packager publishes it: plain bytes to compare with, stored bytes to serve."""

    packager: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    storage_key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    plain: dict[str, bytes] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)  # by path below the generation

    def sealer(self, name: str) -> Sealer:
        return Sealer(self.storage_key, TENANT, ASSET, GENERATION, RENDITION, name)

    def public(self) -> list[Ed25519PublicKey]:
        return [self.packager.public_key()]


def publish() -> Published:
    found = Published()
    rows = []
    for name, size in SIZES.items():
        plain = found.plain[name] = secrets.token_bytes(size)
        sealed = list(found.sealer(name).seal_all(plain))
        found.stored[f"{RENDITION}/{name}"] = b"".join(sealed)
        rows.append(ObjectDigest(name, size, tuple(digest_of(s) for s in sealed)))
    found.stored[f"{RENDITION}/list"] = write_list(found.packager, ASSET, GENERATION, RENDITION, rows)
    rendition = Rendition(RENDITION, "video", 0, "avc1.640028", 1000, (4000,) * 4, (1,) * 4, 1, 1)
    descriptor = Descriptor(TENANT, ASSET, GENERATION, "Film", 16.0, 3, (rendition,))
    found.stored["asset/asset.json"] = write_descriptor(found.packager, descriptor)
    return found


@dataclass
class Gate:
    """Holds an answer before byte `at`, until opened."""

    at: int
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Faults:
    """What the origin does wrong, by object path. Each list is used up, one entry a request."""

    cut_at: dict[str, list[int | None]] = field(default_factory=dict)
    flip_at: dict[str, list[int | None]] = field(default_factory=dict)
    status: dict[str, list[int]] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    gates: dict[str, Gate] = field(default_factory=dict)
    ignore_range: bool = False


class TestOrigin:
    """A real HTTP server with the blob API, that can be told to misbehave, and says what it was asked for."""

    __test__ = False

    def __init__(self, published: Published) -> None:
        self.published, self.faults = published, Faults()
        self.requests: Counter[str] = Counter()
        self.ranges: list[tuple[str, str]] = []
        self.sent: Counter[str] = Counter()
        self.bearers: set[str] = set()
        self.url = ""
        app = Starlette(routes=[Route("/v1/blobs/film/1/{path:path}", self._answer)])
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off")
        self._server = uvicorn.Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        listener = listening_on()
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._task = asyncio.create_task(self._server.serve([listener]))

    async def stop(self) -> None:
        """Refuse connections from now on."""
        for gate in self.faults.gates.values():
            gate.open.set()
        self._server.should_exit = self._server.force_exit = True
        if self._task is not None:
            await self._task
            self._task = None

    async def _answer(self, request: Request) -> Response:
        path = request.path_params["path"]
        self.requests[path] += 1
        asked = request.headers.get("range", "")
        self.ranges.append((path, asked))
        self.bearers.add(request.headers.get("authorization", ""))
        statuses = self.faults.status.get(path)
        if statuses:
            return Response("trouble", statuses.pop(0), {"retry-after": "7"})
        body = self.published.stored.get(path)
        if body is None:
            return Response(status_code=404)
        headers, status = {"accept-ranges": "bytes"}, 200
        first, total = 0, len(body)
        if asked and not self.faults.ignore_range:
            first, last = (int(n) for n in asked.removeprefix("bytes=").split("-"))
            headers["content-range"] = f"bytes {first}-{last}/{total}"
            body, status = body[first : last + 1], 206
        headers["content-length"] = str(len(body))
        headers |= self.faults.headers.get(path, {})
        return StreamingResponse(self._body(path, first, body), status, headers)

    async def _body(self, path: str, first: int, body: bytes) -> AsyncIterator[bytes]:
        cut, flip = _next(self.faults.cut_at, path), _next(self.faults.flip_at, path)
        gate = self.faults.gates.get(path)
        if flip is not None and first <= flip < first + len(body):
            spot = flip - first
            body = body[:spot] + bytes([body[spot] ^ 1]) + body[spot + 1 :]
        at, step = first, 1 << 16
        while at < first + len(body):
            if gate is not None and at <= gate.at < at + step:
                gate.reached.set()
                await gate.open.wait()
            if cut is not None and at >= cut:
                raise ConnectionError("cut on purpose")
            piece = body[at - first : at - first + step]
            self.sent[path] += len(piece)
            yield piece
            at += step


def _next(table: dict[str, list[int | None]], path: str) -> int | None:
    entries = table.get(path)
    return entries.pop(0) if entries else None
