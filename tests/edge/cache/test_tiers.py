"""Who is asked when one of several places with the same bytes is away, slow, or lies (SECURITY F8, F32)."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from edge.cache.rendezvous import owner
from edge.cache.tiers import FAILURES, source
from edge.cache.upstream import OriginClient
from edge.zone.budget import FLOOR
from keys.problems import Problem
from origin.media.seal import SLICE, TAG, sealed_length
from tests.edge.cache.faulty_origin import TestOrigin
from tests.edge.cache.shields import Shields

STORED = SLICE + TAG
GOOD_FIRST = "720p/0.m4s"


def nobody() -> str:
    """An address nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
async def second(published: Any) -> AsyncIterator[TestOrigin]:
    """Another place with the same bytes."""
    found = TestOrigin(published)
    await found.start()
    yield found
    await found.stop()


async def test_the_shield_is_asked_and_the_origin_is_not(
    edges: Any, bench: Any, origin: Any, second: Any
) -> None:
    library = await edges([second.url], [origin.url])
    for name, plain in bench.published.plain.items():
        assert await bench.read(library, name) == plain
    assert origin.requests == {}
    assert bench.counts["shield_requests"] == sum(second.requests.values())
    assert (bench.counts["origin_requests"], bench.counts["failovers"]) == (0, 0)


@pytest.mark.parametrize("last", [True, False])
async def test_f1_who_refuses_connections_is_passed_by(
    edges: Any, bench: Any, origin: Any, last: bool
) -> None:
    """A shield before the origin, and an address of the origin before another: no request fails."""
    library = await (edges([nobody()], [origin.url]) if last else edges([], [nobody(), origin.url]))
    for name, plain in bench.published.plain.items():
        assert await bench.read(library, name) == plain
    assert {origin.requests[f"720p/{name}"] for name in bench.published.plain} == {1}
    assert bench.counts["failovers_refused"] == 0
    missing = library._origin.missing()
    assert missing is not None and "gives no answer; the others are asked" in missing
    assert library._origin.up


async def test_f32_who_takes_requests_and_is_silent_is_passed_by(
    edges: Any, bench: Any, origin: Any, shields: Shields
) -> None:
    shield = await shields()
    shield.silent = True
    library = await edges([shield.url], [origin.url])
    await bench.read(library, "0.m4s")
    for name, plain in bench.published.plain.items():
        assert await bench.read(library, name) == plain
    assert len(shield.fields) == FAILURES, "then it is left alone for a while"
    assert {origin.requests[f"720p/{name}"] for name in bench.published.plain} == {1}


async def test_f4_a_body_a_shield_cut_goes_on_at_the_origin(
    edges: Any, bench: Any, origin: Any, second: Any
) -> None:
    second.faults.cut_at[GOOD_FIRST] = [STORED + 5000]
    library = await edges([second.url], [origin.url])
    assert await bench.read(library, "0.m4s") == bench.published.plain["0.m4s"]
    length = sealed_length(5 * SLICE // 2)
    assert origin.ranges == [(GOOD_FIRST, f"bytes={STORED}-{length - 1}")]
    assert bench.counts["fill_resumes"] == 1


async def test_f5_what_a_shield_altered_is_asked_for_from_the_next(
    edges: Any, bench: Any, origin: Any, second: Any
) -> None:
    second.faults.flip_at[GOOD_FIRST] = [7] * 9
    second.faults.flip_at["720p/list"] = [100] * 9
    library = await edges([second.url], [origin.url])
    assert await bench.read(library, "0.m4s") == bench.published.plain["0.m4s"]
    assert (origin.requests["720p/list"], origin.requests[GOOD_FIRST]) == (1, 1)
    assert (bench.counts["bad_documents"], bench.counts["bad_slices"]) == (1, 1)


async def test_f8_an_answer_to_another_question_is_passed_by(
    edges: Any, bench: Any, origin: Any, second: Any
) -> None:
    second.faults.ignore_range = True
    second.faults.status["720p/list"] = [401]
    library = await edges([second.url], [origin.url])
    opened = await bench.open(library, "0.m4s", range(1, 3))
    assert bytes(await opened.slice(1)) == bench.published.plain["0.m4s"][SLICE : 2 * SLICE]
    assert (origin.requests["720p/list"], origin.requests[GOOD_FIRST]) == (1, 1)


async def test_what_the_shield_knows_to_be_absent_is_absent(edges: Any, origin: Any, second: Any) -> None:
    library = await edges([second.url], [origin.url])
    with pytest.raises(Problem, match="not_found"):
        await library.descriptor("film", 2)
    assert origin.requests == {}


async def test_f6_repeats_are_a_tenth_of_the_requests(bench: Any, origin: Any, second: Any) -> None:
    """A shield whose own origin fails answers at once; few then ask that origin once more."""
    second.faults.status[GOOD_FIRST] = [503] * 400
    clock = [100.0]

    def make(url: str, **how: Any) -> OriginClient:
        client = OriginClient(url, lambda: "t", count=bench.count, **how)
        if how.get("tier") == "shield":  # it is well, as an answer with Proxy-Status says
            client._breaker.failure = lambda: None  # type: ignore[method-assign]
        return client

    tiers = source([second.url], [origin.url], make, count=bench.count)
    tiers._now = lambda: clock[0]  # type: ignore[union-attr]
    path = f"/v1/blobs/film/1/{GOOD_FIRST}"
    failed = 0
    for _ in range(100):
        try:
            async with aclosing(tiers.stream(path, 0, STORED, whole=False)) as body:
                async for _chunk in body:
                    pass
        except Problem as problem:
            assert problem.code == "unavailable"
            failed += 1
    await tiers.close()
    assert origin.requests[GOOD_FIRST] == 100 - failed <= max(FLOOR, 10)
    assert bench.counts["failovers_refused"] == failed


async def test_each_block_has_its_own_shield_and_the_next_takes_its_place(
    edges: Any, bench: Any, origin: Any, published: Any
) -> None:
    places = [TestOrigin(published) for _ in range(3)]
    for each in places:
        await each.start()
    try:
        names = {each.url: each for each in places}
        edge_a, edge_b = [await edges(list(names), [origin.url], f"edge-{n}") for n in "ab"]
        for name in published.plain:
            await bench.read(edge_a, name)
            await bench.read(edge_b, name)
            path = f"720p/{name}"
            owned = names[owner(names, f"/v1/blobs/film/1/{path}#0")]
            assert [each.requests[path] for each in places if each is not owned] == [0, 0]
            assert owned.requests[path] == 2
        owned = names[owner(names, f"/v1/blobs/film/1/{GOOD_FIRST}#0")]
        await owned.stop()
        edge_c = await edges(list(names), [origin.url], "edge-c")
        assert await bench.read(edge_c, "0.m4s") == published.plain["0.m4s"]
        assert origin.requests == {}
    finally:
        await asyncio.gather(*(each.stop() for each in places))


async def test_t22_each_request_to_a_shield_says_whose_it_is(
    edges: Any, bench: Any, origin: Any, shields: Shields
) -> None:
    shield = await shields()
    await bench.read(await edges([shield.url], [origin.url], "edge-7"), "0.m4s")
    assert {fields[b"cdn-loop"] for fields in shield.fields} == {b"edge-7"}
