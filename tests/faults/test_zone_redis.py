"""F9, F10, F15, F16, F19 for zones: two edges of two workers, one Redis, an origin that counts."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial

import pytest

from edge.http.partial import SLICE
from tests.support.crowd import Broken, Client
from tests.support.eventually import eventually
from tests.support.large_origin import LargeOrigin, content
from tests.support.load import kill, replaced
from tests.support.system import ON_A_CLUSTER, System, running

pytestmark = pytest.mark.heavy

TOTAL = 20 * SLICE + 4321
SLICES = 21
WHOLE = content(0, TOTAL)
CROWD = 80
WORKERS = [f"edge-{edge}-{worker}" for edge in range(2) for worker in range(2)]


@pytest.fixture(scope="module")
def origin() -> Iterator[tuple[LargeOrigin, str]]:
    """In a thread of its own: a crowd here must not make it slow."""
    found, ready = LargeOrigin(TOTAL), threading.Event()
    url: list[str] = []
    end: list[Callable[[], object]] = []

    async def live() -> None:
        ended = asyncio.Event()
        end.append(partial(asyncio.get_running_loop().call_soon_threadsafe, ended.set))
        async with found.served() as base:
            url.append(base)
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    ready.wait()
    try:
        yield found, url[0]
    finally:
        end[0]()
        thread.join()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, origin: tuple[LargeOrigin, str]) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("zones")
    file = folder / "zones.toml"
    file.write_text(f'[zones.big]\norigins = ["{origin[1]}"]\nprivate = true\n')
    with running(folder / "data", "--zones", str(file), edges=2, workers=2) as found:
        yield found


@pytest.fixture
async def world(system: System, origin: tuple[LargeOrigin, str]) -> AsyncIterator[LargeOrigin]:
    """The origin, when all workers are there and share again."""
    await eventually(partial(_there, system), within_s=40)
    numbers = iter(range(1000))

    async def shared() -> bool:
        name = f"/z/big/warm-{os.urandom(4).hex()}-{next(numbers)}"
        before = len(origin[0].asked)
        clients = [Client.of(system.edges[number % 2]) for number in range(12)]
        await asyncio.gather(*(client.get(name, range="bytes=0-9") for client in clients))
        for client in clients:
            client.close()
        return len(origin[0].asked) == before + 1

    await eventually(shared, within_s=40)
    origin[0].asked.clear()
    origin[0].sent = 0
    origin[0].before = None
    yield origin[0]
    origin[0].before = None


async def _there(system: System) -> bool:
    return set(system.parts()) <= set(system.children())


async def crowd(system: System, path: str, size: int = CROWD) -> list[bytes | None]:
    """What each of so many clients got, None for what broke off; spread over the edges."""
    clients = [Client.of(system.edges[number % 2]) for number in range(size)]

    async def one(client: Client) -> bytes | None:
        with contextlib.suppress(Broken, OSError):
            answer = await client.get(path)
            assert answer.status == 200
            return answer.body
        return None

    try:
        return await asyncio.gather(*(one(client) for client in clients))
    finally:
        for client in clients:
            client.close()


async def begun(origin: LargeOrigin, bytes_sent: int) -> None:
    async def sent() -> bool:
        return origin.sent >= bytes_sent

    await eventually(sent, within_s=20)


def slowly(origin: LargeOrigin) -> None:
    async def before(start: int) -> None:
        await asyncio.sleep(0.005)

    origin.before = before


async def test_f19_a_crowd_over_two_edges_costs_no_more_requests_than_slices(
    system: System, world: LargeOrigin
) -> None:
    found = await crowd(system, "/z/big/cold")
    assert all(each == WHOLE for each in found)
    assert len(world.asked) <= SLICES
    assert world.sent <= TOTAL + SLICES * SLICE // 2, "of two edges the second asks for little again"


@pytest.mark.skipif(ON_A_CLUSTER, reason="test_redis_cluster.py does this to a cluster")
@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
async def test_f9_f10_redis_goes_while_a_crowd_downloads_and_nobody_notices(
    system: System, world: LargeOrigin, fault: signal.Signals
) -> None:
    slowly(world)
    taking = asyncio.create_task(crowd(system, f"/z/big/{fault.name}", 40))
    await begun(world, 3 * SLICE)
    server = system.children()["redis-cache"]
    os.kill(server, fault)
    try:
        found = await taking
        assert all(each == WHOLE for each in found), system.logs()
        assert world.sent <= len(WORKERS) * TOTAL + len(WORKERS) * SLICE, "once a worker at most"
    finally:
        if fault is signal.SIGSTOP:
            os.kill(server, signal.SIGCONT)
        else:
            await replaced(system, "redis-cache", server)


async def test_f15_t20_whatever_is_written_into_redis_no_wrong_byte_is_served(
    system: System, world: LargeOrigin
) -> None:
    assert await crowd(system, "/z/big/poison", 1) == [WHOLE]

    async def stored() -> bool:
        return len([name for name in await system.redis_values() if b":z:s:" in name]) >= SLICES

    await eventually(stored, within_s=20)
    async with system.redis() as client:
        values = list((await system.redis_values()).items())
        for number, (name, value) in enumerate(values):
            other = values[(number + 1) % len(values)][1]
            lies = [os.urandom(len(value)), other, value[:-1], value[:60] + b"\0" + value[61:], b""]
            await client.set(name, lies[number % len(lies)], keepttl=True, xx=True)  # a turn may be over
    found = await crowd(system, "/z/big/poison", 8)
    assert all(each == WHOLE for each in found)
    assert sum(system.counts(edge)["zone_l2_bad"] for edge in range(2)) > 0


async def test_f16_workers_are_killed_in_the_middle_of_fills_and_no_body_is_wrong_or_short(
    system: System, world: LargeOrigin
) -> None:
    slowly(world)
    for name in WORKERS:
        before = world.sent
        taking = asyncio.create_task(crowd(system, f"/z/big/{name}", 16))
        await begun(world, before + 3 * SLICE)
        pid = system.children()[name]
        kill(pid)
        found = await taking
        assert all(each in (None, WHOLE) for each in found)
        assert sum(each is None for each in found) < len(found), "those of other workers are whole"
        await replaced(system, name, pid)

    left: dict[bytes, tuple[bytes, int]] = {}

    async def turns_gone() -> bool:
        left.clear()
        async with system.redis() as client:
            async for key in client.scan_iter(match="sluice:z:c:*"):
                left[key] = (await client.get(key), await client.pttl(key))
        return not left

    try:
        await eventually(turns_gone, within_s=10)
    except AssertionError:
        pytest.fail(f"turns that are still taken: {left}\n{system.logs()}")
    async with system.redis() as client:
        assert [key async for key in client.scan_iter() if await client.pttl(key) == -1] == []
