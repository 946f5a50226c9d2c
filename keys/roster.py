"""Which nodes there are: they enrol with a join token, are seen when they ask, and can be struck out.

Who has a node's machine has its key and the join token it enrolled with. So both go: a removed node's key
proves nothing from then on, here at once and at the origin within seconds, and the next node of its kind
enrols with a join token made anew. Nodes that are enrolled need none.
"""

import logging
import re
from collections.abc import Callable
from typing import Any, Final

from keys import secrets as secret_files
from keys.access import Access, node_key
from keys.feed import RevocationFeed
from keys.jwk import thumbprint
from keys.jws import VerifyKey
from keys.nodes import ROLES
from keys.problems import Problem
from keys.secrets import Secrets
from keys.stores import NodeStore

SEEN_EVERY_S: Final = 30.0  # as often as it is written down who was seen

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

log = logging.getLogger(__name__)


class Roster:
    """The nodes of this installation. `feed` is how edges hear that an origin is believed no longer."""

    def __init__(
        self,
        nodes: NodeStore,
        access: Access,
        secrets: Secrets,
        feed: RevocationFeed,
        now: Callable[[], float],
        count: Callable[[str], None],
    ) -> None:
        self._nodes = nodes
        self._access = access
        self._secrets = secrets
        self._feed = feed
        self._now = now
        self._count = count

    async def enrol(self, name: str, role: str, jwk: dict[str, Any]) -> None:
        """Make a node known. The same again is fine; another key or role for a known name is `conflict`."""
        if not _NAME.fullmatch(name) or role not in ROLES:
            raise Problem("bad_request", f"A node has a name of a-z, 0-9, ., _, - and is {', '.join(ROLES)}.")
        try:
            public = VerifyKey(name, node_key(jwk)).jwk()
        except ValueError as exc:
            raise Problem("bad_request", "A node enrols with a public Ed25519 JWK.", detail=str(exc)) from exc
        if not await self._nodes.enrol(name, role, public, self._now()):
            raise Problem("conflict", f"Another node is enrolled as {name}.")
        await self._access.refresh()
        self._count("keys_enrolments")
        log.info("enrolled %s %s", role, name)

    async def listed(self) -> list[dict[str, Any]]:
        """{name, role, key, enrolled, last_seen} of every node. `key` is its RFC 7638 thumbprint."""
        await self.write_seen()
        return [
            {
                "name": row.name,
                "role": row.role,
                "key": thumbprint(node_key(row.jwk)),
                "enrolled": row.enrolled,
                "last_seen": row.last_seen,
            }
            for row in await self._nodes.rows()
        ]

    async def remove(self, name: str) -> str:
        """Strike a node out; its role. Problem not_found when there is none of this name.

        The join token goes first: who fails half-way tries again, and nothing is open meanwhile.
        """
        role = await self._nodes.role(name)
        if role is None:
            raise Problem("not_found", f"No node is enrolled as {name}.")
        secret_files.replace_join_token(self._secrets.directory, role)
        await self._nodes.remove(name)
        await self._access.refresh()
        await self._feed.refresh()
        self._count("keys_removals")
        log.warning("removed %s %s", role, name)
        return role

    async def write_seen(self, _now: float = 0.0) -> None:
        """Write down which nodes asked for something since this was last done."""
        await self._nodes.seen(self._access.take_seen())
