"""The composition root of a shield: one worker from settings, with real adapters (`deploy.assemble`).

Also what edges and shields have in common: how those nearer the origin are asked.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.types import ASGIApp

from deploy import gauges
from deploy.assemble import shield_counters, token
from deploy.counters import Counters
from deploy.enrol import enrolling, identity
from deploy.launch import shield_workers
from deploy.layout import Layout
from deploy.settings import Settings
from deploy.usable import usable
from deploy.zones_file import shield_zones_of
from keys import secrets as secret_files
from keys.client import KeysClient, node_credential
from keys.derive import enc, hkdf_expand
from keys.node_directory import AUDIENCE, NodeDirectory
from keys.nodes import NodeIdentity

if TYPE_CHECKING:
    from edge.cache.counters import Count
    from edge.cache.tiers import Tiers
    from edge.cache.upstream import OriginClient


ZONES_SHARE: Final = 2  # of the memory, the part that is for zones where there are any


async def build_shield(settings: Settings, worker: int, shared: int | None = None) -> ASGIApp:
    """One worker of the shield. Its workers share identity, memory, claims, and what they hear of keys."""
    from edge.cache.claims import Claims
    from edge.cache.levels import SealedLevels
    from edge.cache.library import Library
    from edge.cache.redis import RedisSlices
    from edge.cache.shared import open_memory
    from edge.deliver.cors import Cors
    from edge.deliver.node_memory import NodeMemory
    from edge.deliver.trust import TrustedTokens
    from edge.shield.app import ShieldApp
    from edge.shield.blobs import Blobs
    from edge.shield.zones import NoLinks, ShieldZones
    from edge.zone.access import Access
    from edge.zone.beside import Beside
    from edge.zone.parts import Parts
    from edge.zone.seen import Seen

    layout = Layout(settings)
    name = f"{settings.node_name}-shield"
    node = usable(lambda: identity(layout.shield, name, "shield"))
    counters = Counters(
        layout.shield / "counters", worker, shield_counters(), "sluice_shield_", gauges.SHIELD
    )
    zones = shield_zones_of(settings)
    credential = node_credential(node, time.time)
    keys = KeysClient(settings.keys, credential, zones=[zone.name for zone in zones])
    heard = NodeMemory(shared).trust if shared is not None else None
    trusted = TrustedTokens(keys, now=time.time, clock=time.monotonic, shared=heard)
    store = None
    if settings.redis not in (
        "auto",
        "none",
    ):  # it has memory of its own; a Redis is asked where one is named
        store = RedisSlices(settings.redis, count=counters.count)
    media_memory = settings.l1_memory // ZONES_SHARE if zones else settings.l1_memory
    memory = usable(
        lambda: open_memory(
            layout.shield_l1, media_memory, workers=shield_workers(settings), count=counters.count
        )
    )
    origin = upstream(settings, node, (), layout.shield, count=counters.count, now=time.time)
    library = Library(
        memory,
        store,
        Claims(layout.shield / "claims", store, count=counters.count),
        origin,
        trusted.packagers,
        trusted.refresh_soon,
        levels=SealedLevels,
        count=counters.count,
    )
    nodes = NodeDirectory(keys.trust, now=time.time, clock=time.monotonic)
    own_key = hkdf_expand(node.private.private_bytes_raw(), enc("sluice1 shield l1"), 32)
    readings: dict[str, gauges.Reading] = {
        "workers": lambda: 1,
        "workers_wanted": lambda: shield_workers(settings),
        "start_time_seconds": gauges.started_now(),
        "l1_bytes": lambda: memory.used_bytes,
        "l1_limit_bytes": lambda: media_memory,
        "origin_up": lambda: origin.up,
    }
    zoned = None
    if zones:
        beside = Beside(
            zones,
            Access(trusted, NoLinks(), None),
            keys,
            Cors((settings.shield,), ()),
            node=name,
            public_url=settings.shield,
            now=time.time,
            parts=Parts(
                settings.l1_memory - media_memory,
                seen=Seen(count=lambda counted, by, _: counters.count(counted, by)),
            ),
        )
        zoned = ShieldZones(beside, [zone.name for zone in zones], nodes.check, counters.count)
    return ShieldApp(
        Blobs(library, nodes.check, name=name, key=own_key, count=counters.count),
        trusted=trusted,
        metrics=counters.render,
        origin=origin,
        zones=zoned,
        count=counters.count,
        resources=[
            keys,
            library,
            enrolling(keys, node, token(layout, secret_files.JOIN_TOKEN)),
            gauges.read_into(counters, readings),
        ],
    )


def upstream(
    settings: Settings,
    node: NodeIdentity,
    shields: Sequence[str],
    directory: Path,
    *,
    count: "Count",
    now: Callable[[], float],
) -> "Tiers | OriginClient":
    """How a node asks these shields and the origin. What its workers know of each lies in `directory`."""
    from edge.cache.breaker import SharedOutage
    from edge.cache.tiers import source
    from edge.cache.upstream import OriginClient

    def client(url: str, **how: Any) -> OriginClient:
        mark = "" if url == settings.origin else "-" + hashlib.sha256(url.encode()).hexdigest()[:12]
        return OriginClient(
            url,
            lambda: node.bearer(AUDIENCE, now()),
            outage=SharedOutage(directory / f"origin{mark}.outage"),
            name=node.name,
            count=count,
            **how,
        )

    return source(shields, (settings.origin, *settings.origin_further), client, count=count)
