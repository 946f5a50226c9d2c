"""Captions and storyboards: small bodies for sessions, answered whole.

A segment of captions leaves under `aes` as segments of media do, in CBC under a key of the session
(`key.text_key`); the whole file of them is for manifests, which name it under the other protections only.
There, and for pictures of a storyboard, no player has a way to decrypt: they leave as they are, to whoever
has a valid session and to nobody else. None of it is paced: it is a thousandth of what is watched.
"""

from dataclasses import replace
from typing import Final

from edge.deliver.answer import Answer, Request, conditional, strong_etag
from edge.deliver.cipher import SegmentCipher
from edge.deliver.headers import INIT_AGE_S, JPEG_TYPE, TEXT_TYPE, cache_status, private
from edge.deliver.key import period_of, text_key
from edge.deliver.needs import Library
from edge.deliver.path import WHOLE, WHOLE_TEXT, Kind, Route
from edge.deliver.playlist import check_offered
from keys.leases import Lease
from keys.problems import Problem
from origin.media.asset import Descriptor
from origin.media.captions import WHOLE_OBJECT
from origin.media.extras import STORYBOARD, Caption, segment_text, sheet, thumbnails
from origin.media.seal import slice_count

KINDS: Final = (Kind.TEXT, Kind.INDEX, Kind.SHEET)


async def answer(library: Library, node: str, route: Route, request: Request, lease: Lease) -> Answer:
    """What the route names, or 304. Problem forbidden where the asset has none of it."""
    descriptor = await library.descriptor(lease.asset, lease.generation)
    check_offered(descriptor, route)
    if route.kind is Kind.TEXT:
        return await _text(library, node, descriptor, route, request, lease)
    board = descriptor.storyboard
    if board is None or (route.kind is Kind.SHEET and route.number >= len(board.sizes)):
        raise Problem("forbidden", detail=f"no {route.kind.value} {route.number}")
    if route.kind is Kind.INDEX:
        body = thumbnails(board)
        return conditional(request, private(TEXT_TYPE, INIT_AGE_S), body, strong_etag(body))
    name, size = sheet(route.number), board.sizes[route.number]
    body, status = await _stored(library, node, lease, STORYBOARD, name, size)
    return conditional(request, [*private(JPEG_TYPE, INIT_AGE_S), status], body, strong_etag(body))


async def _text(
    library: Library, node: str, descriptor: Descriptor, route: Route, request: Request, lease: Lease
) -> Answer:
    caption = descriptor.caption(route.rendition)
    if caption is None or route.number >= len(caption.sizes):
        raise Problem("forbidden", detail=f"no captions {route.rendition}/{route.number}")
    if route.number == WHOLE_TEXT:
        if route.protection == WHOLE:  # plain, what the same session gets encrypted
            raise Problem("forbidden", detail=f"captions in one file under {WHOLE}")
        name, size = WHOLE_OBJECT, caption.whole
    else:
        name, size = segment_text(route.number), caption.sizes[route.number]
    body, status = await _stored(library, node, lease, caption.id, name, size)
    if route.protection == WHOLE:
        body = _encrypted(body, descriptor, caption, route, lease)
    return conditional(request, [*private(TEXT_TYPE, INIT_AGE_S), status], body, strong_etag(body))


def _encrypted(body: bytes, descriptor: Descriptor, caption: Caption, route: Route, lease: Lease) -> bytes:
    period = replace(route, number=period_of(descriptor, route.number))
    cipher = SegmentCipher(text_key(descriptor, lease, caption, period), route.number)
    return cipher.whole(body)


async def _stored(
    library: Library, node: str, lease: Lease, rendition: str, name: str, size: int
) -> tuple[bytes, tuple[bytes, bytes]]:
    """A stored object, and what Cache-Status says of it. Problem bad_upstream when it is not as described."""
    opened = await library.open(lease.tenant, lease.asset, lease.generation, rendition, name, lease.sk)
    if opened.length != size:
        opened.close()
        raise Problem("bad_upstream", detail=f"{rendition}/{name}: {opened.length} bytes, not {size}")
    body = b"".join([bytes(await opened.slice(index)) for index in range(slice_count(opened.length))])
    return body, (b"cache-status", cache_status(node, opened.source, stored=opened.stored))
