"""Real HTTP servers for tests: applications on free loopback ports, in the test's own event loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import uvicorn
from starlette.types import ASGIApp


@contextlib.asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """The base URL under which `app` is served while entered, lifespan included."""
    listener = listening_on()
    config = uvicorn.Config(app, log_level="error", server_header=False, timeout_graceful_shutdown=2)
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    ready = asyncio.create_task(server.up.wait())
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        ready.cancel()
        await task
        raise RuntimeError("the server did not start")
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


def listening_on(port: int = 0) -> socket.socket:
    """A socket that listens on a loopback port, a free one unless it is told.

    It names its protocol: asyncio turns the delay of small writes off only for those, and 40 ms add up.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(1024)
    return listener


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to the test runner."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Tells when requests are taken."""
        await super().startup(sockets)
        self.up.set()


async def eventually(holds: Callable[[], bool], within_s: float = 10) -> None:
    """Waits until `holds()` is true; for what other connections do, which nothing here can be awaited on."""
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 (another connection's work, in no event of ours)
            await asyncio.sleep(0.01)
