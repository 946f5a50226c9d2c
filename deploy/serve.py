"""Runs one service in this process on a socket it inherited: `python -m deploy.serve SERVICE --fd N`.

A child of the supervisor: its settings come as JSON on stdin, complete; its log goes to stderr. Ends with 2
when its settings cannot be used, so that the supervisor does not try again. Told to end (SIGTERM), it stops
accepting at once and finishes what is under way; the listening socket is its siblings' too, so who waits in
its queue is theirs. uvicorn is chosen and limited here only.
"""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import sys
from argparse import ArgumentParser
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from deploy import assemble, assemble_edge, assemble_shield, observe
from deploy.http_guard import Guard
from deploy.http_limits import Loop, guard_of
from deploy.http_protocol import GuardedProtocol
from deploy.layers import SettingError
from deploy.settings import Settings
from deploy.supervise import USAGE

FINISH_S: Final = 25  # for answers under way when told to end, unless the settings say otherwise
BACKLOG: Final = 2048
GARBAGE_AT: Final = 10_000  # objects made since the last look for garbage


def main() -> int:
    """The process's whole life; its exit code."""
    parser = ArgumentParser(prog="deploy.serve")
    parser.add_argument("service", choices=("keys", "origin", "ingest", "admin", "edge", "shield"))
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    parser.add_argument("--shared-fd", type=int, help="the memory an edge's workers share")
    parser.add_argument("--index", type=int, default=0, help="which edge, from 0")
    parser.add_argument("--worker", type=int, default=0, help="which worker of it, from 0")
    parser.add_argument("--ready-fd", type=int, help="where to say that it serves")
    wanted = parser.parse_args()
    settings = Settings.model_validate_json(sys.stdin.read())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no dump may hold a key (SECURITY 3.1)
    observe.set_up(_name(wanted.service, wanted.index, wanted.worker), settings.log_level)
    try:
        with asyncio.Runner(loop_factory=Loop) as runner:
            builder = _builder(wanted.service, settings, wanted.index, wanted.worker, wanted.shared_fd)
            listening = socket.socket(fileno=wanted.fd)
            return runner.run(_serve(builder, settings, wanted.service, listening, wanted.ready_fd))
    except SettingError as error:
        print(error, file=sys.stderr, flush=True)
        return USAGE


def config(
    app: ASGIApp,
    *,
    tls: tuple[str, str] | None = None,
    guard: Guard | None = None,
    finish_s: float = FINISH_S,
) -> uvicorn.Config:
    """How every service of ours is served; told to end, it finishes answers for `finish_s` at most."""
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(GuardedProtocol, guard or Guard())),
        ws="none",
        lifespan="on",
        access_log=False,  # a target holds a token
        log_config=None,
        server_header=False,
        date_header=False,  # `http_answer` says the second of each answer, not the one before
        proxy_headers=False,  # the edge decides itself whom it believes
        timeout_graceful_shutdown=round(finish_s),
        backlog=BACKLOG,
        ssl_certfile=tls[0] if tls else None,
        ssl_keyfile=tls[1] if tls else None,
    )


class DrainingState(ServerState):
    """What all connections of a server share: also whether it drains."""

    def __init__(self) -> None:
        super().__init__()
        self.draining = False


class Server(uvicorn.Server):
    """uvicorn's server, which loses no request when it ends, and says when it serves.

    An application may have `app.state.hush`, awaited when the server is to end: a health check is to say so,
    and answers that are held back are to be given.
    """

    def __init__(self, config: uvicorn.Config, *, ready_fd: int | None = None) -> None:
        super().__init__(config)
        self.server_state: DrainingState = DrainingState()
        self._ready_fd = ready_fd

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts as uvicorn does; then writes to `ready_fd`, if there is one, and closes it."""
        await super().startup(sockets)
        if self._ready_fd is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._ready_fd, b"ready")
            os.close(self._ready_fd)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops accepting, has what is held answered, then ends as uvicorn does."""
        self.server_state.draining = True
        for server in self.servers:
            server.close()
        await self.hush()
        await super().shutdown(sockets)

    async def hush(self) -> None:
        """Tells the application, if it wants to know, that it is going to end."""
        hush = getattr(getattr(self.config.app, "state", None), "hush", None)
        if hush is not None:
            await hush()


def _builder(
    service: str, settings: Settings, index: int, worker: int, shared: int | None
) -> Awaitable[ASGIApp]:
    if service == "edge":
        return assemble_edge.build_edge(settings, index, worker, shared)
    if service == "shield":
        return assemble_shield.build_shield(settings, worker, shared)
    builders: dict[str, Callable[[Settings], Awaitable[ASGIApp]]] = {
        "keys": assemble.build_keys,
        "origin": assemble.build_origin,
        "ingest": partial(assemble.build_origin, queue_only=True),
        "admin": assemble.build_admin,
    }
    return builders[service](settings)


async def _serve(
    app: Awaitable[ASGIApp],
    settings: Settings,
    service: str,
    listening: socket.socket,
    ready_fd: int | None = None,
) -> int:
    pair = (settings.tls_cert, settings.tls_key)
    tls = (str(pair[0]), str(pair[1])) if service == "edge" and pair[0] and pair[1] else None
    made = await app
    guarded = config(made, tls=tls, guard=guard_of(made, settings, service), finish_s=settings.drain_limit)
    server = Server(guarded, ready_fd=ready_fd)
    notices: set[asyncio.Task[None]] = set()
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGUSR1, lambda: notices.add(asyncio.ensure_future(server.hush()))
    )
    _spare_the_collector()
    await server.serve(sockets=[listening])
    return 0 if server.started else 1


def _spare_the_collector() -> None:
    """What is loaded by now stays: looking for garbage in it costs a hit up to a tenth of its time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_AT, 10, 10)


def _name(service: str, index: int, worker: int) -> str:
    names = {"edge": f"edge-{index + 1}.{worker}", "shield": f"shield.{worker}"}
    return names.get(service, service)


if __name__ == "__main__":
    sys.exit(main())
