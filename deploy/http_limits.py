"""The limits a service serves with, from settings (SECURITY T11)."""

import asyncio
import logging
import resource
from typing import Any, Final

import uvloop
from starlette.types import ASGIApp

from deploy.http_guard import Guard
from deploy.settings import Settings
from edge.deliver.clients import networks
from edge.deliver.counters import ignore
from edge.guard.crowd import THIS_MACHINE
from edge.guard.limits import Limits

HANDSHAKE_S: Final = 10.0  # of TLS; uvloop's own limit is 60
OTHER_FILES: Final = 256  # besides connections: databases, logs, caches
EDGE_BODY_BYTES: Final = 64 << 10  # no part of an edge but a zone takes a larger body

log = logging.getLogger("sluice.serve")


class Loop(uvloop.Loop):
    """The event loop of every service: a client has little time for a TLS handshake."""

    async def create_server(  # type: ignore[override]
        self, *args: Any, **how: Any
    ) -> asyncio.AbstractServer:
        """As uvloop does, with our limit on handshakes."""
        if how.get("ssl") is not None:
            how.setdefault("ssl_handshake_timeout", HANDSHAKE_S)
        return await super().create_server(*args, **how)


def guard_of(app: ASGIApp, settings: Settings, service: str, *, plain: bool = False) -> Guard:
    """The guard of this service. Who asks keys and origin are nodes: they are not counted one by one.

    `plain`: a cache alone, which passes on any method and bodies of any length.
    """
    most = max(1, min(settings.connections, _files_allowed() - OTHER_FILES))
    if most < settings.connections:
        log.warning("connections: %d, because this process may open no more files", most)
    edge = service == "edge"
    largest = max([EDGE_BODY_BYTES, *(zone.upload_bytes for zone in getattr(app, "zones", ()))])
    limits = Limits(
        body_bytes=largest if edge and not plain else None,
        any_method=plain,
        connections=most,
        connections_per_client=settings.connections_per_client if edge else most,
    )
    uncapped = (*THIS_MACHINE, *networks(settings.trusted_proxies))
    return Guard(limits, uncapped, getattr(app, "count", ignore))


def _files_allowed() -> int:
    """How many files this process may open, after asking for as many as it may ask for."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        most = 1 << 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return most
