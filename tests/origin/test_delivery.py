"""Blobs for edges: only for them, whole or one range, and counted."""

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.nodes import NodeIdentity
from keys.problems import Problem
from origin.media.asking import byte_range, parse_name

BODY = bytes(range(256)) * 4096  # 1 MiB: several pieces
PATH = "/v1/blobs/film/1/720p/0.m4s"


@pytest.fixture
async def stored(origin: Any) -> Any:
    await origin.blobs.put("film", 1, "720p", "0.m4s", BODY)
    return origin


async def test_an_edge_gets_the_stored_bytes(stored: Any) -> None:
    async with stored.http as http:
        response = await http.get(PATH, headers=stored.bearer())
        assert (response.status_code, response.content) == (200, BODY)
        assert response.headers["accept-ranges"] == "bytes"
        head = await http.head(PATH, headers=stored.bearer())
        assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(BODY)), b"")


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-300000", 100, 300001),
        ("bytes=1048575-", 1048575, 1048576),
        ("bytes=-10", 1048566, 1048576),
        ("bytes=-99999999", 0, 1048576),
        ("bytes=5-99999999", 5, 1048576),
    ],
)
async def test_h2_a_range_is_exactly_what_was_asked(stored: Any, asked: str, start: int, end: int) -> None:
    async with stored.http as http:
        response = await http.get(PATH, headers=stored.bearer() | {"range": asked})
    assert (response.status_code, response.content) == (206, BODY[start:end])
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/{len(BODY)}"


@pytest.mark.parametrize("asked", ["bytes=1048576-", "bytes=9999999-10000000", "bytes=-0"])
async def test_h3_a_range_behind_the_end_is_416(stored: Any, asked: str) -> None:
    async with stored.http as http:
        response = await http.get(PATH, headers=stored.bearer() | {"range": asked})
    assert (response.status_code, response.content) == (416, b"")
    assert response.headers["content-range"] == f"bytes */{len(BODY)}"


@pytest.mark.parametrize(
    "asked", ["bytes=5-4", "items=0-1", "bytes=-", "bytes=a-b", "bytes=0-1,5-6", "x" * 9000]
)
async def test_h4_what_is_no_range_is_ignored(stored: Any, asked: str) -> None:
    async with stored.http as http:
        response = await http.get(PATH, headers=stored.bearer() | {"range": asked})
    assert (response.status_code, response.content) == (200, BODY)


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_h2_ranges_agree_with_slices(size: int, first: int, last: int) -> None:
    found = byte_range(f"bytes={first}-{last}", size)
    data = bytes(range(size))
    if last < first:
        assert found is None
    else:
        assert found is not None
        assert data[found[0] : found[1]] == data[first : last + 1]


async def test_only_enrolled_edges_may_ask(stored: Any, tmp_path: Path, admin_token: str) -> None:
    stranger = NodeIdentity.load_or_create(tmp_path / "s.json", "edge-9", "edge")
    impostor = NodeIdentity.load_or_create(tmp_path / "i.json", "edge-0", "edge")
    now = time.time()
    refused = [
        "",
        f"Bearer {admin_token}",
        f"Bearer {stranger.bearer('origin', now)}",
        f"Bearer {impostor.bearer('origin', now)}",
        f"Bearer {stored.edge.bearer('keys', now)}",
        f"Bearer {stored.edge.bearer('origin', now - 120)}",
    ]
    async with stored.http as http:
        bodies = set()
        for authorization in refused:
            response = await http.get(PATH, headers={"authorization": authorization})
            assert response.status_code == 401
            bodies.add(response.json()["message"])
        assert len(bodies) == 1


async def test_nodes_of_other_roles_are_refused(stored: Any, tmp_path: Path) -> None:
    console = NodeIdentity.load_or_create(tmp_path / "c.json", "console", "console")
    stored.nodes.append({"name": "console", "role": "console", "jwk": console.public_jwk()})
    async with stored.http as http:
        bearer = {"authorization": f"Bearer {console.bearer('origin', time.time())}"}
        assert (await http.get(PATH, headers=bearer)).status_code == 401


async def test_a_node_that_has_just_enrolled_need_not_wait(stored: Any, tmp_path: Path) -> None:
    async with stored.http as http:
        assert (await http.get(PATH, headers=stored.bearer())).status_code == 200
        late = NodeIdentity.load_or_create(tmp_path / "late.json", "edge-1", "edge")
        stored.nodes.append({"name": "edge-1", "role": "edge", "jwk": late.public_jwk()})
        bearer = {"authorization": f"Bearer {late.bearer('origin', time.time())}"}
        assert (await http.get(PATH, headers=bearer)).status_code == 401  # asked a moment ago
        stored.clock[0] += 1
        assert (await http.get(PATH, headers=bearer)).status_code == 200


async def test_what_is_not_there_is_404_and_other_methods_405(stored: Any) -> None:
    async with stored.http as http:
        for path in (
            "/v1/blobs/film/1/720p/1.m4s",
            "/v1/blobs/film/2/720p/0.m4s",
            "/v1/blobs/film/0/720p/0.m4s",
            "/v1/blobs/film/1/720p",
            "/v1/blobs/film/1/720p/0.m4s/",
            "/v1/blobs/film/1/..%2f720p/0.m4s",
            "/v1/blobs/film/1/%2e%2e/catalogue.db",
        ):
            assert (await http.get(path, headers=stored.bearer())).status_code == 404
        posted = await http.post(PATH, headers=stored.bearer())
        assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")


async def test_requests_and_bytes_are_counted(stored: Any) -> None:
    async with stored.http as http:
        await http.get(PATH, headers=stored.bearer())
        await http.get(PATH, headers=stored.bearer() | {"range": "bytes=0-99"})
        text = (await http.get("/metrics")).text
    counted = dict(line.split(" ") for line in text.splitlines() if not line.startswith("#"))
    assert float(counted["sluice_origin_blob_requests_total"]) == 2
    assert float(counted["sluice_origin_blob_bytes_total"]) == len(BODY) + 100


@pytest.mark.parametrize(
    "path", ["/v1/blobs/", "/v1/blobs/A/1/a/b", "/v1/blobs/a/01/a/b", "/v1/blobs/a/²/a/b"]
)
def test_t5_only_canonical_names_are_names(path: str) -> None:
    with pytest.raises(Problem, match="not_found"):
        parse_name(path)
