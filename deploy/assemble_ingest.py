"""What the origin and a worker on its queue have in common: catalogue, blobs, keys and the jobs over them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.assemble import Resource, closing, token
from deploy.enrol import enrolling, identity
from deploy.ffmpeg import ffmpeg_path
from deploy.layout import Layout
from deploy.settings import Settings
from deploy.usable import usable
from keys import secrets as secret_files
from keys.client import KeysClient, node_credential
from origin.ingest.convert import Settings as Conversion
from origin.ingest.jobs import Jobs
from origin.ingest.ladder import Wishes
from origin.ingest.provider import Provider
from origin.store.blobs import LocalBlobs
from origin.store.catalogue import Catalogue


@dataclass(frozen=True)
class Parts:
    """Open parts of one process, and what is to be entered around its service."""

    catalogue: Catalogue
    blobs: LocalBlobs
    keys: KeysClient
    jobs: Jobs
    resources: Sequence[Resource]


async def origin_parts(settings: Settings, layout: Layout, *, receives: bool) -> Parts:
    """The parts. The processes of a machine are one node. `receives`: uploads come in at this one."""
    layout.origin.mkdir(parents=True, exist_ok=True, mode=0o700)
    node = usable(lambda: identity(layout.origin, f"{settings.node_name}-origin", "origin"))
    keys = KeysClient(settings.keys, node_credential(node, time.time))
    catalogue = await Catalogue.open(
        settings.catalogue_database or f"sqlite:///{layout.origin / 'catalogue.db'}"
    )
    blobs = LocalBlobs(layout.blobs)
    jobs = Jobs(
        catalogue=catalogue,
        blobs=blobs,
        keys=keys,
        identity=node,
        settings=Conversion(
            ffmpeg=ffmpeg_path(settings),
            wishes=Wishes(segment_s=int(settings.segment_duration)),
            key_period_s=settings.key_period,
            require_jail=settings.require_jail,
        ),
        workers=layout.origin / "workers",
        concurrency=settings.ingest_jobs,
        provider=Provider(
            lambda: secret_files.read_line(layout.secrets / secret_files.DRM_AUTH), settings.drm_scheme
        ),
        receives=receives,
        shared=settings.uploads_shared,
    )
    enrolled = enrolling(keys, node, token(layout, secret_files.ORIGIN_TOKEN))
    return Parts(catalogue, blobs, keys, jobs, [closing(catalogue.close), keys, enrolled])
