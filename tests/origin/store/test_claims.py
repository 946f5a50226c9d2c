"""The queue in the database: each asset has one worker at a time, whatever becomes of workers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from keys.problems import Problem
from origin.store.catalogue import Catalogue
from origin.store.claims import MOST_ATTEMPTS, POISONED, Claim, Claims

LEASE_S = 30.0


class Clock:
    """The database's clock, as a test sets it."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def catalogue(database_url: str, clock: Clock) -> AsyncIterator[Catalogue]:
    opened = await Catalogue.open(database_url, clock)
    opened.claims = Claims(opened._database, clock)
    yield opened
    await opened.close()


async def queue(catalogue: Catalogue, *names: str, node: str = "") -> None:
    for name in names:
        await catalogue.create(id=name, source_name=f"{name}.mp4", state="queued", node=node)


async def taken(catalogue: Catalogue, holder: str = "a/1", *, node: str = "a", idle: bool = True) -> Claim:
    claim = await catalogue.claims.claim(holder, node, idle=idle, lease_s=LEASE_S)
    assert claim is not None
    return claim


async def nothing(catalogue: Catalogue, holder: str = "a/2", node: str = "a", *, idle: bool = True) -> bool:
    return await catalogue.claims.claim(holder, node, idle=idle, lease_s=LEASE_S) is None


async def test_many_workers_of_many_processes_take_each_asset_once(
    database_url: str, catalogue: Catalogue
) -> None:
    names = [f"film-{number}" for number in range(24)]
    await queue(catalogue, *names)
    found: list[str] = []

    async def work(number: int, claims: Claims) -> None:
        while claim := await claims.claim(f"a/{number}", "a", idle=True, lease_s=LEASE_S):
            found.append(claim.asset)

    async with contextlib.AsyncExitStack() as stack:
        others = [await Catalogue.open(database_url) for _ in range(4)]  # each with connections of its own
        for other in others:
            stack.push_async_callback(other.close)
        await asyncio.gather(*(work(number, others[number % 4].claims) for number in range(12)))
    assert sorted(found) == sorted(names)


async def test_who_waits_longest_is_taken_first(catalogue: Catalogue, clock: Clock) -> None:
    for name in ("first", "second", "third"):
        clock.time += 1
        await queue(catalogue, name)
    clock.time += 1
    await catalogue.set_state("first", "cancelled")
    await catalogue.set_state("first", "queued")  # to the end of the line
    assert [(await taken(catalogue)).asset for _ in range(3)] == ["second", "third", "first"]


async def test_a_claim_is_held_while_it_is_renewed_and_anybodys_when_it_is_not(
    catalogue: Catalogue, clock: Clock
) -> None:
    await queue(catalogue, "film")
    claim = await taken(catalogue)
    for _ in range(5):
        clock.time += LEASE_S - 1
        assert await catalogue.claims.beat(claim, LEASE_S) == "ingesting"
        assert await nothing(catalogue)
    clock.time += LEASE_S
    again = await taken(catalogue, "b/1", node="b")
    assert (again.asset, again.attempts) == ("film", 2)
    assert again.fence != claim.fence


async def test_a_worker_that_lost_its_claim_changes_nothing_any_more(
    catalogue: Catalogue, clock: Clock
) -> None:
    await queue(catalogue, "film")
    lost = await taken(catalogue)
    clock.time += LEASE_S
    assert await catalogue.claims.beat(lost, LEASE_S) is None, "it ran out, though nobody has it yet"
    held = await taken(catalogue, "b/1", node="b")
    assert await catalogue.claims.beat(lost, LEASE_S) is None
    assert not await catalogue.claims.last(lost)
    assert not await catalogue.update_progress("film", 0.5, 1.0, None, fence=lost.fence)
    values: dict[str, Any] = {
        "generation": 1,
        "duration": 1.0,
        "width": 1,
        "height": 1,
        "size_bytes": 1,
        "renditions": [],
    }
    with pytest.raises(Problem) as refused:
        await catalogue.publish("film", fence=lost.fence, **values)
    assert (refused.value.code, refused.value.message) == ("conflict", "Another worker has this now.")
    with pytest.raises(Problem):
        await catalogue.set_state("film", "failed", error="Late.", fence=lost.fence)
    await catalogue.claims.end(lost)
    assert await catalogue.claims.held("film")
    assert await catalogue.update_progress("film", 0.5, 1.0, None, fence=held.fence)
    await catalogue.publish("film", fence=held.fence, **values)
    assert (await catalogue.get("film")).state == "published"


async def test_an_asset_made_anew_under_its_name_is_not_the_claim_of_before(catalogue: Catalogue) -> None:
    await queue(catalogue, "film")
    lost = await taken(catalogue)
    await catalogue.delete("film")
    assert await catalogue.claims.last(lost), "nobody has it: what is left may be cleared up"
    await queue(catalogue, "film")
    held = await taken(catalogue, "a/1")
    assert held.fence != lost.fence
    assert await catalogue.claims.beat(lost, LEASE_S) is None
    assert not await catalogue.claims.last(lost)


async def test_an_upload_on_one_machines_disk_is_for_its_workers_only(catalogue: Catalogue) -> None:
    await queue(catalogue, "here", node="a")
    assert await nothing(catalogue, "b/1", "b")
    await queue(catalogue, "shared")
    assert (await taken(catalogue, "b/1", node="b")).asset == "shared"
    assert (await taken(catalogue, "a/1", node="a")).asset == "here"


async def test_over_what_three_workers_died_nobody_else_does(catalogue: Catalogue, clock: Clock) -> None:
    await queue(catalogue, "poison")
    for attempt in range(MOST_ATTEMPTS):
        claim = await taken(catalogue, f"a/{attempt}")
        assert claim.attempts == attempt + 1
        await catalogue.claims.lapse(claim.holder)
    clock.time += 1
    await queue(catalogue, "film")
    assert (await taken(catalogue)).asset == "film"
    poison = await catalogue.get("poison")
    assert (poison.state, poison.error) == ("failed", POISONED)
    await catalogue.set_state("poison", "queued")
    assert (await taken(catalogue)).attempts == 1, "who retries it has looked at it"


async def test_over_what_a_worker_died_another_is_busy_with_nothing_else(catalogue: Catalogue) -> None:
    await queue(catalogue, "poison", "film")
    await taken(catalogue, "a/1")
    await taken(catalogue, "a/1", idle=False)
    await catalogue.claims.lapse("a/1")
    assert await nothing(catalogue, idle=False)
    assert (await taken(catalogue)).attempts == 2


async def test_what_is_given_back_was_not_tried(catalogue: Catalogue) -> None:
    await queue(catalogue, "film")
    for _ in range(2 * MOST_ATTEMPTS):
        claim = await taken(catalogue)
        assert claim.attempts == 1
        await catalogue.claims.leave(claim.holder)
        assert not await catalogue.claims.held("film")


async def test_a_cancelled_asset_that_is_retried_waits_until_its_worker_has_cleared_up(
    catalogue: Catalogue,
) -> None:
    await queue(catalogue, "film")
    claim = await taken(catalogue)
    await catalogue.set_state("film", "cancelled")
    assert await catalogue.claims.beat(claim, LEASE_S) == "cancelled"
    await catalogue.set_state("film", "queued")
    assert await nothing(catalogue)
    await catalogue.claims.end(claim)
    assert (await taken(catalogue)).attempts == 1


async def test_workers_of_a_node_are_named_exactly(catalogue: Catalogue) -> None:
    for name, holder in (("one", "a/1"), ("two", "a_b/1"), ("three", "axb/1")):
        await queue(catalogue, name)
        await taken(catalogue, holder)
    assert await catalogue.claims.holders("a_b") == ["a_b/1"]
    assert await catalogue.claims.holders("a") == ["a/1"]


async def test_operators_see_who_works_on_what(catalogue: Catalogue, clock: Clock) -> None:
    await queue(catalogue, "first", "second", node="a")
    claim = await taken(catalogue)
    assert await catalogue.update_progress("first", 0.25, 3.0, 9.0, fence=claim.fence)
    first, second = await catalogue.claims.jobs()
    assert (first.asset, first.state, first.progress, first.rate, first.eta_s) == (
        ("first", "ingesting", 0.25, 3.0, 9.0)
    )
    assert (first.worker, first.attempts, first.node, first.heartbeat) == ("a/1", 1, "a", clock.time)
    assert (second.asset, second.state, second.worker, second.attempts) == ("second", "queued", "", 0)
    clock.time += LEASE_S
    first, _ = await catalogue.claims.jobs()
    assert (first.state, first.worker) == ("queued", "")
    await catalogue.set_state("second", "failed", error="This file has no picture and no sound.")
    assert "no picture" in (await catalogue.claims.jobs())[1].public()["error"]


async def test_leases_are_told_by_the_databases_own_clock(database_url: str) -> None:
    catalogue = await Catalogue.open(database_url, lambda: 0.0)  # this machine's clock is far behind
    await queue(catalogue, "film")
    claim = await catalogue.claims.claim("a/1", "a", idle=True, lease_s=LEASE_S)
    assert claim is not None
    assert await catalogue.claims.held("film")
    assert await catalogue.claims.beat(claim, -1.0) == "ingesting"
    assert not await catalogue.claims.held("film")
    await catalogue.close()


async def test_what_was_published_while_a_claim_looked_stays_published(
    database_url: str, catalogue: Catalogue, clock: Clock
) -> None:
    """A publish takes no lock of the queue: it may commit between a claim's look and its write."""
    if database_url.startswith("sqlite"):
        pytest.skip("SQLite has one writer at a time: nothing commits in between")
    await queue(catalogue, "film")
    await taken(catalogue)
    clock.time += LEASE_S + 1
    other = await Catalogue.open(database_url, clock)

    class Late(Claims):
        looks = 0

        async def _first(self, connection: Any, node: str) -> Any:
            row = await super()._first(connection, node)
            self.looks += 1
            if self.looks == 2:  # the look that is written by
                await other.set_state("film", "cancelled")
            return row

    try:
        claims = Late(catalogue._database, clock)
        assert await claims.claim("b/1", "b", idle=True, lease_s=LEASE_S) is None
        assert claims.looks == 3
        assert (await catalogue.get("film")).state == "cancelled"
    finally:
        await other.close()
