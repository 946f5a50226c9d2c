"""Can this worker serve, and what has it counted: `/healthz` for load balancers, `/metrics` for operators.

An edge serves while it knows whom to trust and what is revoked; that keys is away for some minutes does
not stop running sessions (SECURITY 3.4), so it does not make an edge sick. Metrics are for the machine
itself only.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from edge.deliver.clients import Network, address, inside, networks

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LOOPBACK: Sequence[Network] = networks(["127.0.0.0/8", "::1"])


class Serving(Protocol):
    """What health asks of the parts that can fail: the sentence that says what is missing, or None."""

    def missing(self) -> str | None: ...


def routes(parts: Sequence[Serving], metrics: Callable[[], str]) -> list[BaseRoute]:
    """`/healthz` and `/metrics`."""

    async def healthz(request: Request) -> Response:
        lacking = [sentence for part in parts if (sentence := part.missing())]
        headers = {"Cache-Control": "no-store"}
        if lacking:
            return JSONResponse({"status": "waiting", "for": lacking}, 503, {**headers, "Retry-After": "2"})
        return JSONResponse({"status": "ok"}, headers=headers)

    async def show(request: Request) -> Response:
        if not _on_this_machine(request):
            return PlainTextResponse("Not found.\n", 404, {"Cache-Control": "no-store"})
        return PlainTextResponse(
            metrics(), headers={"Cache-Control": "no-store", "Content-Type": METRICS_TYPE}
        )

    return [Route("/healthz", healthz), Route("/metrics", show)]


def _on_this_machine(request: Request) -> bool:
    """From loopback, and not passed on by a proxy for somebody else."""
    peer = address(request.client.host) if request.client else None
    passed_on = {"x-forwarded-for", "forwarded", "via"} & set(request.headers.keys())
    return peer is not None and inside(peer, LOOPBACK) and not passed_on
