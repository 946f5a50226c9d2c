"""A tiny real film behind a real keys service and a real origin: what the edge's journey is played with."""

import asyncio
import contextlib
import re
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from edge.app import EdgeApp, EdgeSettings
from edge.cache.claims import Claims
from edge.cache.library import Library
from edge.cache.memory import PrivateMemory
from edge.cache.upstream import OriginClient
from edge.deliver.pace import PaceGate
from edge.deliver.pace_stores import MemoryPaceStore
from edge.deliver.trust import TrustedTokens
from keys import secrets as secret_files
from keys.app import create_app
from keys.client import KeysClient, node_credential
from keys.cpix_xml import read_cpix
from keys.nodes import NodeIdentity
from keys.secrets import Secrets
from keys.service import KeysService
from keys.stores import Stores
from origin.ingest.mapping import Mapping
from origin.media.asset import Descriptor, Rendition, write_descriptor
from origin.media.digests import ObjectDigest, digest_of, write_list
from origin.media.drm import Drm, drm_of
from origin.media.seal import Sealer
from tests.edge.parts import NEVER_BUSY, listening_socket

SECONDS = 8
SEGMENT_S = 2
_INDEXES = {"180p": 0, "audio": 1}


def ffmpeg() -> str:
    """The ffmpeg of the Python package."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def package(folder: Path) -> dict[str, dict[str, bytes]]:
    """CMAF objects by rendition and name: moving picture, a tone."""
    video = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-keyint_min", "50", "-sc_threshold", "0"]
    command = [
        ffmpeg(), "-v", "error", "-f", "lavfi", "-i", f"testsrc2=size=320x180:rate=25:duration={SECONDS}",
        "-f", "lavfi", "-i", f"sine=frequency=440:duration={SECONDS}", "-map", "0:v", "-map", "1:a",
        *video, "-pix_fmt", "yuv420p", "-c:a", "aac", "-ar", "48000",
        "-f", "dash", "-seg_duration", str(SEGMENT_S),
        "-adaptation_sets", "id=0,streams=v id=1,streams=a", "-init_seg_name", "$RepresentationID$-init.mp4",
        "-media_seg_name", "$RepresentationID$-$Number$.m4s", str(folder / "film.mpd"),
    ]  # fmt: skip
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    found: dict[str, dict[str, bytes]] = {"180p": {}, "audio": {}}
    for path in folder.glob("[01]-*"):
        number = re.fullmatch(r"[01]-(\d+)\.m4s", path.name)
        name = f"{int(number[1]) - 1}.m4s" if number else "init.mp4"
        found["180p" if path.name[0] == "0" else "audio"][name] = path.read_bytes()
    return found


@dataclass
class Origin:
    """Sealed blobs over HTTP, and how often each was asked for."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    bytes_sent: int = 0

    async def answer(self, request: Request) -> Response:
        path = request.path_params["path"]
        self.requests.append(path)
        body = self.blobs.get(path)
        if body is None:
            return Response(status_code=404)
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
        part = body[int(asked[1]) : int(asked[2]) + 1] if asked else body
        self.bytes_sent += len(part)
        headers = {"content-range": f"bytes {asked[1]}-{asked[2]}/{len(body)}"} if asked else {}
        return Response(part, 206 if asked else 200, headers)

    def publish(
        self,
        signer: Ed25519PrivateKey,
        objects: dict[str, dict[str, bytes]],
        generation: int,
        key: bytes,
        drm: Drm | None = None,
    ) -> None:
        """Seals, lists and describes a film."""
        for rendition, found in objects.items():
            digests = []
            for name, plain in {**found, **_maps(found, _INDEXES[rendition])}.items():
                sealed = list(Sealer(key, "default", "film", generation, rendition, name).seal_all(plain))
                digests.append(ObjectDigest(name, len(plain), tuple(digest_of(s) for s in sealed)))
                self.blobs[f"film/{generation}/{rendition}/{name}"] = b"".join(sealed)
            listed = write_list(signer, "film", generation, rendition, digests)
            self.blobs[f"film/{generation}/{rendition}/list"] = listed
        described = write_descriptor(signer, _descriptor(objects, generation, drm))
        self.blobs[f"film/{generation}/asset/asset.json"] = described


def _maps(found: dict[str, bytes], index: int) -> dict[str, bytes]:
    """The protection maps of a rendition, as the packager makes them."""
    mapping = Mapping(found["init.mp4"], index)
    blocks = [mapping.take(found[f"{n}.m4s"]) for n in range(len(found) - 1)]
    assert not mapping.refused
    return dict(block for block in (*blocks, mapping.rest()) if block is not None)


def _descriptor(objects: dict[str, dict[str, bytes]], generation: int, drm: Drm | None) -> Descriptor:
    def sizes(rendition: str) -> tuple[int, ...]:
        found = objects[rendition]
        return tuple(len(found[f"{n}.m4s"]) for n in range(len(found) - 1))

    def of(name: str, track: str, index: int, codecs: str, **more: Any) -> Rendition:
        lengths = sizes(name)
        times = (SEGMENT_S * 1000,) * len(lengths)
        return Rendition(name, track, index, codecs, 1000, times, lengths, 900_000, 800_000, **more)

    video = of("180p", "video", _INDEXES["180p"], "avc1.42c00d", width=320, height=180)
    audio = of("audio", "audio", _INDEXES["audio"], "mp4a.40.2", channels=1, sample_rate=48000)
    renditions, protections = (video, audio), ("drm",) if drm else ("aes", "cbcs", "cenc")
    named = ("default", "film", generation, "A film", float(SECONDS), 2)
    return Descriptor(*named, renditions, protections=protections, drm=drm)


@dataclass
class Premises:
    """A keys service, an origin and edges, all over real sockets."""

    folder: Path
    secrets: Secrets
    keys_url: str
    origin: Origin
    origin_url: str
    edge_url: str
    objects: dict[str, dict[str, bytes]]
    generation: int
    storage_key: bytes = field(repr=False)

    def edge(self, name: str = "edge-1") -> EdgeApp:
        """One worker of an edge, assembled as deploy does."""
        identity = NodeIdentity.load_or_create(self.folder / f"{name}.json", name, "edge")
        keys = KeysClient(self.keys_url, node_credential(identity, time.time))
        trusted = TrustedTokens(keys, now=time.time, clock=time.monotonic)
        origin = OriginClient(self.origin_url, lambda: identity.bearer("origin", time.time()))
        claims = self.folder / f"{name}-claims"
        library = Library(
            PrivateMemory(64 << 20),
            None,
            Claims(claims, None),
            origin,
            trusted.packagers,
            trusted.refresh_soon,
        )
        return EdgeApp(
            EdgeSettings(f"sluice-{name}", self.edge_url, self.folder / "web", busy=NEVER_BUSY),
            keys=keys,
            trusted=trusted,
            library=library,
            pace=PaceGate(MemoryPaceStore(time.monotonic), now=time.time),
            now=time.time,
            clock=time.monotonic,
            metrics=str,
            resources=(keys, library, _enrolled(keys, identity, self.secrets.join_token)),
        )


@contextlib.asynccontextmanager
async def _enrolled(keys: KeysClient, identity: NodeIdentity, join_token: str) -> AsyncIterator[None]:
    await keys.enrol(identity, join_token)
    yield


@contextlib.asynccontextmanager
async def listening(app: ASGIApp, on: socket.socket) -> AsyncIterator[None]:
    """Any ASGI application behind uvicorn."""
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="error",
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[on]))
    while not server.started:
        await asyncio.sleep(0.002)
        if task.done():
            task.result()
    try:
        yield
    finally:
        server.should_exit = True
        await task


@contextlib.asynccontextmanager
async def premises(folder: Path, edge_url: str, drm: bytes | None = None) -> AsyncIterator[Premises]:
    """Everything but the edge, with the film published; with keys of a CPIX document, if there is one."""
    (folder / "web").mkdir()
    (folder / "packaged").mkdir()
    async with contextlib.AsyncExitStack() as stack:
        secrets = secret_files.load_or_create(folder / "secrets")
        stores = await Stores.open(f"sqlite:///{folder}/keys.db")
        service = await KeysService.start(stores, secrets, hosts=[edge_url])
        keys_on, keys_url = listening_socket()
        await stack.enter_async_context(listening(create_app(service), keys_on))
        stack.push_async_callback(service.hush)
        origin = Origin()
        origin_on, origin_url = listening_socket()
        routes = [Route("/v1/blobs/{path:path}", origin.answer)]
        await stack.enter_async_context(listening(Starlette(routes=routes), origin_on))
        node = NodeIdentity.load_or_create(folder / "origin.json", "origin", "origin")
        async with KeysClient(keys_url, node_credential(node, time.time)) as packager:
            await packager.enrol(node, secrets.origin_token)
            made = await packager.new_generation("film", drm)
            told = drm_of(read_cpix(made.drm)) if made.drm else None
            objects = await asyncio.to_thread(package, folder / "packaged")
            origin.publish(node.private, objects, made.generation, made.storage_key, told)
            await packager.publish("film", made.generation)
        yield Premises(
            folder,
            secrets,
            keys_url,
            origin,
            origin_url,
            edge_url,
            objects,
            made.generation,
            made.storage_key,
        )
