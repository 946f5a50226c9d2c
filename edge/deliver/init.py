"""Init segments: what a decoder needs before any segment. They hold no media and are the same for everyone.

Under Common Encryption they say how samples are protected and under which key ID, never with which key; of a
DRM asset also what its DRM systems ask their license servers with.
"""

from functools import lru_cache

from edge.deliver.answer import Answer, Request, conditional, strong_etag
from edge.deliver.cors import Headers
from edge.deliver.headers import INIT_AGE_S, INIT_TYPE, cache_status, private
from edge.deliver.needs import Library
from edge.deliver.path import WHOLE, Route
from edge.deliver.playlist import rendition_of
from edge.deliver.samples import Samples, samples_of
from keys.leases import Lease
from keys.problems import Problem
from origin.media.asset import INIT_OBJECT
from origin.media.boxes import BadMedia
from origin.media.protected_init import protected_init
from origin.media.seal import slice_count


async def answer(library: Library, node: str, route: Route, request: Request, lease: Lease) -> Answer:
    """The init segment of a rendition, or 304 when the client has it."""
    descriptor = await library.descriptor(lease.asset, lease.generation)
    rendition = rendition_of(descriptor, route)
    opened = await library.open(
        lease.tenant, lease.asset, lease.generation, rendition.id, INIT_OBJECT, lease.sk
    )
    body = b"".join([bytes(await opened.slice(index)) for index in range(slice_count(opened.length))])
    if route.protection != WHOLE:
        try:
            body = _protected(body, samples_of(descriptor, rendition.track, route.protection))
        except BadMedia as exc:
            raise Problem("bad_upstream", detail=f"{rendition.id}: {exc}") from exc
    headers: Headers = [
        *private(INIT_TYPE, INIT_AGE_S),
        (b"cache-status", cache_status(node, opened.source, stored=opened.stored)),
    ]
    return conditional(request, headers, body, strong_etag(body))


@lru_cache(256)
def _protected(init: bytes, samples: Samples) -> bytes:
    return protected_init(init, samples.scheme, samples.kid, iv=samples.iv, pssh=samples.pssh)
