"""SECURITY 3.3, K5: an edge never decrypts what a client sends with content keys: it can only encrypt."""

import ast
from pathlib import Path

import httpx

from tests.edge.parts import World

EDGE = Path(__file__).parents[3] / "edge"
OPENING = {"decryptor", "decrypt", "unwrap", "open_claim"}  # cryptography's, and those of `keys.cipher`


def names_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return attributes | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def test_k5_an_edge_has_no_means_to_decrypt_but_opening_sealed_slices() -> None:
    """Slices are opened by `origin.media.seal`, under storage keys; content keys only ever encrypt.

    What zones have in Redis is opened by `zone.sealing`, under the region's keys: no client sends any of it.
    """
    used = {path.relative_to(EDGE).as_posix(): names_of(path) for path in EDGE.rglob("*.py")}
    assert {name for name, names in used.items() if names & OPENING} == {"zone/sealing.py"}
    assert {name for name, names in used.items() if "content_key" in names} == {"deliver/key.py"}
    assert "encryptor" in used["deliver/cipher.py"]


async def test_k5_a_body_sent_to_a_key_or_a_segment_changes_nothing(
    edge: World, client: httpx.AsyncClient
) -> None:
    base = edge.session()
    for path in ("720p/key/0", "720p/0.m4s", "main.m3u8"):
        plain = await client.get(base + path)
        cipher = (await client.get(base + "720p/0.m4s")).content
        with_body = await client.request("GET", base + path, content=cipher)
        assert (with_body.status_code, with_body.content) == (plain.status_code, plain.content)
        refused = await client.post(base + path, content=cipher)
        assert refused.status_code == 405 and len(refused.content) < 300
