"""Who is calling: an edge, shield, origin or console, by its own Ed25519 key and a token that lives a minute.

A node makes its key at first start and enrols it with the join token. From then on each request to keys or
origin carries a JWT signed with it: `kid` = the node's name, `aud` = the service, 60 s of life.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keys import jwk as jwks
from keys import jws
from keys.private_file import create_private
from keys.problems import Problem
from keys.strict_json import strict_object

ROLES: Final = ("edge", "shield", "origin", "console")
LIFETIME: Final = 60  # s
SKEW: Final = 30  # s a node's clock may run ahead; F24 wants an alarm at 5 s
TYPE: Final = "sluice-node+jwt"  # so that no other token of ours passes for one (RFC 8725 §3.11)


@dataclass(frozen=True, slots=True)
class Node:
    """An enrolled node."""

    name: str
    role: str  # one of ROLES
    public: Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """This node's own name and key."""

    name: str
    role: str
    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def load_or_create(cls, path: str | Path, name: str, role: str) -> "NodeIdentity":
        """The identity in the file, made if there is no file. ValueError when the file holds another's."""
        if role not in ROLES:
            raise ValueError(f"a node is one of {', '.join(ROLES)}, not {role!r}")
        path = Path(path)
        if not path.exists():
            jwk = jwks.private_jwk(Ed25519PrivateKey.generate())
            create_private(path, json.dumps({"name": name, "role": role, "jwk": jwk}).encode())
        found = _read(path)
        if (found.name, found.role) != (name, role):
            raise ValueError(f"{path} is the identity of {found.role} {found.name}, not of {role} {name}")
        return found

    def public_jwk(self) -> dict[str, str]:
        """The public JWK, as enrolment wants it."""
        return jws.VerifyKey(self.name, self.private.public_key()).jwk()

    def bearer(self, audience: str, now: float) -> str:
        """A token for that service ("keys" or "origin"), good for LIFETIME seconds from `now`."""
        issued = int(now)
        claims = {"iss": self.name, "aud": audience, "iat": issued, "exp": issued + LIFETIME}
        return jws.sign(self.private, self.name, claims, TYPE)


def _read(path: Path) -> NodeIdentity:
    try:
        fields = json.loads(path.read_bytes())
        name, role, private = fields["name"], fields["role"], jwks.read_private(fields["jwk"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{path} is not a node's identity") from None
    if not (isinstance(name, str) and isinstance(role, str) and isinstance(private, Ed25519PrivateKey)):
        raise ValueError(f"{path} is not a node's identity")
    return NodeIdentity(name, role, private)


def verify_node(bearer: str, audience: str, lookup: Callable[[str], Node | None], now: float) -> Node:
    """The enrolled node that sent this token to us. Problem unauthenticated, always the same, if none.

    `bearer` is the token alone, without the word "Bearer"; `lookup` finds an enrolled node by name.
    """
    try:
        parsed = jws.parse(bearer)
        node = lookup(parsed.kid)
        if node is None:
            raise ValueError("no such node")
        _check(parsed, node, audience, now)
    except ValueError as exc:
        raise Problem("unauthenticated", detail=f"node token: {exc}") from exc
    return node


def _check(parsed: jws.Parsed, node: Node, audience: str, now: float) -> None:
    if parsed.typ != TYPE or not jws.VerifyKey(node.name, node.public).holds(parsed):
        raise ValueError("bad signature")
    claims = strict_object(parsed.payload)
    if claims.get("iss") != node.name or claims.get("aud") != audience:
        raise ValueError("meant for another service")
    issued, expires = claims.get("iat"), claims.get("exp")
    if type(issued) is not int or type(expires) is not int or expires - issued > LIFETIME:
        raise ValueError("times of the wrong shape")
    if not issued - SKEW <= now < expires:
        raise ValueError("not now")
