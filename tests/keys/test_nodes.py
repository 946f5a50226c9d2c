"""A node proves who it is for a minute, to one service; whoever else calls learns nothing."""

import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keys import jws
from keys.jwk import new_private, private_jwk, read_public
from keys.nodes import LIFETIME, SKEW, TYPE, Node, NodeIdentity, verify_node
from keys.private_file import create_private
from keys.problems import Problem

NOW = 1_800_000_000.0


@pytest.fixture
def edge(tmp_path: Path) -> NodeIdentity:
    return NodeIdentity.load_or_create(tmp_path / "edge-1" / "node.json", "edge-1", "edge")


def enrolled(*identities: NodeIdentity) -> dict[str, Node]:
    found = {}
    for identity in identities:
        public = read_public(identity.public_jwk())
        assert isinstance(public, Ed25519PublicKey)
        found[identity.name] = Node(identity.name, identity.role, public)
    return found


def test_a_node_keeps_its_key_in_a_file_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    first = NodeIdentity.load_or_create(path, "edge-1", "edge")
    again = NodeIdentity.load_or_create(str(path), "edge-1", "edge")
    assert first.public_jwk() == again.public_jwk()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_bytes())["jwk"]["d"] not in repr(first)


def test_a_node_does_not_take_anothers_identity(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    NodeIdentity.load_or_create(path, "edge-1", "edge")
    for name, role in (("edge-2", "edge"), ("edge-1", "origin")):
        with pytest.raises(ValueError, match="identity of edge edge-1"):
            NodeIdentity.load_or_create(path, name, role)
    with pytest.raises(ValueError, match="one of"):
        NodeIdentity.load_or_create(tmp_path / "other", "x", "viewer")


@pytest.mark.parametrize("data", ["", "[]", "{}", '{"name":"edge-1","role":"edge","jwk":{}}', '{"name":1}'])
def test_a_broken_identity_is_refused_and_not_replaced(tmp_path: Path, data: str) -> None:
    path = tmp_path / "node.json"
    path.write_text(data)
    with pytest.raises(ValueError, match="not a node's identity"):
        NodeIdentity.load_or_create(path, "edge-1", "edge")
    assert path.read_text() == data


def test_a_node_has_an_ed25519_key(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    jwk = private_jwk(new_private("ES256"))
    path.write_text(json.dumps({"name": "edge-1", "role": "edge", "jwk": jwk}))
    with pytest.raises(ValueError, match="not a node's identity"):
        NodeIdentity.load_or_create(path, "edge-1", "edge")


def test_two_processes_that_start_at_once_agree_on_one_identity(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    assert create_private(path, b"first")
    assert not create_private(path, b"second")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("node.json", b"first")]


def test_a_node_is_known_by_its_token_for_a_minute(edge: NodeIdentity) -> None:
    bearer, lookup = edge.bearer("keys", NOW), enrolled(edge).get
    for now in (NOW - SKEW, NOW, NOW + LIFETIME - 1):
        assert verify_node(bearer, "keys", lookup, now).role == "edge"
    for now in (NOW - SKEW - 1, NOW + LIFETIME):
        with pytest.raises(Problem):
            verify_node(bearer, "keys", lookup, now)


def test_every_refusal_is_the_same_to_the_caller(edge: NodeIdentity, tmp_path: Path) -> None:
    other = NodeIdentity.load_or_create(tmp_path / "o.json", "edge-2", "edge")
    claims = {"iss": "edge-1", "aud": "keys", "iat": int(NOW), "exp": int(NOW) + 60}

    def signed(typ: str = TYPE, key: Ed25519PrivateKey = edge.private, **changes: object) -> str:
        return jws.sign(key, "edge-1", {**claims, **changes}, typ)

    verify_node(signed(), "keys", enrolled(edge).get, NOW)
    stranger = new_private()
    assert isinstance(stranger, Ed25519PrivateKey)
    refused = [
        "", "film", edge.bearer("origin", NOW), other.bearer("keys", NOW), signed(typ="JWT"),
        signed(key=stranger), signed(key=other.private), signed(iss="edge-2"), signed(aud=["keys"]),
        signed(exp=int(NOW) + 61), signed(exp=True), signed(iat=NOW), signed(iat=None),
        signed(exp="1"), signed() + "=",
    ]  # fmt: skip
    bodies = set()
    for bearer in refused:
        with pytest.raises(Problem) as caught:
            verify_node(bearer, "keys", enrolled(edge).get, NOW)
        assert caught.value.code == "unauthenticated"
        bodies.add(caught.value.message)
    assert len(bodies) == 1
