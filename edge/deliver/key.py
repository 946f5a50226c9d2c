"""The 16 raw bytes that open one key period of one rendition of one session (RFC 8216 §4.3.2.4, §5).

Answered at once while the session lives: what is paced is segments. Nobody stores it.
"""

from edge.deliver.answer import Answer
from edge.deliver.headers import KEY_TYPE, unstored
from edge.deliver.needs import Library
from edge.deliver.path import Route
from edge.deliver.playlist import rendition_of
from keys.derive import content_key
from keys.leases import Lease
from keys.problems import Problem
from origin.media.asset import Descriptor, Rendition


def period_of(descriptor: Descriptor, number: int) -> int:
    """The key period segment `number` lies in."""
    return number // descriptor.period_segments


def segment_key(lease: Lease, rendition: Rendition, protection: str, period: int) -> bytes:
    """K: what this session's segments of that period are encrypted with."""
    what = (protection, rendition.track, rendition.id, period)
    return lease.made(what, lambda: content_key(lease.srk, *what))


async def answer(library: Library, route: Route, lease: Lease) -> Answer:
    """The key of a period the rendition has. Problem forbidden for any other."""
    descriptor = await library.descriptor(lease.asset, lease.generation)
    rendition = rendition_of(descriptor, route)
    if route.number * descriptor.period_segments >= len(rendition.durations):
        raise Problem("forbidden", detail=f"no key period {route.number}")
    key = segment_key(lease, rendition, route.protection, route.number)
    return Answer(200, unstored(KEY_TYPE), key)
