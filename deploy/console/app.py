"""The console as one Starlette application: a page, its files, and the JSON rows behind it (`views`).

It holds what an operator holds: the admin token and the site's signing key. Neither reaches the page, a URL
or a log; the browser has a cookie (`origin.access`), which is also good for the origin's upload page on the
same host.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route

from deploy.console.edges import Edges
from deploy.console.origin_client import OriginClient
from deploy.console.views import Views
from keys.client import KeysClient
from keys.signing import SigningKey
from origin.access import AdminAccess
from origin.headers import BrowserHeaders
from origin.pages import SHARED, PageFiles
from origin.refusals import handlers

WEB: Final = Path(__file__).parent / "web"


def create_console(
    *,
    keys: KeysClient,
    origin_url: str,
    admin_token: str,
    issuer: Callable[[], SigningKey],
    edges: Sequence[str],
    port_base: int | None = None,
    now: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """The application. `keys` shows the admin token; `edges` are the public base URLs links may lead to.

    `issuer` reads the signing key of the site, for each link: it may be rotated. `port_base` is the port base
    of this machine: where its edges tell their metrics.

    The console closes `keys` and its own client of the origin when it ends.
    """
    origin = OriginClient(origin_url, admin_token)
    readings = Edges(keys, edges, port_base, clock)
    views = Views(AdminAccess(admin_token, now), keys, origin, issuer, edges, readings, now)
    page = (WEB / "index.html").read_text("utf-8")

    async def index(request: Request) -> Response:
        return HTMLResponse(page)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await readings.close()
        await origin.close()
        await keys.close()

    app = Starlette(
        routes=[
            Route("/", index, methods=["GET"]),
            Route("/healthz", _health, methods=["GET"]),
            *views.routes(),
            Mount("/ui/shared", PageFiles(SHARED)),
            Mount("/ui", PageFiles(WEB)),
        ],
        middleware=[Middleware(BrowserHeaders)],
        exception_handlers=handlers(),
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # such a redirect would repeat the request's Host (SECURITY T6)
    return app


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})
