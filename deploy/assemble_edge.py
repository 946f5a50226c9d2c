"""The composition root of the edge: one worker from settings, with real adapters (`deploy.assemble`)."""

import contextlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp

from deploy import gauges
from deploy.assemble import Resource, counters_of, edge_counters, edge_histograms, token
from deploy.assemble_shield import ZONES_SHARE, upstream
from deploy.counters import Counters
from deploy.enrol import enrolling, identity
from deploy.launch import workers
from deploy.layout import Layout
from deploy.settings import Settings
from deploy.usable import usable
from deploy.zone_watch import Watched
from deploy.zones_file import zones_of
from keys import secrets as secret_files
from keys.client import KeysClient, node_credential
from keys.node_directory import AUDIENCE
from keys.purge import NEW

if TYPE_CHECKING:
    from edge.cache.redis import RedisSlices
    from edge.deliver.countries import Countries
    from edge.deliver.limits import LimitStore
    from edge.deliver.pace_ledger import PaceStore
    from edge.zone.region import RegionKeys
    from edge.zone.second_level import SecondLevel
    from edge.zone.zone import Origin

WEB: Final = Path(__file__).parent.parent / "edge" / "web"


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
    from edge.deliver.admission import Limits
    from edge.deliver.clients import nowhere
    from edge.deliver.first_byte import NAME as FIRST_BYTE
    from edge.deliver.keys_clock import KeysClock
    from edge.deliver.node_memory import NodeMemory
    from edge.deliver.pace import PaceGate
    from edge.deliver.trust import TrustedTokens
    from edge.zone.region import RegionKeys
    from edge.zone.through import Through

    layout = Layout(settings)
    name = f"{settings.node_name}-edge-{index + 1}"
    node = usable(lambda: identity(layout.edge(index), name, "edge"))
    zones = zones_of(settings)
    watched = Watched(counters_of(layout, index), worker, zones)
    counters = Counters(
        counters_of(layout, index),
        worker,
        edge_counters(),
        "sluice_edge_",
        gauges.EDGE,
        edge_histograms(),
        watched.counters.families,
    )
    keys_clock = KeysClock(time.time, time.monotonic)
    credential = node_credential(node, keys_clock.time)
    keys = KeysClient(settings.keys, credential, zones=[zone.name for zone in zones])
    beside = NodeMemory(shared) if shared is not None else None
    trusted = TrustedTokens(
        keys, now=time.time, clock=time.monotonic, shared=beside.trust if beside else None
    )
    store = RedisSlices(settings.redis, count=counters.count) if settings.redis != "none" else None
    region = RegionKeys(keys, clock=time.monotonic) if zones and store is not None else None
    zone_memory = settings.l1_memory // ZONES_SHARE if zones else 0
    media_memory = settings.l1_memory - zone_memory
    memory = usable(lambda: open_memory(layout.l1(index), media_memory, count=counters.count))
    origin = upstream(
        settings, node, settings.shields, layout.edge(index), count=counters.count, now=keys_clock.time
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
        "workers_wanted": lambda: workers(settings),
        "start_time_seconds": gauges.started_now(),
        "l1_bytes": lambda: memory.used_bytes,
        "l1_limit_bytes": lambda: media_memory,
        "l2_up": lambda: store is not None and store.up,
        "origin_up": lambda: origin.up,
        "shields_up": lambda: origin.shields_up,
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
        zones=zones,
        zone_parts=watched.parts(
            zone_memory // workers(settings),
            lambda each: SharedOutage(layout.edge(index) / f"zone-{_file_of(each)}.outage"),
            None if region is None else _second(store, region, watched),
            Through(
                lambda: node.bearer(AUDIENCE, keys_clock.time()),
                lambda: app.beside.purges.heard if app.beside else NEW,
            ),
        ),
        resources=[
            keys,
            library,
            *store_ends,
            contextlib.aclosing(pace),
            *([region] if region else []),
            enrolling(keys, node, token(layout, secret_files.JOIN_TOKEN)),
            gauges.read_into(counters, readings),
            watched.telling(lambda: app.beside.told() if app.beside else {}),
        ],
    )
    return app


def _file_of(origin: "Origin") -> str:
    """A name for files about an origin."""
    return re.sub(r"[^a-z0-9.-]", "_", f"{origin.scheme}-{origin.host}-{origin.port}")


def _second(store: "RedisSlices | None", region: "RegionKeys", watched: Watched) -> "SecondLevel | None":
    """Redis below zones."""
    from edge.zone.second_level import SecondLevel

    if store is None:
        return None
    return SecondLevel(
        store,
        region.ring,
        now=time.time,
        clock=time.monotonic,
        count=watched.counters.count,
        newer=region.newer,
    )


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
