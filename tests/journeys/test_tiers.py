"""An edge, Redis and the shield are killed in turn, under load and with an origin that cuts connections.

What the origin is asked for stays within the bound: once for each slice, and again only for the fills that
were in flight when something struck.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import httpx
import pytest

from origin.media.seal import SLICE, sealed_length, slice_count
from tests.support.eventually import eventually
from tests.support.load import kill
from tests.support.packaged import Packaged
from tests.support.shielded import Shielded, shielded
from tests.support.system import ON_A_CLUSTER, descendants
from tests.support.viewer import Viewer, decrypt

pytestmark = pytest.mark.heavy

SEGMENTS: Final = 12
SIZE: Final = 5 * SLICE // 2
FILM: Final = {"720p": [SIZE] * SEGMENTS, "audio": [40_000] * SEGMENTS}
RATE: Final = 6e6  # bytes a second of each connection to the origin: fills take a while
VIEWERS: Final = 8
CUTS: Final = 4  # in each act


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shielded]:
    with shielded(tmp_path_factory.mktemp("tiers") / "data", "--drain-limit", "10s") as world:
        yield world


class Audience:
    """Viewers of one cold film at both edges; each goes to the other edge when his does not answer."""

    def __init__(self, world: Shielded, asset: str) -> None:
        self.world, self.asset = world, asset
        self.taken = asyncio.Semaphore(0)
        self.in_flight: list[str] = []
        """Objects somebody waits for now."""
        self.begun: list[str] = []
        self.failures: list[str] = []

    async def watch(self, place: int, viewer: Viewer, stored: Packaged) -> None:
        """All of it from a place of his own on, and every byte as it was packaged."""
        first_edge = place % 2
        for rendition in ("720p", "audio"):
            for step in range(SEGMENTS):
                number = (step + place // 2 * 3) % SEGMENTS
                name = f"{rendition}/{number}.m4s"
                self.in_flight.append(name)
                self.begun.append(name)
                key = await self._get(viewer, f"{rendition}/key/{number // 3}", first_edge)
                body = await self._get(viewer, name, first_edge)
                self.in_flight.remove(name)
                assert decrypt(key, number, body) == stored.segment(rendition, number)
                self.taken.release()

    async def _get(self, viewer: Viewer, name: str, edge: int) -> bytes:
        url = f"{viewer.url.rsplit('/', 1)[0]}/{name}"
        async with asyncio.timeout(120):
            while True:
                try:
                    answer = await viewer.client.get(self.world.at(url, edge))
                    if answer.status_code == 200:
                        return answer.content
                    self.failures.append(f"{name}: {answer.status_code}")
                except httpx.TransportError as error:
                    self.failures.append(f"{name}: {type(error).__name__}")
                edge = 1 - edge
                await asyncio.sleep(0.1)


async def act(world: Shielded, strike: str) -> None:
    """One film, watched by all while something is killed; what it cost the origin."""
    asset = await world.film(strike, FILM)
    stored = await world.stored(asset)
    viewers = [await world.viewer(asset, number % 2) for number in range(VIEWERS)]
    audience = Audience(world, asset)
    world.origin.asked.clear()
    fired, before, passed_by = world.origin.fired, await world.origin_bytes(), await failovers(world)
    world.origin.rate = RATE
    for number in range(CUTS):
        world.origin.cut(SLICE + 300_000 * number)
    watching = [
        asyncio.create_task(audience.watch(number, viewer, stored)) for number, viewer in enumerate(viewers)
    ]
    for _ in range(2 * VIEWERS):
        await audience.taken.acquire()
    struck, begun = set(audience.in_flight), len(audience.begun)
    await STRIKES[strike](world)
    struck |= set(audience.begun[begun:])
    await asyncio.gather(*watching)
    world.origin.heal()
    for viewer in viewers:
        await viewer.client.aclose()
    cuts = world.origin.fired - fired
    names = [f"{rendition}/{number}.m4s" for rendition in FILM for number in range(SEGMENTS)]
    asked = {name: world.asked(asset, name) for name in names}
    sizes = {name: SIZE if name.startswith("720p") else 40_000 for name in names}
    # A machine so busy that the shield is silent for seconds is a fault as well, if none of ours
    silent = 0 if strike == "shield" else int(await failovers(world) - passed_by)
    told = f"{strike}: {sum(asked.values())} requests, {cuts} cuts, {len(struck)} in flight, {asked}"
    told += f", {silent} times silent"
    # DESIGN 1: one fetch for each slice; a cut costs the request that goes on, a blow the fills in flight
    in_flight = cuts + silent + len(struck)
    assert sum(asked.values()) <= sum(slice_count(size) for size in sizes.values()) + in_flight, told
    over = sum(max(0, count - slice_count(sizes[name])) for name, count in asked.items())
    assert over <= in_flight, told  # of no object more than its slices, but for these
    sent = await world.origin_bytes() - before
    whole = sum(sealed_length(size) for size in sizes.values())
    again = in_flight * sealed_length(SIZE)
    assert sent <= 1.02 * whole + again, f"{told}; {sent:.0f} bytes of {whole}"
    assert all(count >= 1 for count in asked.values()), told
    print(f"{told}; {sent:.0f} bytes of {whole}; {len(audience.failures)} requests tried again")


async def failovers(world: Shielded) -> float:
    """How often the edges went on to the origin, as the shield gave nothing."""
    return sum([world.system.counts(edge)["failovers"] for edge in range(2)])


async def strike_edge(world: Shielded) -> None:
    for pid in world.workers(0).values():
        kill(pid)


async def strike_redis(world: Shielded) -> None:
    kill(world.system.children()["redis-cache"])


async def strike_shield(world: Shielded) -> None:
    await asyncio.to_thread(world.shield.kill)


async def strike_nothing(world: Shielded) -> None:
    pass


STRIKES: Final = {
    "nothing": strike_nothing,
    "edge": strike_edge,
    "redis": strike_redis,
    "shield": strike_shield,
}


@pytest.mark.skipif(ON_A_CLUSTER, reason="one of what is killed is the one Redis")
async def test_f1_f9_f17_f32_the_origin_is_asked_within_the_bound_whoever_is_killed(stage: Shielded) -> None:
    await act(stage, "nothing")
    for strike in ("edge", "redis", "shield"):
        await act(stage, strike)
        await eventually(lambda: _whole(stage), within_s=60)
    await asyncio.to_thread(stage.shield.start)


async def _whole(world: Shielded) -> bool:
    names = {
        "redis-cache",
        "redis-control",
        *(f"edge-{edge}-{worker}" for edge in range(2) for worker in range(2)),
    }
    return names <= set(world.system.children())


async def test_f32_the_way_to_the_shield_is_slow_then_cut_and_whole_again(stage: Shielded) -> None:
    """Hits do not notice; fills go to the origin while nothing comes through, to the shield afterwards."""
    asset = await stage.film("wan", {"720p": [SIZE] * 60})
    stored = await stage.stored(asset)
    numbers = iter(range(60))

    async def plays(viewer: Viewer, number: int) -> None:
        key = await viewer.key("720p", f"key/{number // 3}")
        assert decrypt(key, number, await viewer.cipher("720p", number)) == stored.segment("720p", number)

    def by_shield(number: int) -> bool:
        return f"/v1/blobs/{asset}/1/720p/{number}.m4s" in stage.way.asked

    async with await stage.viewer(asset) as near, await stage.viewer(asset, 1) as other:

        async def converged() -> bool:
            number = next(numbers)
            await plays(near, number)
            return by_shield(number)

        stage.way.delay_s = 0.1  # each way
        await eventually_slowly(converged)
        stage.way.blackhole = True
        await plays(near, 0)
        cold = [next(numbers) for _ in range(12)]
        before = [stage.system.counts(edge) for edge in range(2)]
        await asyncio.gather(*(plays(near, number) for number in cold))
        await asyncio.gather(*(plays(other, number) for number in cold))
        asked = [stage.asked(asset, f"720p/{number}.m4s") for number in cold]
        counted = [since(stage, edge, before[edge]) for edge in range(2)]
        # Each once, and again only what Redis was too slow to take or to give on a busy machine
        slow = sum(each.get("l2_errors", 0) + each.get("l2_unstored", 0) for each in counted)
        assert min(asked) == 1 and sum(asked) <= len(cold) + slow, f"{asked}; {counted}"
        assert stage.way.blackhole, "all that came while nothing passed"
        stage.way.drop()
        stage.way.heal()
        await eventually_slowly(converged)


def since(world: Shielded, edge: int, before: dict[str, float]) -> dict[str, float]:
    """What an edge's counters have counted since."""
    counts = world.system.counts(edge)
    return {
        name: value - before.get(name, 0) for name, value in counts.items() if value != before.get(name, 0)
    }


async def eventually_slowly(holds: Callable[[], Awaitable[bool]]) -> None:
    """As `eventually`, asking no more than once a second: each asking uses something up."""
    for _ in range(40):
        if await holds():
            return
        await asyncio.sleep(1)
    raise AssertionError("it did not come true")


async def test_the_workers_of_a_shield_are_replaced_and_no_edge_notices(stage: Shielded) -> None:
    asset = await stage.film("hup", {"720p": [SIZE] * 60})
    process = stage.shield.process
    assert process is not None
    before, passed_by = set(descendants(process.pid)), await failovers(stage)
    async with await stage.viewer(asset) as viewer:
        await viewer.cipher("720p", 0)
        process.send_signal(signal.SIGHUP)
        number = 1
        while before & set(descendants(process.pid)):
            await viewer.cipher("720p", number := number + 1)
            await asyncio.sleep(0.3)
        await viewer.cipher("720p", number + 1)
    assert await failovers(stage) == passed_by


async def test_t19_a_shield_has_no_plain_byte_in_memory_or_log_and_no_secret_of_keys(stage: Shielded) -> None:
    asset = await stage.film("plain", FILM)
    stored = await stage.stored(asset)
    async with await stage.viewer(asset) as viewer:
        for number in range(SEGMENTS):
            await viewer.cipher("720p", number)
    held = stage.cached()
    assert sum(map(len, held.values())) > SEGMENTS * SIZE
    texts = [*held.values(), stage.shield.logs().encode()]
    texts += [path.read_bytes() for path in stage.shield.data.rglob("*") if path.is_file()]
    for number in range(SEGMENTS):
        plain = stored.segment("720p", number)
        for at in range(0, len(plain) - 48, 1 << 17):
            assert not any(plain[at : at + 48] in text for text in texts)
    assert {path.name for path in (stage.shield.data / "secrets").iterdir()} == {"join-token"}
    token = (stage.system.data / "secrets" / "join-token").read_text().strip()
    assert token not in stage.shield.logs()
    assert "sluice_shield_requests_total" in stage.shield.metrics()
