"""Init segments: what a decoder needs before any segment. They hold no media and stay clear for everyone."""

from edge.deliver.answer import Answer, Request, conditional, strong_etag
from edge.deliver.cors import Headers
from edge.deliver.headers import INIT_AGE_S, INIT_TYPE, cache_status, private
from edge.deliver.needs import Library
from edge.deliver.path import Route
from edge.deliver.playlist import rendition_of
from keys.leases import Lease
from origin.media.asset import INIT_OBJECT
from origin.media.seal import slice_count


async def answer(library: Library, node: str, route: Route, request: Request, lease: Lease) -> Answer:
    """The init segment of a rendition, or 304 when the client has it."""
    descriptor = await library.descriptor(lease.asset, lease.generation)
    rendition = rendition_of(descriptor, route)
    opened = await library.open(
        lease.tenant, lease.asset, lease.generation, rendition.id, INIT_OBJECT, lease.sk
    )
    body = b"".join([bytes(await opened.slice(index)) for index in range(slice_count(opened.length))])
    headers: Headers = [
        *private(INIT_TYPE, INIT_AGE_S),
        (b"cache-status", cache_status(node, opened.source, stored=opened.stored)),
    ]
    return conditional(request, headers, body, strong_etag(body))
