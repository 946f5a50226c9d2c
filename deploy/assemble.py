"""The composition root: each service from settings, with real adapters. Only here and, for the edge, in
`deploy.assemble_edge` are they constructed.

Every builder returns an ASGI application whose lifespan starts and ends what belongs to it. Secrets are read
from their files here and handed on; a secret or an identity that cannot be used is a SettingError.
"""

import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp

from deploy import gauges
from deploy.counters import Counters
from deploy.enrol import enrolling, identity
from deploy.ffmpeg import ffmpeg_path
from deploy.histograms import Histogram
from deploy.layout import Layout
from deploy.running import known_edges
from deploy.settings import Settings
from deploy.usable import usable
from keys import secrets as secret_files
from keys.client import KeysClient, node_credential

Resource = AbstractAsyncContextManager[object]

# Each builder imports the service it builds: a process loads only its own service's libraries.


async def build_keys(settings: Settings) -> ASGIApp:
    """The keys service."""
    from deploy.root import root_keys
    from keys.app import create_app
    from keys.counters import COUNTERS
    from keys.issuers import configured_issuers
    from keys.pace import Pace
    from keys.ripping import Policy
    from keys.service import KeysService
    from keys.sessions import Rules
    from keys.stores import Stores

    layout = Layout(settings)
    layout.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    secrets = usable(lambda: secret_files.load_or_create(layout.secrets))
    root, root_end = await root_keys(settings, layout, secrets)
    further = usable(lambda: configured_issuers(_json(settings.issuers)))
    counters = Counters(layout.keys / "counters", 0, COUNTERS, "sluice_", gauges.KEYS)
    service = await KeysService.start(
        await Stores.open(settings.keys_database or f"sqlite:///{layout.keys / 'keys.db'}"),
        secrets,
        root=root,
        hosts=settings.public_bases,
        issuers=further,
        rules=Rules(settings.opens_per_minute, int(settings.session_limit), settings.streams),
        pace=Pace(settings.pace_burst, settings.pace_rate, settings.pace_jump, settings.pace_jumps),
        rippers=Policy(settings.ripper_action, settings.ripper_score),
        count=counters.count,
    )
    counters.set("keys_start_time_seconds", int(time.time()))
    seen = gauges.live_sessions_into(counters, service.live_sessions)
    return with_resources(create_app(service, counters.render), [*root_end, seen])


async def build_origin(settings: Settings, *, queue_only: bool = False) -> ASGIApp:
    """The origin service, its ingest included. Its node is enrolled in the background.

    With `queue_only` a worker on the origin's queue: it takes no uploads and hands out no media.
    """
    from deploy.blob_stores import media_blobs
    from origin.app import create_app
    from origin.captions import SHELF, Shelf
    from origin.control.wiring import Control
    from origin.incoming import Incoming
    from origin.ingest.convert import Settings as Conversion
    from origin.ingest.jobs import Jobs
    from origin.ingest.ladder import Wishes
    from origin.ingest.provider import Provider
    from origin.queue_app import create_queue_app
    from origin.store.catalogue import Catalogue
    from origin.store.garbage import collecting

    layout = Layout(settings)
    layout.origin.mkdir(parents=True, exist_ok=True, mode=0o700)
    node = usable(lambda: identity(layout.origin, f"{settings.node_name}-origin", "origin"))
    keys = KeysClient(settings.keys, node_credential(node, time.time))
    catalogue = await Catalogue.open(
        settings.catalogue_database or f"sqlite:///{layout.origin / 'catalogue.db'}"
    )
    blobs, blobs_end = media_blobs(settings)
    conversion = Conversion(
        ffmpeg=ffmpeg_path(settings),
        wishes=Wishes(segment_s=int(settings.segment_duration)),
        key_period_s=settings.key_period,
        require_jail=settings.require_jail,
    )
    jobs = Jobs(
        catalogue=catalogue,
        blobs=blobs,
        keys=keys,
        identity=node,
        settings=conversion,
        concurrency=settings.ingest_jobs,
        provider=Provider(
            lambda: secret_files.read_line(layout.secrets / secret_files.DRM_AUTH), settings.drm_scheme
        ),
        workers=layout.origin / "workers",
        receives=not queue_only,
        shared=settings.uploads_shared,
        shelf=Shelf(layout.incoming / SHELF),
    )
    ends: list[Resource] = [_closing(catalogue.close), _closing(blobs_end), keys]
    if queue_only:  # a machine that only ingests has no admin token
        app = create_queue_app(jobs)
    else:
        admin = token(layout, secret_files.ADMIN_TOKEN)
        operator = KeysClient(settings.keys, lambda: admin)
        ends += [collecting(catalogue, blobs), operator]
        app = create_app(
            catalogue=catalogue,
            blobs=blobs,
            jobs=jobs,
            incoming=Incoming(layout.incoming, max_bytes=settings.upload_limit),
            trust=keys.trust,
            admin_token=admin,
            control=Control(
                keys=operator,
                issuer=layout.secrets / secret_files.ISSUER,
                edges=lambda: settings.public_edges or known_edges(layout.data),
                webhook_networks=[ip_network(each) for each in settings.webhook_networks],
            ),
        )
    return with_resources(app, [*ends, enrolling(keys, node, token(layout, secret_files.ORIGIN_TOKEN))])


async def build_admin(settings: Settings) -> ASGIApp:
    """The admin console. It works with the operator's token and signs links with the site's key."""
    from deploy.console.app import create_console

    layout = Layout(settings)
    admin = token(layout, secret_files.ADMIN_TOKEN)
    return create_console(
        keys=KeysClient(settings.keys, lambda: admin),
        origin_url=settings.origin,
        admin_token=admin,
        issuer=lambda: secret_files.read_issuer(layout.secrets / secret_files.ISSUER),
        edges=settings.public_bases,
        port_base=settings.port_base,
    )


def edge_counters() -> dict[str, str]:
    """What an edge counts: {name: meaning} over cache, delivery, pace and guard; zones are apart."""
    from edge.cache.counters import COUNTERS as CACHE
    from edge.deliver.counters import COUNTERS as DELIVER
    from edge.deliver.meter import COUNTERS as METER
    from edge.deliver.pace import COUNTERS as PACE
    from edge.deliver.streams import COUNTERS as STREAMS
    from edge.guard.counters import COUNTERS as GUARD

    return {**CACHE, **DELIVER, **METER, **PACE, **STREAMS, **GUARD}


def shield_counters() -> dict[str, str]:
    """What a shield counts: {name: meaning} over its cache, what it serves, and guard."""
    from edge.cache.counters import COUNTERS as CACHE
    from edge.guard.counters import COUNTERS as GUARD
    from edge.shield.counters import COUNTERS as SHIELD
    from edge.zone.counters import COUNTERS as ZONE

    cache = {name: meaning for name, meaning in CACHE.items() if not name.startswith("shield_")}
    return {**SHIELD, **cache, **GUARD, **ZONE}


def edge_histograms() -> dict[str, Histogram]:
    """What an edge observes: {name: histogram}."""
    from edge.deliver import first_byte

    return {first_byte.NAME: Histogram(first_byte.MEANING, first_byte.BOUNDS_S, first_byte.SERIES)}


def counters_of(layout: Layout, index: int) -> Path:
    """Where the workers of an edge keep their counters."""
    return layout.edge(index) / "counters"


def with_resources(app: Starlette, resources: Sequence[Resource]) -> Starlette:
    """The application, whose lifespan now also enters these, in order, around what it did before."""
    inner = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(served: Starlette) -> AsyncIterator[Any]:
        async with contextlib.AsyncExitStack() as stack:
            for resource in resources:
                await stack.enter_async_context(resource)
            yield await stack.enter_async_context(inner(served))

    app.router.lifespan_context = lifespan
    return app


@contextlib.asynccontextmanager
async def _closing(close: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await close()


def token(layout: Layout, name: str) -> str:
    return usable(lambda: secret_files.read_token(layout.secrets / name))


def _json(path: Path | None) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text()) if path else {}
    except ValueError as error:
        raise ValueError(f"issuers: {path} is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise ValueError(f"issuers: {path} must hold a JSON object.")
    return found
