"""T12 in time: who is no edge and no operator makes the origin look for nothing, whatever he asks for.

Looks are counted, not clocked: statements of the catalogue, and calls of the blob store.
"""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from keys.nodes import NodeIdentity
from origin.store.blobs import LocalBlobs
from tests.origin.conftest import Origin

THERE, ABSENT = "film", "none"
ASKED = [
    ("GET", "/v1/blobs/{}/1/720p/0.m4s"),
    ("HEAD", "/v1/blobs/{}/1/720p/0.m4s"),
    ("GET", "/v1/blobs/{}/1/asset/asset.json"),
    ("GET", "/v1/assets/{}"),
    ("DELETE", "/v1/assets/{}"),
    ("POST", "/v1/assets/{}/cancel"),
    ("POST", "/v1/assets/{}/retry"),
    ("GET", "/v1/assets/{}/poster.jpg"),
    ("POST", "/v1/uploads?name=film.mp4&id={}"),
]


@pytest.fixture
async def looks(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the origin looks for from now on. One asset is there, with one object."""
    await origin.catalogue.create(source_name="film.mp4", id=THERE)
    await origin.blobs.put(THERE, 1, "720p", "0.m4s", b"sealed")
    found: list[str] = []

    @event.listens_for(origin.catalogue._database.engine.sync_engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        found.append(statement)

    for name in ("size", "read", "objects", "generations", "delete_asset"):
        _note(monkeypatch, name, found)
    return found


def _note(monkeypatch: pytest.MonkeyPatch, name: str, found: list[str]) -> None:
    method = getattr(LocalBlobs, name)

    def noting(*args: Any, **how: Any) -> Any:
        found.append(name)
        return method(*args, **how)

    monkeypatch.setattr(LocalBlobs, name, noting)


async def test_t12_a_stranger_makes_the_origin_look_for_nothing(
    origin: Origin, looks: list[str], tmp_path: Path
) -> None:
    stranger = NodeIdentity.load_or_create(tmp_path / "stranger.json", "edge-0", "edge")
    proofs: list[dict[str, str]] = [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Bearer {stranger.bearer('origin', time.time())}"},
        origin.bearer("keys"),
    ]
    async with origin.http as http:
        for method, path in ASKED:
            for proof in proofs:
                told = [await http.request(method, path.format(a), headers=proof) for a in (THERE, ABSENT)]
                assert {answer.status_code for answer in told} == {401}, (method, path)
                assert len({_said(answer) for answer in told}) == 1, (method, path)
                assert looks == [], (method, path)
        allowed = await http.get(ASKED[0][1].format(THERE), headers=origin.bearer())
        assert (allowed.content, looks) == (b"sealed", ["size", "read"])


def _said(answer: httpx.Response) -> tuple[tuple[str, str], ...]:
    """The body, without the ID that names this very refusal in the log."""
    body = answer.json() if answer.content else {}
    return tuple((name, str(value)) for name, value in sorted(body.items()) if name != "id")
