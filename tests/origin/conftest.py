"""An origin on a real socket: real catalogue, blobs and inspection; its jobs do not transcode."""

import contextlib
import secrets
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import imageio_ffmpeg
import pytest

from keys.client import KeysClient
from keys.nodes import NodeIdentity
from origin.app import create_app
from origin.incoming import Incoming, Usage
from origin.ingest.convert import Settings
from origin.ingest.jobs import Jobs
from origin.store.blobs import LocalBlobs
from origin.store.catalogue import Catalogue
from tests.support.serving import served

ADMIN = "admin-" + "a" * 40
MAX_UPLOAD = 4_000_000


class QueueOnly(Jobs):
    """Jobs that inspect and queue as always and leave the transcoding to nobody."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Works on nothing."""
        yield


@dataclass
class Disk:
    """What the server believes of its disk."""

    total: int = 10**12
    free: int = 10**12

    def usage(self, _: Path) -> Usage:
        """As `disk_usage`."""
        return Usage(self.total, self.free)


@dataclass
class Origin:
    """The running service and what tests look at."""

    url: str
    catalogue: Catalogue
    blobs: LocalBlobs
    jobs: Jobs
    incoming: Path
    disk: Disk
    edge: NodeIdentity
    clock: list[float]
    nodes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def http(self) -> httpx.AsyncClient:
        """A client of nobody."""
        return httpx.AsyncClient(base_url=self.url, trust_env=False)

    @property
    def admin(self) -> httpx.AsyncClient:
        """A client with the admin token."""
        return httpx.AsyncClient(
            base_url=self.url, headers={"authorization": f"Bearer {ADMIN}"}, trust_env=False, timeout=30
        )

    def bearer(self, audience: str = "origin") -> dict[str, str]:
        """The header the edge proves itself with."""
        return {"authorization": f"Bearer {self.edge.bearer(audience, time.time())}"}

    async def nothing_left(self) -> bool:
        """Whether no upload left a file or an asset. Records of resumable ones tell what they became."""
        files = [path for path in self.incoming.rglob("*") if path.is_file() and path.suffix != ".json"]
        return not files and not await self.catalogue.list()


def node_row(identity: NodeIdentity) -> dict[str, Any]:
    """A node as the keys service lists it."""
    return {"name": identity.name, "role": identity.role, "jwk": identity.public_jwk()}


@pytest.fixture
def admin_token() -> str:
    return ADMIN


@pytest.fixture
async def origin(tmp_path: Path) -> AsyncIterator[Origin]:
    catalogue = await Catalogue.open(f"sqlite:///{tmp_path / 'catalogue.db'}")
    blobs = LocalBlobs(tmp_path / "blobs")
    disk = Disk()
    incoming = Incoming(tmp_path / "incoming", max_bytes=MAX_UPLOAD, usage=disk.usage)
    edge = NodeIdentity.load_or_create(tmp_path / "edge.json", "edge-0", "edge")
    node = NodeIdentity.load_or_create(tmp_path / "node.json", "origin-0", "origin")
    rows, clock = [node_row(edge)], [1000.0]

    async def trust() -> Mapping[str, Any]:
        return {"nodes": rows}

    keys = KeysClient("http://127.0.0.1:9")  # nobody is there: nothing here asks it
    jobs = QueueOnly(
        catalogue=catalogue,
        blobs=blobs,
        keys=keys,
        identity=node,
        settings=Settings(ffmpeg=Path(imageio_ffmpeg.get_ffmpeg_exe())),
    )
    app = create_app(
        catalogue=catalogue,
        blobs=blobs,
        jobs=jobs,
        incoming=incoming,
        trust=trust,
        admin_token=ADMIN,
        clock=lambda: clock[0],
    )
    async with served(app) as url:
        yield Origin(url, catalogue, blobs, jobs, incoming.directory, disk, edge, clock, rows)
    await keys.close()
    await catalogue.close()


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A second of moving picture, as an MP4."""
    path = tmp_path_factory.mktemp("film") / f"{secrets.token_hex(4)}.mp4"
    source = "testsrc=size=160x120:rate=10:duration=1"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-f", "lavfi", "-i", source, str(path)]
    subprocess.run(command, check=True)
    return path.read_bytes()
