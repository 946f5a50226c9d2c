"""A zone's answers through a shield: how its edge asks there, and what comes back. Beside `upstream`.

A shield has the zone under the same name (docs/zones.md), so an edge asks it for `/z/<name>/…`, as a client
would, and shows its node's bearer in a field of its own: what the client says of itself in Authorization
stays what it is. A shield that does not know the edge, or not the zone, says so in that field, and is
passed by. In another field the edge says how far its log of purges is (`edge.shield.abreast`).
"""

from collections.abc import Callable
from typing import Any, Final

from edge.http.fields import get, replaced, without
from edge.zone.upstream import Asked, NoAnswer, Reply, Upstream
from edge.zone.zone import UNDER, Origin
from keys.purge import NEW

PURGES: Final = b"sluice-purges"  # of a request: see `told`
BLOCK: Final = (
    b"sluice-block"  # of a request: so many bytes of a body in slices, as a 206, are what is wanted
)
NODE: Final = b"sluice-node"  # of a request: the bearer; of an answer: REFUSED, it is the shield's own
REFUSED: Final = b"refused"
SILENT_S: Final = 2.5  # for the head of a shield's answer: fills fail over within 3 s (SECURITY F32)


class Through(Upstream):
    """Asks origins as any Upstream does, and shields as their zones are asked.

    `bearer` is new each time; `purges` is the number of the newest purge that is known here.
    """

    def __init__(
        self, bearer: Callable[[], str], purges: Callable[[], int] = lambda: NEW, **how: Any
    ) -> None:
        super().__init__(**how)
        self._bearer, self._purges = bearer, purges

    async def ask(
        self,
        origin: Origin,
        asked: Asked,
        *,
        connect_s: float | None = None,
        first_byte_s: float | None = None,
        private: bool = False,
    ) -> Reply:
        """As an Upstream. NoAnswer also where a shield refuses to say anything for the zone."""
        if not origin.shield_of:
            return await super().ask(
                origin, asked, connect_s=connect_s, first_byte_s=first_byte_s, private=private
            )
        reply = await super().ask(
            origin,
            asked_of_shield(origin, asked, self._bearer(), self._purges()),
            connect_s=connect_s,
            first_byte_s=None if first_byte_s is None else min(first_byte_s, SILENT_S),
            private=True,
        )
        if get(reply.fields, NODE) is not None:
            await reply.close()
            raise NoAnswer("proxy_configuration_error", f"the shield refused: {reply.status}")
        reply.of_shield = True
        location = get(reply.fields, b"location")
        if location is not None:
            reply.fields = replaced(reply.fields, b"location", beyond(origin, location))
        return reply


def asked_of_shield(origin: Origin, asked: Asked, bearer: str, purges: int) -> Asked:
    """The same question, as the shield is asked it."""
    below = asked.target[len(origin.base) :]
    fields = [
        *without(asked.fields, {b"host", NODE, PURGES, BLOCK}),
        (NODE, bearer.encode("ascii")),
        (PURGES, told(purges, anew=asked.anew)),
    ]
    if asked.block is not None:
        fields.append((BLOCK, b"%d" % asked.block))
    return Asked(asked.method, _under(origin) + below, fields, asked.body)


def told(version: int, *, anew: bool = False) -> bytes:
    """How far a node's log of purges is, and whether nothing will do that was stored before it asks."""
    return b"%d%s" % (version, b"; anew" if anew else b"")


def beyond(origin: Origin, location: bytes) -> bytes:
    """Where an answer leads, as the origin would say it: shields lead to the zone as they have it."""
    under = _under(origin)
    return (
        origin.base.encode("ascii") + location[len(under) :]
        if location.startswith(under + b"/")
        else location
    )


def _under(origin: Origin) -> bytes:
    return (UNDER + origin.shield_of).encode("ascii")
