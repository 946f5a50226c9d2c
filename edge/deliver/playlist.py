"""Playlists and manifests of an asset, the same bytes for every session: written once a generation and
rendition.

The formats are `origin.media.hls` and `origin.media.dash`; here they are kept, tagged and answered. Relative
URIs inherit the viewer's token.
"""

from collections import OrderedDict
from typing import Final

from edge.deliver.answer import Answer, Request, conditional, strong_etag
from edge.deliver.headers import MANIFEST_TYPE, PLAYLIST_AGE_S, PLAYLIST_TYPE, private
from edge.deliver.needs import Library
from edge.deliver.path import Kind, Route
from keys.leases import Lease
from keys.problems import Problem
from origin.media import dash, hls, hls_captions
from origin.media.asset import Descriptor, Rendition

MOST_PLAYLISTS: Final = 2_000

_Key = tuple[str, int, str, Kind, str]  # asset, generation, protection, and which of them


class Playlists:
    """The playlists one worker has written, the least recently used let go first."""

    def __init__(self, library: Library, *, most: int = MOST_PLAYLISTS) -> None:
        self._library = library
        self._most = most
        self._written: OrderedDict[_Key, tuple[bytes, str]] = OrderedDict()

    async def answer(self, route: Route, request: Request, lease: Lease) -> Answer:
        """The playlist or manifest, or 304 when the client has it."""
        body, etag = await self._playlist(route, lease)
        content_type = MANIFEST_TYPE if route.kind is Kind.MANIFEST else PLAYLIST_TYPE
        return conditional(request, private(content_type, PLAYLIST_AGE_S), body, etag)

    async def _playlist(self, route: Route, lease: Lease) -> tuple[bytes, str]:
        key = (lease.asset, lease.generation, route.protection, route.kind, route.rendition)
        found = self._written.get(key)
        if found is None:
            descriptor = await self._library.descriptor(lease.asset, lease.generation)
            body = _write(descriptor, route)
            found = self._written[key] = (body, strong_etag(body))
            if len(self._written) > self._most:
                self._written.popitem(last=False)
        self._written.move_to_end(key)
        return found


def rendition_of(descriptor: Descriptor, route: Route) -> Rendition:
    """The rendition a route names, under the route's protection.

    Problem forbidden when there is none, not_offered when the asset does not have that protection.
    """
    check_offered(descriptor, route)
    rendition = descriptor.rendition(route.rendition)
    if rendition is None:
        raise Problem("forbidden", detail=f"no rendition {route.rendition}")
    return rendition


def check_offered(descriptor: Descriptor, route: Route) -> None:
    """Problem not_offered unless the asset has the route's protection; what was packaged before may not."""
    if route.protection not in descriptor.protections:
        raise Problem("not_offered", detail=f"{descriptor.asset} has no {route.protection}")


def _write(descriptor: Descriptor, route: Route) -> bytes:
    if route.kind is Kind.MEDIA and (caption := descriptor.caption(route.rendition)):
        check_offered(descriptor, route)
        return hls_captions.media(descriptor, caption, route.protection)
    if route.kind is Kind.MEDIA:
        return hls.media(descriptor, rendition_of(descriptor, route), route.protection)
    check_offered(descriptor, route)
    if route.kind is Kind.MANIFEST:
        return dash.manifest(descriptor, route.protection)
    return hls.multivariant(descriptor, route.protection)
