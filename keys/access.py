"""Who is calling: a node by its own key, an operator by the admin token, a newcomer by the join token.

Every refusal is `unauthenticated`, the same for an absent, a wrong and an expired proof. Both tokens have
at least 32 characters (`keys.secrets`), so tries are not counted: guessing is hopeless. A node of another
role is refused the same.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keys.jwk import read_public, thumbprint
from keys.nodes import Node, verify_node
from keys.problems import Problem
from keys.secrets import BadSecret, Secrets, join_token
from keys.stores import NodeStore

AUDIENCE: Final = "keys"
KNOWN_FOR_S: Final = 5.0  # an enrolment in another process is seen at the first miss, a change this late


class Access:
    """Proves callers. `authorization` is the value of that header, or None."""

    def __init__(self, secrets: Secrets, nodes: NodeStore, now: Callable[[], float]) -> None:
        self._secrets = secrets
        self._nodes = nodes
        self._now = now
        self._known: dict[str, Node] = {}
        self._seen: dict[str, float] = {}  # since `take_seen`
        self._packagers_mark = ""
        self._read_at = float("-inf")

    def admin(self, authorization: str | None) -> None:
        """Returns for the admin token; Problem `unauthenticated` otherwise."""
        _compare(authorization, self._secrets.admin_token, "admin token")

    def join(self, authorization: str | None, role: str) -> None:
        """Returns for the token that lets this role enrol; Problem `unauthenticated` otherwise.

        It is read each time: the removal of a node, or an operator's hand, makes it another.
        """
        try:
            token = join_token(self._secrets.directory, role)
        except BadSecret as exc:
            raise Problem("unauthenticated", detail=f"nobody can enrol: {exc}") from exc
        _compare(authorization, token, "join token")

    async def node(self, authorization: str | None, *roles: str) -> Node:
        """The enrolled node that calls, in one of these roles (none given: any)."""
        bearer, now = _bearer(authorization), self._now()
        if now - self._read_at > KNOWN_FOR_S:
            await self.refresh()
        try:
            node = verify_node(bearer, AUDIENCE, self._known.get, now)
        except Problem:
            await self.refresh()
            node = verify_node(bearer, AUDIENCE, self._known.get, now)
        if roles and node.role not in roles:
            raise Problem("unauthenticated", detail=f"{node.role} {node.name} is none of {', '.join(roles)}")
        self._seen[node.name] = now
        return node

    def take_seen(self) -> dict[str, float]:
        """When each node last asked for something, of those that did since this was last called."""
        seen, self._seen = self._seen, {}
        return seen

    def packagers_mark(self) -> str:
        """A short text that changes when an origin enrols or is removed: edges then ask whom to believe."""
        return self._packagers_mark

    async def node_or_admin(self, authorization: str | None, *roles: str) -> str:
        """Who calls: the name of an enrolled node in one of these roles, or `admin`."""
        if hmac.compare_digest(_bearer(authorization).encode(), self._secrets.admin_token.encode()):
            return "admin"
        return (await self.node(authorization, *roles)).name

    async def refresh(self) -> None:
        """Read the enrolled nodes anew."""
        rows = await self._nodes.all()
        self._known = {name: Node(name, role, node_key(jwk)) for name, role, jwk in rows}
        packagers = "".join(sorted(thumbprint(n.public) for n in self._known.values() if n.role == "origin"))
        self._packagers_mark = hashlib.sha256(packagers.encode()).hexdigest()[:8] if packagers else ""
        self._read_at = self._now()


def node_key(jwk: dict[str, Any]) -> Ed25519PublicKey:
    """The public key a node enrols with. ValueError when it is no Ed25519 key."""
    key = read_public(jwk)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("a node's key is Ed25519")
    return key


def _bearer(authorization: str | None) -> str:
    scheme, _, text = (authorization or "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


def _compare(authorization: str | None, token: str, name: str) -> None:
    if not hmac.compare_digest(_bearer(authorization).encode(), token.encode()):
        raise Problem("unauthenticated", detail=f"{name} is missing or wrong")
