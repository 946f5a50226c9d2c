"""Nodes are listed with when they were last seen; a removed one is a stranger, and its join token void."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from keys.nodes import NodeIdentity
from keys.problems import Problem
from keys.secrets import Secrets, join_token
from keys.service import KeysService
from keys.stores import Stores

if TYPE_CHECKING:
    from tests.keys.conftest import Clock


def bearer(text: str) -> str:
    return f"Bearer {text}"


async def enrolled(service: KeysService, folder: Path, name: str, role: str = "edge") -> NodeIdentity:
    node = NodeIdentity.load_or_create(folder / f"{name}.json", name, role)
    await service.roster.enrol(node.name, node.role, node.public_jwk())
    return node


async def known(service: KeysService, node: NodeIdentity, clock: Clock) -> bool:
    try:
        await service.access.node(bearer(node.bearer("keys", clock.now)), node.role)
    except Problem as problem:
        assert problem.code == "unauthenticated"
        return False
    return True


async def test_nodes_are_listed_with_their_role_and_when_they_were_last_seen(
    any_stores: Stores, secrets: Secrets, clock: Clock, tmp_path: Path
) -> None:
    service = await KeysService.start(any_stores, secrets, hosts=["http://edge.test"], now=clock)
    enrolled_at = clock.now
    edge = await enrolled(service, tmp_path, "edge-1")
    await enrolled(service, tmp_path, "origin-1", "origin")
    clock.advance(100)
    assert await known(service, edge, clock)
    listed = {node["name"]: node for node in await service.roster.listed()}
    assert {name: (node["role"], node["last_seen"]) for name, node in listed.items()} == {
        "edge-1": ("edge", clock.now),
        "origin-1": ("origin", None),
    }
    assert {node["enrolled"] for node in listed.values()} == {enrolled_at}
    assert len({node["key"] for node in listed.values()}) == 2
    await any_stores.nodes.seen({"edge-1": clock.now - 50, "nobody": clock.now})
    assert (await service.roster.listed())[0]["last_seen"] == clock.now, "nobody is seen earlier than before"


async def test_t19_a_removed_node_is_a_stranger_at_once_and_in_another_process_within_seconds(
    stores: Stores, secrets: Secrets, clock: Clock, tmp_path: Path
) -> None:
    one, other = [
        await KeysService.start(stores, secrets, hosts=["http://edge.test"], now=clock) for _ in range(2)
    ]
    captured, honest = await enrolled(one, tmp_path, "edge-1"), await enrolled(one, tmp_path, "edge-2")
    assert await known(one, captured, clock) and await known(other, captured, clock)
    assert await one.roster.remove("edge-1") == "edge"
    assert not await known(one, captured, clock)
    clock.advance(6)
    assert not await known(other, captured, clock)
    assert await known(one, honest, clock) and await known(other, honest, clock)
    assert [node["name"] for node in (await one.trust())["nodes"]] == ["edge-2"]


async def test_t19_the_join_token_of_a_removed_node_enrols_nobody_and_the_new_one_does(
    service: KeysService, secrets: Secrets, clock: Clock, tmp_path: Path, counted: list[str]
) -> None:
    node = await enrolled(service, tmp_path, "edge-1")
    await service.roster.remove("edge-1")
    assert counted[-1] == "keys_removals"
    with pytest.raises(Problem, match="unauthenticated"):
        service.access.join(bearer(secrets.join_token), "edge")
    service.access.join(bearer(secrets.origin_token), "origin")
    file = secrets.directory / "join-token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    service.access.join(bearer(join_token(secrets.directory, "edge")), "edge")
    await service.roster.enrol(node.name, node.role, node.public_jwk())
    assert await known(service, node, clock), "the same key may come back"
    await service.roster.remove("edge-1")
    other = NodeIdentity.load_or_create(tmp_path / "anew.json", "edge-1", "edge")
    await service.roster.enrol(other.name, other.role, other.public_jwk())
    assert await known(service, other, clock), "and its name is free for a machine set up anew"
    assert not await known(service, node, clock)
    file.unlink()
    with pytest.raises(Problem, match="unauthenticated"):
        service.access.join(bearer(""), "edge")


async def test_an_origin_that_enrols_or_is_removed_is_news_to_edges(
    service: KeysService, tmp_path: Path
) -> None:
    marks = [(await service.revocations(0, 0)).trust]
    for change in (
        lambda: enrolled(service, tmp_path, "origin-1", "origin"),
        lambda: service.roster.remove("origin-1"),
    ):
        await change()
        marks.append((await service.revocations(0, 0)).trust)
    assert marks[0] == marks[2] != marks[1]
    await enrolled(service, tmp_path, "edge-1")
    assert (await service.revocations(0, 0)).trust == marks[0], "an edge concerns no other edge"
    assert (await service.trust())["packagers"] == []


async def test_nobody_of_that_name_is_not_found_and_changes_no_token(
    service: KeysService, secrets: Secrets
) -> None:
    with pytest.raises(Problem, match="not_found"):
        await service.roster.remove("edge-9")
    assert join_token(secrets.directory, "edge") == secrets.join_token
