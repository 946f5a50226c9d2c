"""The composition root: each service from settings, with real adapters. The only place that constructs them.

Every builder returns an ASGI application whose lifespan starts and ends what belongs to it. Secrets are read
from their files here and handed on; a secret or an identity that cannot be used is a SettingError.
"""

import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.types import ASGIApp

from deploy import gauges
from deploy.counters import Counters
from deploy.enrol import enrolling, identity
from deploy.ffmpeg import ffmpeg_path
from deploy.histograms import Histogram
from deploy.layout import Layout
from deploy.settings import Settings
from deploy.usable import usable
from keys import secrets as secret_files
from keys.client import KeysClient, node_credential

if TYPE_CHECKING:
    from edge.deliver.countries import Countries
    from edge.deliver.limits import LimitStore
    from edge.deliver.pace_ledger import PaceStore

Resource = AbstractAsyncContextManager[object]

WEB: Final = Path(__file__).parent.parent / "edge" / "web"

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


async def build_origin(settings: Settings) -> ASGIApp:
    """The origin service, its ingest included. Its node is enrolled in the background."""
    from origin.app import create_app
    from origin.incoming import Incoming
    from origin.ingest.convert import Settings as Conversion
    from origin.ingest.jobs import Jobs
    from origin.ingest.ladder import Wishes
    from origin.store.blobs import LocalBlobs
    from origin.store.catalogue import Catalogue

    layout = Layout(settings)
    layout.origin.mkdir(parents=True, exist_ok=True, mode=0o700)
    node = usable(lambda: identity(layout.origin, f"{settings.node_name}-origin", "origin"))
    keys = KeysClient(settings.keys, node_credential(node, time.time))
    catalogue = await Catalogue.open(
        settings.catalogue_database or f"sqlite:///{layout.origin / 'catalogue.db'}"
    )
    blobs = LocalBlobs(layout.blobs)
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
    )
    app = create_app(
        catalogue=catalogue,
        blobs=blobs,
        jobs=jobs,
        incoming=Incoming(layout.incoming, max_bytes=settings.upload_limit),
        trust=keys.trust,
        admin_token=_token(layout, secret_files.ADMIN_TOKEN),
    )
    return with_resources(
        app,
        [
            _closing(catalogue.close),
            keys,
            enrolling(keys, node, _token(layout, secret_files.ORIGIN_TOKEN)),
        ],
    )


async def build_admin(settings: Settings) -> ASGIApp:
    """The admin console. It works with the operator's token and signs links with the site's key."""
    from deploy.console.app import create_console

    layout = Layout(settings)
    token = _token(layout, secret_files.ADMIN_TOKEN)
    return create_console(
        keys=KeysClient(settings.keys, lambda: token),
        origin_url=settings.origin,
        admin_token=token,
        issuer=lambda: secret_files.read_issuer(layout.secrets / secret_files.ISSUER),
        edges=settings.public_bases,
        port_base=settings.port_base,
    )


async def build_edge(settings: Settings, index: int, worker: int, shared: int | None = None) -> ASGIApp:
    """One worker of the edge with this index (from 0). Its workers share identity, memory and claims.

    `shared` is the descriptor of the memory they share (`edge.deliver.node_memory`).
    """
    from edge.app import EdgeApp, EdgeSettings
    from edge.cache.breaker import SharedOutage
    from edge.cache.claims import Claims
    from edge.cache.library import Library
    from edge.cache.redis import RedisSlices
    from edge.cache.shared import open_memory
    from edge.cache.upstream import OriginClient
    from edge.deliver.admission import Limits
    from edge.deliver.clients import nowhere
    from edge.deliver.first_byte import NAME as FIRST_BYTE
    from edge.deliver.keys_clock import KeysClock
    from edge.deliver.node_memory import NodeMemory
    from edge.deliver.pace import PaceGate
    from edge.deliver.trust import TrustedTokens

    layout = Layout(settings)
    name = f"{settings.node_name}-edge-{index + 1}"
    node = usable(lambda: identity(layout.edge(index), name, "edge"))
    counters = Counters(
        counters_of(layout, index), worker, edge_counters(), "sluice_edge_", gauges.EDGE, edge_histograms()
    )
    keys_clock = KeysClock(time.time, time.monotonic)
    keys = KeysClient(settings.keys, node_credential(node, keys_clock.time))
    beside = NodeMemory(shared) if shared is not None else None
    trusted = TrustedTokens(
        keys, now=time.time, clock=time.monotonic, shared=beside.trust if beside else None
    )
    store = RedisSlices(settings.redis, count=counters.count) if settings.redis != "none" else None
    memory = usable(lambda: open_memory(layout.l1(index), settings.l1_memory, count=counters.count))
    origin = OriginClient(
        settings.origin,
        lambda: node.bearer("origin", keys_clock.time()),
        outage=SharedOutage(layout.edge(index) / "origin.outage"),
        count=counters.count,
    )
    library = Library(
        memory,
        store,
        Claims(layout.edge(index) / "claims", store, count=counters.count),
        origin,
        trusted.packagers,
        trusted.refresh_soon,
        count=counters.count,
    )
    countries = _countries(settings.geoip) if settings.geoip else None
    pace_store, limit_store, store_ends = _control_stores(settings)
    pace = PaceGate(pace_store, now=keys_clock.time, count=counters.count)
    readings: dict[str, gauges.Reading] = {
        "workers": lambda: 1,
        "workers_wanted": lambda: settings.workers or len(os.sched_getaffinity(0)),
        "start_time_seconds": gauges.started_now(),
        "l1_bytes": lambda: memory.used_bytes,
        "l1_limit_bytes": lambda: settings.l1_memory,
        "l2_up": lambda: store is not None and store.up,
        "origin_up": lambda: origin.up,
        "revocation_feed_age_seconds": lambda: app.revocations.age_s(),  # noqa: PLW0108 - app is made below
        "clock_skew_seconds": lambda: abs(keys_clock.skew_s()),
    }
    app = EdgeApp(
        EdgeSettings(
            node=name,
            public_url=settings.public_bases[index],
            web=WEB,
            edges=settings.public_bases,
            cors_origins=settings.cors_origins,
            framed_by=settings.framed_by,
            token_name=settings.token_name,
            trusted_proxies=settings.trusted_proxies,
            stream_idle_s=settings.stream_idle,
            busy=Limits(settings.overload_lag, settings.overload_wait),
        ),
        keys=keys,
        trusted=trusted,
        library=library,
        pace=pace,
        now=time.time,
        clock=time.monotonic,
        metrics=counters.render,
        count=counters.count,
        observe=counters.observer(FIRST_BYTE),
        limits=limit_store,
        country_of=countries or nowhere,
        shelf=beside.leases if beside else None,
        heard=beside.revocations if beside else None,
        origin=origin,
        keys_clock=keys_clock,
        resources=[
            keys,
            library,
            *store_ends,
            contextlib.aclosing(pace),
            enrolling(keys, node, _token(layout, secret_files.JOIN_TOKEN)),
            gauges.read_into(counters, readings),
        ],
    )
    return app


def edge_counters() -> dict[str, str]:
    """What an edge counts: {name: meaning} over cache, delivery, pace and guard."""
    from edge.cache.counters import COUNTERS as CACHE
    from edge.deliver.counters import COUNTERS as DELIVER
    from edge.deliver.meter import COUNTERS as METER
    from edge.deliver.pace import COUNTERS as PACE
    from edge.deliver.streams import COUNTERS as STREAMS
    from edge.guard.counters import COUNTERS as GUARD

    return {**CACHE, **DELIVER, **METER, **PACE, **STREAMS, **GUARD}


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


def _countries(path: Path) -> "Countries":
    """The file of countries. It is loaded only where one is configured."""
    from edge.deliver.countries import Countries

    return usable(lambda: Countries(path))


def _control_stores(settings: Settings) -> tuple["PaceStore", "LimitStore", list[Resource]]:
    """Where viewers' buckets and limits are, and what closes them. Without a control Redis: own ones."""
    from edge.deliver.limit_stores import MemoryLimitStore, RedisLimitStore
    from edge.deliver.pace_stores import MemoryPaceStore, RedisPaceStore

    if settings.redis_control == "none":
        return MemoryPaceStore(time.monotonic), MemoryLimitStore(time.monotonic), []
    pace, limits = RedisPaceStore(settings.redis_control), RedisLimitStore(settings.redis_control)
    return pace, limits, [contextlib.aclosing(pace), contextlib.aclosing(limits)]


@contextlib.asynccontextmanager
async def _closing(close: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await close()


def _token(layout: Layout, name: str) -> str:
    return usable(lambda: secret_files.read_token(layout.secrets / name))


def _json(path: Path | None) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text()) if path else {}
    except ValueError as error:
        raise ValueError(f"issuers: {path} is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise ValueError(f"issuers: {path} must hold a JSON object.")
    return found
