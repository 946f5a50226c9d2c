"""The origin service as one Starlette application: API, pages, blobs for edges, health and counters.

Only puts together what it is given and starts and stops the jobs with the server; `deploy` opens databases
and makes clients.
"""

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final, Protocol

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from keys.node_directory import NodeDirectory
from origin.access import AdminAccess
from origin.api import Api, AssetJobs
from origin.captions import SHELF, Shelf
from origin.captions_api import CaptionsApi
from origin.control.callers import Callers
from origin.control.tokens import ApiTokens
from origin.control.wiring import Control, ControlApi
from origin.delivery import Delivery
from origin.headers import BrowserHeaders
from origin.incoming import Incoming
from origin.media.asking import PREFIX
from origin.metrics import CONTENT_TYPE, Metrics
from origin.pages import Pages
from origin.refusals import handlers
from origin.store.blobs import BlobStore
from origin.store.catalogue import Catalogue
from origin.tus.api import Tus
from origin.tus.uploads import Resumables
from origin.uploads import Intake, Uploads

_LOG: Final = logging.getLogger(__name__)


class Jobs(Intake, AssetJobs, Protocol):
    """What the application needs of ingest besides: to be started and stopped with it."""

    def running(self) -> AbstractAsyncContextManager[object]:
        """Works while entered."""


def create_app(
    *,
    catalogue: Catalogue,
    blobs: BlobStore,
    jobs: Jobs,
    incoming: Incoming,
    trust: Callable[[], Awaitable[Mapping[str, Any]]],
    admin_token: str,
    control: Control | None = None,
    now: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """The application.

    `trust` is `KeysClient.trust`; the catalogue is open, and closing it is the caller's. `control` is what
    the control API works with; without it there is none.
    """
    metrics = Metrics(incoming.directory)
    access = AdminAccess(admin_token, now)
    nodes = NodeDirectory(trust, now=now, clock=clock)
    uploads = Uploads(incoming, jobs)
    resumables = Resumables(incoming, jobs, now=now, count=metrics.count)
    tokens = ApiTokens(catalogue.database, now)
    api = control and ControlApi(
        control,
        catalogue=catalogue,
        jobs=jobs,
        uploads=uploads,
        metrics=metrics,
        access=access,
        admin_token=admin_token,
        tokens=tokens,
        now=now,
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await blobs.sweep(now())
        owned = await catalogue.upload_paths()
        left = incoming.sweep(set(owned))
        resumables.open(owned)
        if left:
            _LOG.info("removed %d files of uploads that were cut off", left)
        async with jobs.running(), resumables.running(), api.dispatcher.running() if api else nullcontext():
            yield

    async def counters(request: Request) -> Response:
        return Response(metrics.render(), headers={"content-type": CONTENT_TYPE})

    app = Starlette(
        routes=[
            Mount(PREFIX.rstrip("/"), Delivery(blobs, nodes.check, metrics.count)),
            Route("/healthz", _health, methods=["GET"]),
            Route("/metrics", counters, methods=["GET"]),
            *Api(access, catalogue, jobs, uploads, metrics).routes(),
            *(api.routes() if api else ()),
            *CaptionsApi(access, catalogue, Shelf(incoming.directory / SHELF)).routes(),
            *Tus(access, resumables, metrics.count).routes(),
            *Pages(access, uploads, metrics).routes(),
        ],
        middleware=[Middleware(BrowserHeaders), Middleware(Callers, tokens=tokens, clock=clock)],
        exception_handlers=handlers(),
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # such a redirect would repeat the request's Host (SECURITY T6)
    return app


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})
