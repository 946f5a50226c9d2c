"""Which nodes may ask the origin for bytes: the enrolled edges, as the keys service names them.

The list is asked for when it is old, and at once, but not often, when a stranger calls: a node that has just
enrolled need not wait. While keys is away, known nodes stay known for a stated time (SECURITY 1.6).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keys.jwk import read_public
from keys.nodes import Node, verify_node
from keys.problems import Problem

AUDIENCE: Final = "origin"
FRESH_S: Final = 5.0  # age at which the list is asked for again: a removed node is a stranger this soon
EAGER_S: Final = 1.0  # shortest time between two askings
KEPT_S: Final = 15 * 60.0  # age at which a list that cannot be renewed counts no more
_LOG: Final = logging.getLogger(__name__)


class NodeDirectory:
    """Checks nodes. `trust` answers what `GET /v1/trust` does; `now` is seconds since the epoch."""

    def __init__(
        self,
        trust: Callable[[], Awaitable[Mapping[str, Any]]],
        *,
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._trust = trust
        self._now = now
        self._clock = clock  # monotonic: ages must not follow a jumping wall clock
        self._nodes: dict[str, Node] = {}
        self._renewed: float | None = None
        self._asked: float | None = None
        self._lock = asyncio.Lock()

    async def check(self, authorization: str, role: str = "edge") -> Node:
        """The node of that role that sent this header.

        Problem unauthenticated, always the same, if none; unavailable while nobody can be known.
        """
        scheme, _, bearer = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Problem("unauthenticated")
        await self._renew(FRESH_S)
        if self._renewed is None:
            raise Problem("unavailable", detail="no list of nodes: keys does not answer")
        try:
            node = self._verify(bearer)
        except Problem:
            if not await self._renew(EAGER_S):
                raise
            node = self._verify(bearer)
        if node.role != role:
            raise Problem("unauthenticated", detail=f"{node.name} is no {role}")
        return node

    def _verify(self, bearer: str) -> Node:
        return verify_node(bearer.strip(), AUDIENCE, self._nodes.get, self._now())

    async def _renew(self, age_s: float) -> bool:
        """Asks for the list when it is older than `age_s`. Whether there is a new one."""
        if not self._due(age_s):
            return await self._first_under_way()
        async with self._lock:
            if not self._due(age_s):
                return True  # another request has just renewed it
            self._asked = self._clock()
            try:
                rows = (await self._trust())["nodes"]
            except Problem as problem:
                self._forget_old()
                _LOG.warning("nodes not renewed: %s", problem)
                return False
            self._nodes = {node.name: node for node in map(_node, rows) if node is not None}
            self._renewed = self._clock()
            return True

    async def _first_under_way(self) -> bool:
        """Waits while another request asks for the very first list.

        Whether there is one now that was not before.
        """
        if self._renewed is not None or not self._lock.locked():
            return False
        async with self._lock:
            return self._renewed is not None

    def _due(self, age_s: float) -> bool:
        times = [at for at in (self._renewed, self._asked) if at is not None]
        wait = age_s if self._asked == self._renewed else EAGER_S
        return not times or self._clock() - max(times) >= wait

    def _forget_old(self) -> None:
        if self._renewed is not None and self._clock() - self._renewed > KEPT_S:
            self._nodes, self._renewed = {}, None


def _node(row: Mapping[str, Any]) -> Node | None:
    """A row of the list; None for one this version cannot read."""
    try:
        public = read_public(row["jwk"])
        name, role = str(row["name"]), str(row["role"])
    except (KeyError, TypeError, ValueError) as exc:
        _LOG.warning("node not understood: %r", exc)
        return None
    return Node(name, role, public) if isinstance(public, Ed25519PublicKey) else None
