"""Zones through a shield as an operator has them: one file for edges and shield, one copy from the origin."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from tests.journeys.test_zones import bucket
from tests.support.proxy import Proxy
from tests.support.shielded import Shielded, shielded
from tests.support.stub_bucket import BODY, Bucket

__all__ = ["bucket"]

NOBODY = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, bucket: Bucket) -> Iterator[Shielded]:
    """Two edges of two workers, the shield, and one file of zones for all."""
    folder = tmp_path_factory.mktemp("zones")
    file = folder / "zones.toml"
    with Proxy() as way:
        file.write_text(
            "".join(
                f'[zones.{name}]\norigins = ["{bucket.url}"]\nprivate = true\nthrough = {shields}\n'
                for name, shields in (("press", f'["{way.url}"]'), ("pair", f'["{way.url}", "{NOBODY}"]'))
            )
        )
        with shielded(folder / "data", both=("--zones", str(file))) as world:
            way.target = ("127.0.0.1", world.system.base + 3)
            yield world


async def test_every_worker_of_every_edge_gets_the_one_copy_and_goes_on_when_the_shield_dies(
    behind: Shielded, bucket: Bucket
) -> None:
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(limits=limits, timeout=20) as client:

        async def get(path: str, edge: int, zone: str = "press") -> httpx.Response:
            answer = await client.get(f"{behind.system.edges[edge]}/z/{zone}/{path}")
            assert (answer.status_code, answer.content) == (200, BODY)
            return answer

        answers = [await get("a", number % 2) for number in range(20)]
        assert bucket.asked.count("/a") == 1
        assert any("sluice-shield" in answer.headers["cache-status"] for answer in answers)
        for number in range(
            16
        ):  # some belong to the one of two shields that is away, the next in rank has them
            await get(f"pair-{number // 2}", number % 2, "pair")
        assert [bucket.asked.count(f"/pair-{number}") for number in range(8)] == [1] * 8
        refused = await client.get(f"{behind.shield.url}/z/press/a")
        assert refused.status_code == 401
        await asyncio.to_thread(behind.shield.kill)
        for number in range(12):
            await get(f"after-{number}", number % 2)
        await asyncio.to_thread(behind.shield.start)
