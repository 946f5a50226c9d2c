"""Runs one service in this process on a socket it inherited: `python -m deploy.serve SERVICE --fd N`.

A child of the supervisor: its settings come as JSON on stdin, complete; its log goes to stderr. Ends with 2
when its settings cannot be used, so that the supervisor does not try again. uvicorn is chosen and limited
here only.
"""

import asyncio
import gc
import resource
import socket
import sys
from argparse import ArgumentParser
from collections.abc import Awaitable
from typing import Final

import uvicorn
import uvloop
from starlette.types import ASGIApp

from deploy import assemble, observe
from deploy.http_limits import LimitedProtocol
from deploy.layers import SettingError
from deploy.settings import Settings
from deploy.supervise import USAGE

KEEP_ALIVE_S: Final = 60  # SECURITY F22; clients of ours keep connections for less
FINISH_S: Final = 25  # for answers under way when told to end; below the supervisor's grace
BACKLOG: Final = 2048
GARBAGE_AT: Final = 10_000  # objects made since the last look for garbage


def main() -> int:
    """The process's whole life; its exit code."""
    parser = ArgumentParser(prog="deploy.serve")
    parser.add_argument("service", choices=("keys", "origin", "admin", "edge"))
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    parser.add_argument("--leases-fd", type=int, help="the memory an edge's workers share leases in")
    parser.add_argument("--index", type=int, default=0, help="which edge, from 0")
    parser.add_argument("--worker", type=int, default=0, help="which worker of it, from 0")
    wanted = parser.parse_args()
    settings = Settings.model_validate_json(sys.stdin.read())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no dump may hold a key (SECURITY 3.1)
    observe.set_up(_name(wanted.service, wanted.index, wanted.worker), settings.log_level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            builder = _builder(wanted.service, settings, wanted.index, wanted.worker, wanted.leases_fd)
            return runner.run(_serve(builder, settings, wanted.service, socket.socket(fileno=wanted.fd)))
    except SettingError as error:
        print(error, file=sys.stderr, flush=True)
        return USAGE


def config(app: ASGIApp, *, tls: tuple[str, str] | None = None) -> uvicorn.Config:
    """How every service of ours is served."""
    return uvicorn.Config(
        app,
        http=LimitedProtocol,
        ws="none",
        lifespan="on",
        access_log=False,  # a target holds a token
        log_config=None,
        server_header=False,
        proxy_headers=False,  # the edge decides itself whom it believes
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=FINISH_S,
        backlog=BACKLOG,
        ssl_certfile=tls[0] if tls else None,
        ssl_keyfile=tls[1] if tls else None,
    )


class Server(uvicorn.Server):
    """uvicorn's server; an application that holds answers is told to give them before it drains."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Has what is held answered (`app.state.hush`), then ends as uvicorn does."""
        hush = getattr(getattr(self.config.app, "state", None), "hush", None)
        if hush is not None:
            await hush()
        await super().shutdown(sockets)


def _builder(
    service: str, settings: Settings, index: int, worker: int, leases: int | None
) -> Awaitable[ASGIApp]:
    if service == "edge":
        return assemble.build_edge(settings, index, worker, leases)
    builders = {
        "keys": assemble.build_keys,
        "origin": assemble.build_origin,
        "admin": assemble.build_admin,
    }
    return builders[service](settings)


async def _serve(app: Awaitable[ASGIApp], settings: Settings, service: str, listening: socket.socket) -> int:
    pair = (settings.tls_cert, settings.tls_key)
    tls = (str(pair[0]), str(pair[1])) if service == "edge" and pair[0] and pair[1] else None
    server = Server(config(await app, tls=tls))
    _spare_the_collector()
    await server.serve(sockets=[listening])
    return 0 if server.started else 1


def _spare_the_collector() -> None:
    """What is loaded by now stays: looking for garbage in it costs a hit up to a tenth of its time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_AT, 10, 10)


def _name(service: str, index: int, worker: int) -> str:
    return f"edge-{index + 1}.{worker}" if service == "edge" else service


if __name__ == "__main__":
    sys.exit(main())
