"""K5: the edge never decrypts what a client sends with content keys: it cannot, and its answers show it."""

import ast
from pathlib import Path

import httpx
import pytest

from tests.edge.parts import World
from tests.support.viewer import decrypt

EDGE = Path(__file__).parent.parent.parent / "edge"
SOURCES = sorted(EDGE.rglob("*.py"))
DECRYPTING = {"decryptor", "decrypt", "unpadder", "AESGCM", "AESCCM", "ChaCha20Poly1305", "Fernet", "unwrap"}
SEGMENT = "720p/0.m4s"


def names_in(path: Path) -> set[str]:
    """Every name and attribute a file uses, and what it imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.alias):
            found |= {node.name, *node.name.split(".")}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(EDGE)))
def test_k5_no_file_of_the_edge_can_decrypt(path: Path) -> None:
    assert not names_in(path) & DECRYPTING


def test_k5_content_keys_are_made_in_one_place_and_slices_opened_in_another() -> None:
    makers = {path.name for path in SOURCES if "content_key" in names_in(path)}
    openers = {str(path.relative_to(EDGE)) for path in SOURCES if "Sealer" in names_in(path)}
    assert makers == {"key.py"}
    assert openers == {"cache/levels.py"}, "what the packager sealed, under storage keys, and no more"


def test_k5_delivery_reads_no_request_body() -> None:
    """What arrives is looked at for its type alone: `http.disconnect`."""
    for path in EDGE.glob("deliver/*.py"):
        calls = [
            node
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute | ast.Name)
            and (node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id)
            in ("receive", "_receive", "stream", "form")
        ]
        allowed = {"hold.py": 1}
        assert len(calls) == allowed.get(path.name, 0), path


async def test_k5_a_body_of_ciphertext_changes_no_answer(edge: World, client: httpx.AsyncClient) -> None:
    base = edge.session()
    key = (await client.get(base + "720p/key/0")).content
    sealed = (await client.get(base + SEGMENT)).content
    plain = decrypt(key, 0, sealed)
    for path in (SEGMENT, "720p/1.m4s", "720p/key/0", "720p/index.m3u8", "main.m3u8", "720p/init.mp4"):
        bare = await client.get(base + path)
        for method in ("GET", "POST", "PUT", "PATCH"):
            answer = await client.request(
                method, base + path, content=sealed, headers={"content-type": "application/octet-stream"}
            )
            if method == "GET":
                assert (answer.status_code, answer.content) == (bare.status_code, bare.content)
            else:
                assert answer.status_code == 405
                assert plain[:32] not in answer.content
