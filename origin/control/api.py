"""The control API put together: its rows, its document, its page."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from origin.control.openapi import document
from origin.control.operation import Operation
from origin.control.page import filled
from origin.control.router import Router

_PAGE: Final = Path(__file__).parent.parent / "web" / "api.html"


def routes(operations: Sequence[Operation], router: Router) -> list[BaseRoute]:
    """What an application mounts. Document and page tell nothing of this installation: anybody may read."""
    described = document(operations)
    text = json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode()

    async def openapi(request: Request) -> Response:
        return Response(text, media_type="application/json", headers={"cache-control": "no-cache"})

    async def page(request: Request) -> Response:
        return HTMLResponse(filled(_PAGE.read_text("utf-8"), described))

    async def slash(request: Request) -> Response:
        return RedirectResponse("/api/", 308)

    return [
        Route("/api", slash, methods=["GET"]),
        Route("/api/", page, methods=["GET"]),
        Route("/api/openapi.json", openapi, methods=["GET"]),
        *router.routes(),
    ]
