"""The keys a session is given: 16 raw bytes that open a key period of a rendition (RFC 8216 §4.3.2.4, §5),
and what opens a protected download (`protected`).

Under Common Encryption one key opens a whole track of the session, in all its renditions; it is period 0 of
each of them (SECURITY 3.2). Answered at once while the session lives: what is paced is segments. Nobody
stores them.
"""

import json
from functools import lru_cache
from typing import Any

from edge.deliver.answer import Answer
from edge.deliver.headers import JSON_TYPE, KEY_TYPE, unstored
from edge.deliver.needs import Library
from edge.deliver.path import DRM, WHOLE, Route
from edge.deliver.playlist import check_offered, rendition_of
from keys.derive import content_key, key_id
from keys.leases import Lease
from keys.names import b64url
from keys.problems import Problem
from origin.media.asset import Descriptor, Download, Rendition
from origin.media.extras import Caption


def period_of(descriptor: Descriptor, number: int) -> int:
    """The key period segment `number` lies in."""
    return number // descriptor.period_segments


def segment_key(lease: Lease, rendition: Rendition, period: int) -> bytes:
    """K of `aes`: what this session's segments of that period are encrypted with."""
    return _made(lease, WHOLE, rendition.track, rendition.id, period)


def text_key(descriptor: Descriptor, lease: Lease, caption: Caption, route: Route) -> bytes:
    """K of captions under `aes`, for key period `route.number`. Problem forbidden where there is none."""
    check_offered(descriptor, route)
    if route.protection != WHOLE or route.number > period_of(descriptor, len(caption.sizes) - 1):
        raise Problem("forbidden", detail=f"no key period {route.number} of {caption.id}")
    return _made(lease, WHOLE, "text", caption.id, route.number)


def track_key(lease: Lease, track: str, protection: str) -> bytes:
    """K of Common Encryption: what this session's samples of that track are encrypted with."""
    return _made(lease, protection, track, "-", 0)


@lru_cache(4096)
def track_key_id(tenant: str, asset: str, generation: int, track: str, protection: str) -> bytes:
    """KID of the same, 16 bytes: one for all sessions."""
    return key_id(tenant, asset, generation, protection, track, "-", 0)


def _made(lease: Lease, *what: Any) -> bytes:
    return lease.made(what, lambda: content_key(lease.srk, *what))


def file_key(lease: Lease, file: Download) -> bytes:
    """K: what this session's form of a file is encrypted with, beside the salt of that file."""
    what = ("ece", "file", file.rendition, 0)
    return lease.made(what, lambda: content_key(lease.srk, *what))


async def file_answer(library: Library, route: Route, lease: Lease) -> Answer:
    """What opens a protected file and checks it. Problem forbidden for any other.

    JSON: `key` (16 bytes), `sha256` of the plain bytes, both base64url; their `size`, `name` and `type`.
    """
    descriptor = await library.descriptor(lease.asset, lease.generation)
    file = protected_file(descriptor, route)
    told = {
        "key": b64url(file_key(lease, file)),
        "size": file.size,
        "sha256": file.sha256,
        "name": file.shown,
        "type": file.media_type,
    }
    return Answer(200, unstored(JSON_TYPE), json.dumps(told, separators=(",", ":")).encode())


def protected_file(descriptor: Descriptor, route: Route) -> Download:
    """The file a route means that leaves encrypted only. Problem forbidden when there is none."""
    file = descriptor.download(route.file)
    if file is None or file.protection != route.protection:
        raise Problem("forbidden", detail=f"no protected download {route.file}")
    return file


async def answer(library: Library, route: Route, lease: Lease) -> Answer:
    """The key of a period the rendition has. Problem forbidden for any other, drm where a provider has it."""
    descriptor = await library.descriptor(lease.asset, lease.generation)
    if (caption := descriptor.caption(route.rendition)) is not None:
        return Answer(200, unstored(KEY_TYPE), text_key(descriptor, lease, caption, route))
    rendition = rendition_of(descriptor, route)
    check_ours(route)
    whole = route.protection == WHOLE
    periods = -(-len(rendition.durations) // descriptor.period_segments) if whole else 1
    if route.number >= periods:
        raise Problem("forbidden", detail=f"no key period {route.number}")
    if whole:
        key = segment_key(lease, rendition, route.number)
    else:
        key = track_key(lease, rendition.track, route.protection)
    return Answer(200, unstored(KEY_TYPE), key)


def check_ours(route: Route) -> None:
    """Problem drm when the license server of the asset's DRM provider gives these keys, and nobody else."""
    if route.protection == DRM:
        raise Problem("drm", detail="keys of a DRM asset were asked for")
