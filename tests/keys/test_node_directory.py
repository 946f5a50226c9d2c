"""Known nodes stay known while keys is away, for a stated time and no longer."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from keys.node_directory import FRESH_S, KEPT_S, NodeDirectory
from keys.nodes import NodeIdentity
from keys.problems import Problem


class Keys:
    """A keys service that can go away."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.away = False
        self.asked = 0

    async def trust(self) -> Mapping[str, Any]:
        """Whom to believe."""
        self.asked += 1
        if self.away:
            raise Problem("unavailable")
        return {"nodes": self.rows}


@pytest.fixture
def edge(tmp_path: Path) -> NodeIdentity:
    return NodeIdentity.load_or_create(tmp_path / "edge.json", "edge-0", "edge")


def row(identity: NodeIdentity) -> dict[str, Any]:
    return {"name": identity.name, "role": identity.role, "jwk": identity.public_jwk()}


async def test_the_list_is_asked_for_once_while_it_is_fresh(edge: NodeIdentity) -> None:
    keys, clock = Keys([row(edge)]), [0.0]
    nodes = NodeDirectory(keys.trust, now=lambda: 5000.0, clock=lambda: clock[0])
    for _ in range(3):
        assert (await nodes.check(f"Bearer {edge.bearer('origin', 5000)}")).name == "edge-0"
    assert keys.asked == 1
    clock[0] = FRESH_S
    await nodes.check(f"Bearer {edge.bearer('origin', 5000)}")
    assert keys.asked == 2


async def test_t19_a_removed_node_is_a_stranger_within_seconds(edge: NodeIdentity) -> None:
    keys, clock = Keys([row(edge)]), [0.0]
    nodes = NodeDirectory(keys.trust, now=lambda: 5000.0, clock=lambda: clock[0])
    await nodes.check(f"Bearer {edge.bearer('origin', 5000)}")
    keys.rows = []
    clock[0] = 10.0
    with pytest.raises(Problem, match="unauthenticated"):
        await nodes.check(f"Bearer {edge.bearer('origin', 5000)}")


async def test_strangers_cannot_make_it_ask_often(edge: NodeIdentity) -> None:
    keys, clock = Keys([]), [0.0]
    nodes = NodeDirectory(keys.trust, now=lambda: 5000.0, clock=lambda: clock[0])
    for _ in range(20):
        with pytest.raises(Problem, match="unauthenticated"):
            await nodes.check(f"Bearer {edge.bearer('origin', 5000)}")
    assert keys.asked == 1


async def test_f27_known_nodes_stay_known_while_keys_is_away_and_not_for_ever(edge: NodeIdentity) -> None:
    keys, clock = Keys([row(edge)]), [0.0]
    nodes = NodeDirectory(keys.trust, now=lambda: 5000.0, clock=lambda: clock[0])
    bearer = f"Bearer {edge.bearer('origin', 5000)}"
    await nodes.check(bearer)
    keys.away = True
    clock[0] = KEPT_S
    assert (await nodes.check(bearer)).name == "edge-0"
    clock[0] = KEPT_S + FRESH_S
    with pytest.raises(Problem, match="unavailable"):
        await nodes.check(bearer)
    keys.away = False
    clock[0] += FRESH_S
    assert (await nodes.check(bearer)).name == "edge-0"


async def test_requests_that_come_before_the_first_list_wait_for_it(edge: NodeIdentity) -> None:
    keys, here = Keys([row(edge)]), asyncio.Event()

    async def slow() -> Mapping[str, Any]:
        await here.wait()
        return await keys.trust()

    nodes = NodeDirectory(slow, now=lambda: 5000.0, clock=lambda: 0.0)
    checks = [asyncio.create_task(nodes.check(f"Bearer {edge.bearer('origin', 5000)}")) for _ in range(5)]
    await asyncio.sleep(0)
    here.set()
    assert [node.name for node in await asyncio.gather(*checks)] == ["edge-0"] * 5
    assert keys.asked == 1


async def test_a_node_taken_off_the_list_is_unknown_when_it_is_renewed(edge: NodeIdentity) -> None:
    keys, clock = Keys([row(edge), {"name": "odd", "role": "edge", "jwk": {}}]), [0.0]
    nodes = NodeDirectory(keys.trust, now=lambda: 5000.0, clock=lambda: clock[0])
    bearer = f"Bearer {edge.bearer('origin', 5000)}"
    await nodes.check(bearer)
    keys.rows = []
    clock[0] = FRESH_S
    with pytest.raises(Problem, match="unauthenticated"):
        await nodes.check(bearer)
