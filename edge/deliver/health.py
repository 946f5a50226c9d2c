"""Can this worker serve, and what has it counted: `/healthz` for load balancers, `/metrics` for operators.

`/healthz` is 503 only when nothing could be served, so that no balancer takes out edges whose viewers play:

    trust        keys has not answered since this worker started: no token can be checked
    revocations  the feed is older than running sessions may go on with (SECURITY 3.4)
    draining     it was told to end
What stops new sessions alone (keys away for more than a minute, too busy) is no reason to take an edge from
those who watch, and would have all edges taken out at once: `/healthz` says `limited` then, with 200, and
`/healthz/new`, for a balancer that sends links their own way, is 503. The origin away, or one of a zone's, is
said, and no more: what is cached plays on. Metrics are for the machine itself only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from edge.deliver.clients import Network, address, inside, networks

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
LOOPBACK: Final[tuple[Network, ...]] = tuple(networks(["127.0.0.0/8", "::1"]))
FINE: Final = "ok"


class Part(Protocol):
    """What health asks of the parts that can fail: the words that say what is missing, or None."""

    def missing(self) -> str | None: ...


@dataclass(frozen=True)
class Says:
    """A part made of a function."""

    missing: Callable[[], str | None]


class Draining:
    """Whether this worker was told to end."""

    def __init__(self) -> None:
        self.begun = False

    def missing(self) -> str | None:
        """For health."""
        return "ending" if self.begun else None


@dataclass(frozen=True)
class Health:
    """The parts by name, and what each is needed for."""

    serving: dict[str, Part]  # without one of them nothing can be served
    opening: dict[str, Part]  # nor, without one of these, may a session begin
    told: dict[str, Part] = field(default_factory=dict)  # said to whoever asks

    def answer(self, *, new: bool = False) -> Response:
        """200 when it can serve; with `new`, when a session may begin. The body says what is wrong."""
        needed, wanted, told = self._checks(self.serving), self._checks(self.opening), self._checks(self.told)
        serves = set(needed.values()) <= {FINE}
        opens = serves and set(wanted.values()) <= {FINE}
        fine = opens if new else serves
        body = {
            "status": FINE if opens else "limited" if serves else "unable",
            "new_sessions": opens,
            "checks": {**needed, **wanted, **told},
        }
        headers = {"Cache-Control": "no-store"} | ({} if fine else {"Retry-After": "2"})
        return JSONResponse(body, 200 if fine else 503, headers)

    @staticmethod
    def _checks(parts: dict[str, Part]) -> dict[str, str]:
        return {name: part.missing() or FINE for name, part in parts.items()}


def routes(
    health: Health, metrics: Callable[[], str], zones: Callable[[], Mapping[str, object]] = dict
) -> list[BaseRoute]:
    """`/healthz`, `/healthz/new`, `/metrics`, and `/metrics/zones` with what is no number."""

    async def healthz(request: Request) -> Response:
        return health.answer()

    async def healthz_new(request: Request) -> Response:
        return health.answer(new=True)

    async def show(request: Request) -> Response:
        if not _on_this_machine(request):
            return PlainTextResponse("Not found.\n", 404, {"Cache-Control": "no-store"})
        return PlainTextResponse(
            metrics(), headers={"Cache-Control": "no-store", "Content-Type": METRICS_TYPE}
        )

    async def show_zones(request: Request) -> Response:
        if not _on_this_machine(request):
            return PlainTextResponse("Not found.\n", 404, {"Cache-Control": "no-store"})
        return JSONResponse({"zones": zones()}, headers={"Cache-Control": "no-store"})

    return [
        Route("/healthz", healthz),
        Route("/healthz/new", healthz_new),
        Route("/metrics", show),
        Route("/metrics/zones", show_zones),
    ]


def _on_this_machine(request: Request) -> bool:
    """From loopback, and not passed on by a proxy for somebody else."""
    peer = address(request.client.host) if request.client else None
    passed_on = {"x-forwarded-for", "forwarded", "via"} & set(request.headers.keys())
    return peer is not None and inside(peer, LOOPBACK) and not passed_on
