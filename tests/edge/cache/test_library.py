"""A worker's whole cache against a real origin: who is asked how often, and that no wrong byte comes out."""

import asyncio
import gc
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from edge.cache.claims import Claims, NodeClaims
from edge.cache.memory import PrivateMemory
from edge.cache.slices import PUBLIC_TENANT, ObjectId
from keys.problems import Problem
from origin.media.asset import DESCRIPTOR_OBJECT, DESCRIPTOR_RENDITION
from origin.media.seal import SLICE, sealed_length

SIZE_0 = 5 * SLICE // 2  # plain bytes of 0.m4s


async def test_an_object_is_filled_once_and_then_read_from_memory(bench: Any, origin: Any) -> None:
    library = await bench.library()
    first = await bench.open(library, "0.m4s")
    assert (first.source, first.stored, first.slices) == ("origin", True, 3)
    for name, plain in bench.published.plain.items():
        assert await bench.read(library, name) == plain
    again = await bench.open(library, "0.m4s")
    assert (again.source, again.stored, again.length) == ("l1", False, len(bench.published.plain["0.m4s"]))
    assert origin.requests["720p/0.m4s"] == 1
    assert origin.bearers == {"Bearer node-token"}


async def test_f19_two_hundred_openers_cost_the_origin_one_request(bench: Any, origin: Any) -> None:
    library = await bench.library()
    bodies = await asyncio.gather(*(bench.read(library, "0.m4s") for _ in range(200)))
    assert set(bodies) == {bench.published.plain["0.m4s"]}
    assert origin.requests == {"720p/list": 1, "720p/0.m4s": 1}
    assert origin.sent["720p/0.m4s"] == sealed_length(len(bodies[0]))


async def test_f19_bytes_flow_while_the_fill_runs(bench: Any, origin: Any) -> None:
    gate = origin.faults.gates["720p/2.m4s"] = bench.gate(5 * SLICE)
    library = await bench.library()
    opened = await bench.open(library, "2.m4s")
    assert bytes(await opened.slice(0)) == bench.published.plain["2.m4s"][:SLICE]
    await gate.reached.wait()
    other = await bench.open(library, "2.m4s")
    assert bytes(await other.slice(3)) == bench.published.plain["2.m4s"][3 * SLICE : 4 * SLICE]
    gate.open.set()
    assert len(await opened.slice(9)) == 5


async def test_a_worker_process_and_this_one_share_a_fill(bench: Any, origin: Any) -> None:
    library, other = await bench.library(), await bench.worker()
    gate = origin.faults.gates["720p/2.m4s"] = bench.gate(SLICE * 4)
    await other.tell(read="2.m4s")
    await gate.reached.wait()
    opened = await bench.open(library, "2.m4s")
    assert bytes(await opened.slice(2)) == bench.published.plain["2.m4s"][2 * SLICE : 3 * SLICE]
    gate.open.set()
    assert bytes(await opened.slice(9)) == bench.published.plain["2.m4s"][9 * SLICE :]
    assert (await other.heard())["sha"] == bench.sha("2.m4s")
    assert origin.requests == {"720p/list": 1, "720p/2.m4s": 1}
    assert (await bench.open(library, "2.m4s")).source == "l1"


async def test_f16_a_killed_filler_is_replaced_and_only_the_rest_is_fetched(bench: Any, origin: Any) -> None:
    library, other = await bench.library(), await bench.worker()
    gate = origin.faults.gates["720p/2.m4s"] = bench.gate(SLICE * 4 + 100_000)
    await other.tell(read="2.m4s")
    await gate.reached.wait()
    opened = await bench.open(library, "2.m4s")
    await opened.slice(3)
    reading = asyncio.create_task(bench.read(library, "2.m4s"))
    await other.kill()
    gate.open.set()
    assert await reading == bench.published.plain["2.m4s"]
    assert origin.requests["720p/2.m4s"] == 2
    assert origin.ranges[-1][1].startswith(f"bytes={4 * (SLICE + 16)}-")


async def test_a_holder_that_lives_but_brings_nothing_is_not_waited_for_without_end(
    bench: Any, origin: Any, clock: Any
) -> None:
    library = await bench.library(now=clock)
    await library.descriptor("film", 1)
    stuck = NodeClaims(bench.room / "n1-claims").take(ObjectId("default", "film", 1, "720p", "1.m4s"))
    reading = asyncio.create_task(bench.read(library, "1.m4s"))
    await asyncio.wait([reading], timeout=0.2)
    assert origin.requests["720p/1.m4s"] == 0
    clock.time += 30
    assert await reading == bench.published.plain["1.m4s"]
    assert stuck is not None
    stuck.close()


async def test_another_node_that_holds_its_claims_and_brings_nothing_blocks_nothing(
    bench: Any, origin: Any, clock: Any, redis_server: Any
) -> None:
    bench.redis_url = redis_server.url
    store = bench.store()
    stuck = Claims(bench.room / "n2-claims", store, heartbeat_s=0.1)
    library = await bench.library(now=clock)

    async def comes_late(held: ObjectId, work: Coroutine[Any, Any, Any]) -> Any:
        async with stuck.fleet_turn(held, stuck.now()) as theirs:
            assert theirs
            working = asyncio.create_task(work)
            await asyncio.wait([working], timeout=0.2)
            assert not working.done()
            clock.time += 30
            return await asyncio.wait_for(working, 30)

    described = ObjectId(PUBLIC_TENANT, "film", 1, DESCRIPTOR_RENDITION, DESCRIPTOR_OBJECT)
    assert (await comes_late(described, library.descriptor("film", 1))).title == "Film"
    segment = ObjectId("default", "film", 1, "720p", "1.m4s")
    read = await comes_late(segment, bench.read(library, segment.name))
    assert read == bench.published.plain[segment.name]
    await store.close()


@pytest.mark.heavy
async def test_f16_a_filler_killed_at_any_point_leaves_no_wrong_byte(bench: Any, origin: Any) -> None:
    stored = len(bench.published.stored["720p/2.m4s"])
    for node, at in enumerate(random.Random(16).sample(range(stored - (1 << 16)), 20)):
        gate = origin.faults.gates["720p/2.m4s"] = bench.gate(at)
        other, library = await bench.worker(f"n{node}"), await bench.library(f"n{node}")
        await other.tell(read="2.m4s")
        await gate.reached.wait()
        reading = asyncio.create_task(bench.read(library, "2.m4s"))
        await other.kill()
        gate.open.set()
        assert await reading == bench.published.plain["2.m4s"]
    assert origin.requests["720p/2.m4s"] == 40


async def test_f2_a_dead_origin_is_said_and_soon_no_longer_asked(bench: Any, origin: Any) -> None:
    library = await bench.library()
    assert await bench.read(library, "1.m4s")
    await origin.stop()
    for _ in range(8):
        with pytest.raises(Problem) as refused:
            await bench.read(library, "0.m4s")
        assert refused.value.code == "unavailable"
        assert refused.value.retry_after_s is not None
    assert bench.counts["origin_errors"] == 5


async def test_f1_what_is_cached_is_served_without_the_origin(bench: Any, origin: Any) -> None:
    library = await bench.library()
    await library.descriptor("film", 1)
    bodies = {name: await bench.read(library, name) for name in bench.published.plain}
    await origin.stop()
    newcomer = await bench.library()
    assert (await newcomer.descriptor("film", 1)).title == "Film"
    for worker in (library, newcomer):
        assert {name: await bench.read(worker, name) for name in bodies} == bench.published.plain


@pytest.mark.parametrize("cuts", [[SLICE + 70000], [10, SLICE * 3, SLICE * 8]])
async def test_f4_a_cut_body_is_resumed_by_range(bench: Any, origin: Any, cuts: list[int]) -> None:
    origin.faults.cut_at["720p/2.m4s"] = list(cuts)
    library = await bench.library()
    assert await bench.read(library, "2.m4s") == bench.published.plain["2.m4s"]
    assert origin.requests["720p/2.m4s"] == 1 + len(cuts)
    assert bench.counts["fill_resumes"] == len(cuts)


async def test_f4_a_body_that_is_always_cut_is_refused_and_not_cached(bench: Any, origin: Any) -> None:
    origin.faults.cut_at["720p/1.m4s"] = [70000] * 4
    library = await bench.library()
    with pytest.raises(Problem) as refused:
        await bench.read(library, "1.m4s")
    assert refused.value.code == "bad_upstream"
    assert origin.requests["720p/1.m4s"] == 4
    assert (await bench.open(library, "1.m4s")).source == "origin"
    assert await bench.read(library, "1.m4s") == bench.published.plain["1.m4s"]


async def test_f5_an_altered_slice_is_fetched_again(bench: Any, origin: Any) -> None:
    origin.faults.flip_at["720p/0.m4s"] = [SLICE + 100_000, SLICE + 500]
    library = await bench.library()
    opened = await bench.open(library, "0.m4s")
    assert bytes(await opened.slice(0)) == bench.published.plain["0.m4s"][:SLICE]
    assert await bench.read(library, "0.m4s") == bench.published.plain["0.m4s"]
    assert bench.counts["bad_slices"] == 2
    assert [asked for path, asked in origin.ranges if path == "720p/0.m4s"][1:] == [
        f"bytes={SLICE + 16}-{sealed_length(SIZE_0) - 1}"
    ] * 2


async def test_f5_a_slice_that_stays_altered_is_refused(bench: Any, origin: Any) -> None:
    origin.faults.flip_at["720p/1.m4s"] = [5, 5, 5]
    library = await bench.library()
    with pytest.raises(Problem) as refused:
        await bench.read(library, "1.m4s")
    assert refused.value.code == "bad_upstream"
    assert (bench.counts["bad_slices"], origin.requests["720p/1.m4s"]) == (3, 3)


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_f6_trouble_at_the_origin_is_not_cached_nor_retried(
    bench: Any, origin: Any, status: int
) -> None:
    origin.faults.status["720p/1.m4s"] = [status]
    library = await bench.library()
    with pytest.raises(Problem) as refused:
        await bench.read(library, "1.m4s")
    assert (refused.value.code, refused.value.retry_after_s) == ("unavailable", 8)
    assert origin.requests["720p/1.m4s"] == 1
    assert await bench.read(library, "1.m4s") == bench.published.plain["1.m4s"]


async def test_f20_a_fill_goes_on_for_the_others_when_its_first_client_leaves(
    bench: Any, origin: Any
) -> None:
    gate = origin.faults.gates["720p/2.m4s"] = bench.gate(SLICE // 2)
    library = await bench.library()
    leader = asyncio.create_task(bench.read(library, "2.m4s"))
    await gate.reached.wait()
    follower = asyncio.create_task(bench.read(library, "2.m4s"))
    await bench.counted("misses", 2)
    leader.cancel()
    await asyncio.wait([leader])
    gate.open.set()
    assert await follower == bench.published.plain["2.m4s"]
    assert origin.requests["720p/2.m4s"] == 1


async def test_f20_a_fill_nobody_waits_for_stops_within_a_slice(bench: Any, origin: Any) -> None:
    gate = origin.faults.gates["720p/2.m4s"] = bench.gate(2 * SLICE)
    library = await bench.library()
    opened = await bench.open(library, "2.m4s")
    await opened.slice(0)
    await gate.reached.wait()
    del opened
    gc.collect()
    gate.open.set()
    await bench.counted("fills_abandoned", 1)
    await library.settled()
    again = await bench.open(library, "2.m4s")
    assert bytes(await again.slice(1)) == bench.published.plain["2.m4s"][SLICE : 2 * SLICE]
    assert origin.requests["720p/2.m4s"] == 1
    assert await bench.read(library, "2.m4s") == bench.published.plain["2.m4s"]
    assert origin.requests["720p/2.m4s"] == 2


async def test_f20_a_fill_that_is_almost_done_finishes(bench: Any, origin: Any) -> None:
    gate = origin.faults.gates["720p/2.m4s"] = bench.gate(9 * SLICE)
    library = await bench.library()
    opened = await bench.open(library, "2.m4s")
    for index in range(8):
        await opened.slice(index)
    await gate.reached.wait()
    opened.close()
    gate.open.set()
    await library.settled()
    assert (await bench.open(library, "2.m4s")).source == "l1"
    assert bench.counts["fills_abandoned"] == 0


async def test_t10_a_small_range_costs_the_slices_it_needs(bench: Any, origin: Any) -> None:
    library = await bench.library()
    opened = await bench.open(library, "2.m4s", range(4, 6))
    assert bytes(await opened.slice(4)) == bench.published.plain["2.m4s"][4 * SLICE : 5 * SLICE]
    assert bytes(await opened.slice(5)) == bench.published.plain["2.m4s"][5 * SLICE : 6 * SLICE]
    assert origin.sent["720p/2.m4s"] == 2 * (SLICE + 16)


async def test_private_memory_without_a_second_level_serves_too(bench: Any, origin: Any) -> None:
    library = await bench.library(memory=PrivateMemory(4 << 20))
    bodies = await asyncio.gather(*(bench.read(library, "0.m4s") for _ in range(20)))
    assert set(bodies) == {bench.published.plain["0.m4s"]}
    assert origin.requests["720p/0.m4s"] == 1


async def test_an_object_larger_than_memory_is_delivered_whole(bench: Any, origin: Any) -> None:
    library = await bench.library(memory=PrivateMemory(2 << 20))
    assert await bench.read(library, "2.m4s") == bench.published.plain["2.m4s"]
    library = await bench.library(memory=PrivateMemory(1000))
    assert await bench.read(library, "2.m4s") == bench.published.plain["2.m4s"]


async def test_an_object_that_is_not_listed_is_not_asked_for(bench: Any, origin: Any) -> None:
    library = await bench.library()
    with pytest.raises(Problem) as refused:
        await bench.open(library, "99.m4s")
    assert refused.value.code == "not_found"
    assert set(origin.requests) == {"720p/list"}
    with pytest.raises(IndexError):
        await (await bench.open(library, "1.m4s")).slice(1)


async def test_closing_refuses_who_still_waits(bench: Any, origin: Any) -> None:
    gate = origin.faults.gates["720p/1.m4s"] = bench.gate(0)
    library = await bench.library()
    reading = asyncio.create_task(bench.read(library, "1.m4s"))
    await gate.reached.wait()
    await library.close()
    with pytest.raises(Problem) as refused:
        await reading
    assert refused.value.code == "unavailable"
    gate.open.set()
