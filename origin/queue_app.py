"""A process that works on the queue of ingest and does nothing else, as an application: it only says that it
lives.
"""

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from origin.refusals import handlers


class Working(Protocol):
    """What it runs."""

    def running(self) -> AbstractAsyncContextManager[object]:
        """Works while entered."""


def create_queue_app(jobs: Working) -> Starlette:
    """The application, `GET /healthz` alone."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with jobs.running():
            yield

    return Starlette(
        routes=[Route("/healthz", _health, methods=["GET"])], exception_handlers=handlers(), lifespan=lifespan
    )


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})
