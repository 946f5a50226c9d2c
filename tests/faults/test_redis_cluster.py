"""F9, F10, F12-F14 with a Redis Cluster as the cache's Redis: a primary dies, slots move, all of it is away.

Two edges of two workers, three primaries and a replica of the first.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.fleet import Fleet, fleet
from tests.support.load import Load, under_load
from tests.support.redis_cluster import TestCluster
from tests.support.viewer import Viewer

pytestmark = pytest.mark.heavy

SIZES = {"720p": [300_000] * 24, "audio": [20_000] * 24}


@pytest.fixture
def cluster() -> Iterator[TestCluster]:
    found = TestCluster(replicas=1)
    yield found
    found.close()


@pytest.fixture
async def world(cluster: TestCluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    """A fleet of its own, as each of these tests breaks its cluster for good."""
    with fleet(tmp_path_factory.mktemp("cluster") / "data", "--redis", cluster.url) as found:
        found.system.cluster = cluster
        await found.mended()
        yield found


def nobody_noticed(load: Load) -> bool:
    return (load.wrong, load.refused, load.broken) == ([], [], 0)


def errors(world: Fleet) -> float:
    return sum(world.system.counts(edge)["l2_errors"] for edge in range(2))


async def shared_again(world: Fleet) -> None:
    """What one edge has fetched the other finds in the cluster, whatever slots it is in."""
    asset = await world.film("after", {"720p": [1000] * 400})
    async with await world.viewer(asset) as one, await world.viewer(asset, 1) as other:
        numbers = iter(range(400))

        async def edges_share() -> bool:
            some = [next(numbers) for _ in range(12)]
            for number in some:
                await one.cipher("720p", number)
            await asyncio.sleep(0.2)  # they are stored behind the answer
            for number in some:
                await other.cipher("720p", number)
            return all(world.asked(asset, f"720p/{number}.m4s") == 1 for number in some)

        await eventually(edges_share, within_s=20)


async def test_f12_a_primary_that_is_killed_fails_no_request_and_another_takes_its_place(
    world: Fleet, cluster: TestCluster
) -> None:
    asset = await world.film("film", SIZES)
    dead = cluster.primaries[0]
    async with under_load(world.system, asset, edges=2) as load:
        dead.kill()
        cold = await world.film("cold", {"720p": [1000] * 40})
        async with await world.viewer(cold) as viewer, await world.viewer(cold, 1) as other:
            for number in range(40):
                await viewer.cipher("720p", number)
                await other.cipher("720p", number)
        await asyncio.to_thread(cluster.promoted, dead)
        await load.more(30)
    assert nobody_noticed(load), world.system.logs()
    assert max(world.asked(cold, f"720p/{number}.m4s") for number in range(40)) <= 2, "once by each edge"
    await shared_again(world)


async def test_f13_slots_that_move_under_load_cost_no_error_and_no_wrong_value(
    world: Fleet, cluster: TestCluster
) -> None:
    asset = await world.film("film", SIZES)
    async with under_load(world.system, asset, edges=2) as load:
        before = errors(world)
        source, target = cluster.primaries[0], cluster.primaries[1]
        moving = asyncio.create_task(asyncio.to_thread(cluster.move, range(1500), source, target))
        cold = await world.film("cold", {"720p": [1000] * 60})
        async with await world.viewer(cold) as viewer, await world.viewer(cold, 1) as other:
            for number in range(60):
                await viewer.cipher("720p", number)
                await other.cipher("720p", number)
        await moving
        await load.more(30)
    assert nobody_noticed(load), world.system.logs()
    assert errors(world) == before
    assert max(world.asked(cold, f"720p/{number}.m4s") for number in range(60)) <= 2
    await shared_again(world)


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
async def test_f9_f10_f14_without_the_cluster_all_is_served_and_revocations_hold(
    world: Fleet, cluster: TestCluster, fault: signal.Signals
) -> None:
    asset = await world.film("film", SIZES)
    system = world.system
    async with under_load(system, asset, edges=2) as load, Viewer(system.sign(asset, viewer="gone")) as gone:
        await gone.opened()
        cluster.signal(fault)
        cold = await world.film("cold", {"720p": [1000] * 12})
        async with await world.viewer(cold) as viewer, await world.viewer(cold, 1) as other:
            for number in range(12):
                await viewer.cipher("720p", number)
                await other.cipher("720p", number)
                assert world.asked(cold, f"720p/{number}.m4s") <= 2, "once by each edge"
        await load.more(20)
        assert nobody_noticed(load), system.logs()
        told = await asyncio.to_thread(system.sluice, "revoke", "--viewer", "gone")
        assert told.returncode == 0, told.stderr
        urls = [world.at(gone.segment_url("720p", 0), edge) for edge in range(2)]

        async def refused() -> bool:
            async with httpx.AsyncClient(timeout=30) as client:
                return [(await client.get(url)).status_code for url in urls] == [403, 403]

        await eventually(refused, within_s=60)
        cluster.signal(signal.SIGCONT)
    assert nobody_noticed(load), system.logs()
    if fault is signal.SIGSTOP:
        await asyncio.to_thread(cluster.settled)
        await shared_again(world)
