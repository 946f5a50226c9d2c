"""Playlists of an asset, the same bytes for every session: written once a generation and rendition.

The format is `origin.media.hls`; here they are kept, tagged and answered. Relative URIs inherit the
viewer's token.
"""

from collections import OrderedDict
from typing import Final

from edge.deliver.answer import Answer, Request, conditional, strong_etag
from edge.deliver.headers import PLAYLIST_AGE_S, PLAYLIST_TYPE, private
from edge.deliver.needs import Library
from edge.deliver.path import Kind, Route
from keys.leases import Lease
from keys.problems import Problem
from origin.media import hls
from origin.media.asset import Descriptor, Rendition

MOST_PLAYLISTS: Final = 2_000

_Key = tuple[
    str, int, str, str
]  # asset, generation, protection, rendition ("" for the multivariant playlist)


class Playlists:
    """The playlists one worker has written, the least recently used let go first."""

    def __init__(self, library: Library, *, most: int = MOST_PLAYLISTS) -> None:
        self._library = library
        self._most = most
        self._written: OrderedDict[_Key, tuple[bytes, str]] = OrderedDict()

    async def answer(self, route: Route, request: Request, lease: Lease) -> Answer:
        """The playlist, or 304 when the client has it."""
        body, etag = await self._playlist(route, lease)
        return conditional(request, private(PLAYLIST_TYPE, PLAYLIST_AGE_S), body, etag)

    async def _playlist(self, route: Route, lease: Lease) -> tuple[bytes, str]:
        key = (lease.asset, lease.generation, route.protection, route.rendition)
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
    """The rendition a route names, under the route's protection. Problem forbidden when there is none."""
    rendition = descriptor.rendition(route.rendition)
    if rendition is None or route.protection not in descriptor.protections:
        raise Problem("forbidden", detail=f"no {route.protection} rendition {route.rendition}")
    return rendition


def _write(descriptor: Descriptor, route: Route) -> bytes:
    if route.kind is Kind.MEDIA:
        return hls.media(descriptor, rendition_of(descriptor, route), route.protection)
    if route.protection not in descriptor.protections:
        raise Problem("forbidden", detail=f"not offered as {route.protection}")
    return hls.multivariant(descriptor, route.protection)
