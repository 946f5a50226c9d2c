"""An origin with its control API, in front of a real keys service, over real sockets."""

import contextlib
import ipaddress
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import imageio_ffmpeg
import pytest

from keys import app as keys_app
from keys.client import KeysClient, node_credential
from keys.nodes import NodeIdentity
from keys.secrets import Secrets, load_or_create
from keys.service import KeysService
from keys.stores import Stores
from origin.app import create_app
from origin.control.wiring import Control
from origin.incoming import Incoming
from origin.ingest.convert import Settings
from origin.ingest.jobs import Jobs
from origin.store.blobs import LocalBlobs
from origin.store.catalogue import Catalogue
from tests.support.serving import served

EDGES = ("http://127.0.0.1:18010", "http://127.0.0.1:18011")


class QueueOnly(Jobs):
    """Jobs that inspect and queue as always and leave the transcoding to nobody."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Works on nothing."""
        yield


@dataclass
class Site:
    """The origin and what stands behind it."""

    url: str
    secrets: Secrets
    catalogue: Catalogue
    edge: KeysClient
    origin: KeysClient
    clock: list[float]  # what is added to the time

    def http(self, token: str | None = None) -> httpx.AsyncClient:
        """A client with this token; None: with none."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False, timeout=30)

    @property
    def admin(self) -> httpx.AsyncClient:
        """A client with the admin token."""
        return self.http(self.secrets.admin_token)

    async def token(self, *scopes: str, name: str = "one", expires_in_s: int | None = None) -> str:
        """A new API token."""
        async with self.admin as http:
            body = {"name": name, "scopes": list(scopes), "expires_in_s": expires_in_s}
            made = await http.post("/api/v1/tokens", json=body)
        assert made.status_code == 201, made.text
        return str(made.json()["token"])

    async def publish(self, id: str, **more: Any) -> None:
        """An asset that is published, without media."""
        await self.catalogue.create(source_name=f"{id}.mp4", id=id, state="queued")
        await self.catalogue.set_state(id, "ingesting")
        shape: dict[str, Any] = {"generation": 1, "duration": 90.0, "width": 1280, "height": 720}
        await self.catalogue.publish(id, **shape, size_bytes=5, renditions=["720p", "audio"], **more)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    secrets = load_or_create(tmp_path / "secrets")
    stores = await Stores.open(f"sqlite:///{tmp_path / 'keys.db'}")
    service = await KeysService.start(stores, secrets, hosts=EDGES)
    catalogue = await Catalogue.open(f"sqlite:///{tmp_path / 'catalogue.db'}")
    clock = [0.0]
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(catalogue.close)
        keys_url = await stack.enter_async_context(served(keys_app.create_app(service)))
        clients = {}
        identities = {}
        for name, role in (("origin-0", "origin"), ("edge-0", "edge")):
            identities[role] = NodeIdentity.load_or_create(tmp_path / f"{name}.json", name, role)
            client = KeysClient(keys_url, node_credential(identities[role], time.time), zones=["press"])
            clients[role] = await stack.enter_async_context(client)
            token = secrets.origin_token if role == "origin" else secrets.join_token
            await client.enrol(identities[role], token)
        await clients["edge"].purges(-1)  # it says which zones it has
        jobs = QueueOnly(
            catalogue=catalogue,
            blobs=LocalBlobs(tmp_path / "blobs"),
            keys=clients["origin"],
            identity=identities["origin"],
            settings=Settings(ffmpeg=Path(imageio_ffmpeg.get_ffmpeg_exe())),
        )
        operator = KeysClient(keys_url, lambda: secrets.admin_token)
        app = create_app(
            catalogue=catalogue,
            blobs=LocalBlobs(tmp_path / "blobs"),
            jobs=jobs,
            incoming=Incoming(tmp_path / "incoming", max_bytes=10**7, keep_free=0),
            trust=clients["origin"].trust,
            admin_token=secrets.admin_token,
            control=Control(
                keys=await stack.enter_async_context(operator),
                issuer=tmp_path / "secrets" / "issuer.json",
                edges=lambda: EDGES,
                webhook_networks=[ipaddress.ip_network("127.0.0.0/8")],
            ),
            now=lambda: time.time() + clock[0],
        )
        url = await stack.enter_async_context(served(app))
        yield Site(url, secrets, catalogue, clients["edge"], clients["origin"], clock)
