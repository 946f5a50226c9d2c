"""Which nodes may ask for stored bytes, an origin or a shield: those that are enrolled, as keys names them.

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

AUDIENCE: Final = "origin"  # of a bearer, whoever of the tiers is asked: a shield speaks for the origin
ASKING: Final = ("edge", "shield")
FRESH_S: Final = 5.0  # age at which the list is asked for again: a removed node is a stranger this soon
PATIENCE_S: Final = 0.5  # for which a request waits for the list to be renewed
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
        self._asking: asyncio.Task[None] | None = None

    async def check(self, authorization: str) -> Node:
        """The edge or shield that sent this header.

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
        if node.role not in ASKING:
            raise Problem("unauthenticated", detail=f"{node.name} is none of {', '.join(ASKING)}")
        return node

    def _verify(self, bearer: str) -> Node:
        return verify_node(bearer.strip(), AUDIENCE, self._nodes.get, self._now())

    async def _renew(self, age_s: float) -> bool:
        """Asks for the list when it is older than `age_s`. Whether there is a new one by now.

        Who is known already is not kept waiting for a keys service that is slow: the asking goes on.
        """
        if self._asking is None:
            if not self._due(age_s):
                return False
            self._asked = self._clock()
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(self._answered)
        before = self._renewed
        await asyncio.wait({self._asking}, timeout=None if before is None else PATIENCE_S)
        return self._renewed != before

    async def _ask(self) -> None:
        try:
            rows = (await self._trust())["nodes"]
        except Problem as problem:
            self._forget_old()
            _LOG.warning("nodes not renewed: %s", problem)
            return
        self._nodes = {node.name: node for node in map(_node, rows) if node is not None}
        self._renewed = self._asked

    def _answered(self, task: "asyncio.Task[None]") -> None:
        self._asking = None
        if not task.cancelled() and task.exception() is not None:
            _LOG.error("nodes not renewed", exc_info=task.exception())

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
