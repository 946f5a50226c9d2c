"""Which of several shields a zone's answers are asked of: rendezvous hashing, as for media. Pure.

The key is what the cache is keyed by: zone, path and query, and the block of a large body, so that all edges
that name the same shields ask the same one, and a long film lies on all of them. After the owner the next in
rank is asked, SHIELDS_ASKED in all, then the origins in their order. One shield needs none of this.
"""

from dataclasses import replace
from typing import Final

from edge.cache.rendezvous import SHIELDS_ASKED, ranked
from edge.deliver.ranges import specs
from edge.http.entry import Request
from edge.http.fields import get
from edge.http.partial import SLICE, Aligned
from edge.zone.forwarding import Incoming
from edge.zone.sliced import Sliced
from edge.zone.store import Held
from edge.zone.upstream import Asked
from edge.zone.zone import Origin, Zone

BLOCK: Final = 16 * SLICE  # bytes of a body in slices that one shield is asked for


def several(zone: Zone) -> bool:
    """Whether the zone has shields to choose from."""
    return sum(1 for each in zone.origins if each.shield_of) > 1


def places(zone: Zone, asked: Asked) -> tuple[Origin, ...]:
    """Whom to ask for this, one after the other."""
    if not several(zone):
        return zone.origins
    shields = {each.url: each for each in zone.origins if each.shield_of}
    key = f"{zone.name} {asked.target.decode('ascii')}#{_begins(asked) // BLOCK}"
    first = ranked(shields, key)[:SHIELDS_ASKED]
    return (*(shields[url] for url in first), *(each for each in zone.origins if not each.shield_of))


def block_end(start: int) -> int:
    """Where the block with this byte ends."""
    return (start // BLOCK + 1) * BLOCK


def within_block(zone: Zone, wanted: Aligned | None) -> Aligned | None:
    """As much of these slices as one shield is asked for."""
    if wanted is None or not several(zone):
        return wanted
    end = block_end(wanted.start)
    return replace(wanted, stop=end if wanted.stop is None else min(end, wanted.stop))


def first_block(zone: Zone, request: Request) -> Aligned | None:
    """The slices that a shield is to answer this with, should it have the body in slices."""
    whole = request.method == "GET" and get(request.fields, b"range") is None
    return Aligned(0, BLOCK) if whole and several(zone) and zone.rules.slices else None


def in_block(asked: Incoming, held: Held) -> Request:
    """The same at the shield: of a body in slices, no more than its node wants."""
    request, size = asked.request, asked.node.block
    whole = get(request.fields, b"range") is None and held.entry.status == 200
    if size is None or not whole or not isinstance(held.body, Sliced) or held.body.total <= size:
        return request
    return replace(request, fields=[*request.fields, (b"range", Aligned(0, size).value())])


def _begins(asked: Asked) -> int:
    """The first byte that is asked for, where the request says it."""
    wanted = get(asked.fields, b"range")
    found = specs(wanted) if wanted is not None else None
    return (found[0][0] or 0) if found else 0
