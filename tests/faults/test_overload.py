"""F35: three times as many want to begin as can. Viewers watch on; who is refused hears when to return.

Clients come by the clock, whether or not those before them were answered (an open loop), for a bounded time.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tests.support.crowd import Answer, Client, crowd
from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.load import under_load

SECONDS: Final = 3.0
CLOSED: Final = 8  # clients who each wait for their answer: what keys can do at most
MOST_A_SECOND: Final = 300


@dataclass
class Openings:
    """Links opened at a rate, and what came of them."""

    world: Fleet
    asset: str
    statuses: Counter[int] = field(default_factory=Counter)
    odd: list[Answer] = field(default_factory=list)

    async def one(self, number: int) -> None:
        """One newcomer, on a connection of his own."""
        edge = number % 2
        client = Client.of(self.world.system.edges[edge])
        answer = await client.get(self.world.path(self.world.system.sign(self.asset, edge)))
        client.close()
        self.statuses[answer.status] += 1
        if answer.status == 503:
            fine = answer.headers.get("retry-after", "").isdigit() and b'"unavailable"' in answer.body
        else:
            fine = answer.status == 302
        if not fine:
            self.odd.append(answer)

    async def closed_loop(self, seconds: float) -> float:
        """Sessions a second when nobody comes before another was answered."""
        began = time.monotonic()

        async def again(number: int) -> None:
            while time.monotonic() - began < seconds:
                await self.one(number)

        await asyncio.gather(*(again(number) for number in range(CLOSED)))
        return self.statuses[302] / (time.monotonic() - began)

    async def open_loop(self, rate: float, seconds: float) -> None:
        """So many a second, by the clock."""
        began, coming = time.monotonic(), []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            coming.append(asyncio.create_task(self.one(number)))
        await asyncio.gather(*coming)


async def test_f35_newcomers_beyond_what_can_be_done_are_told_to_come_back_and_viewers_watch_on(
    world: Fleet,
) -> None:
    asset = await world.film()
    async with under_load(world.system, asset, viewers=4, edges=2) as load:
        calm = Openings(world, asset)
        capacity = await calm.closed_loop(1.5)
        assert calm.odd == [] and calm.statuses[302] > 0
        storm = Openings(world, asset)
        await storm.open_loop(min(MOST_A_SECOND, 3 * capacity), SECONDS)
        assert storm.odd == [], storm.statuses
        assert storm.statuses[302] > 0, "some get in all the time"
        if storm.statuses[503]:
            refused = sum([world.system.counts(edge)["opens_refused"] for edge in range(2)])
            assert refused <= storm.statuses[503]

        async def taken() -> bool:
            after = Openings(world, asset)
            for number in range(4):
                await after.one(number)
            return after.statuses == Counter({302: 4})

        await eventually(taken, within_s=10)
    assert (load.wrong, load.refused, load.broken) == ([], [], 0)


async def test_f35_while_keys_does_not_keep_up_newcomers_are_refused_at_once(world: Fleet) -> None:
    """keys stands still: the first wait for it; from then on nobody new is made to wait."""
    asset = await world.film("queue", {"720p": [1000] * 2, "audio": [1000] * 2})
    running = await crowd(world.system, asset, 4, edges=2)
    for each in running:
        assert (await each.get("720p/0.m4s")).status == 200
    before = sum([world.system.counts(edge)["opens_refused"] for edge in range(2)])
    world.keys.blackhole = True
    stop = asyncio.Event()
    openings = Openings(world, asset)

    async def comes(number: int) -> None:
        while not stop.is_set():
            await openings.one(number)
            await asyncio.sleep(0.02)

    coming = [asyncio.create_task(comes(number)) for number in range(16)]

    async def refused_at_once() -> bool:
        now = sum([world.system.counts(edge)["opens_refused"] for edge in range(2)])
        return now >= before + 50

    await eventually(refused_at_once, within_s=15)
    for each in running:
        assert (await each.get("720p/1.m4s")).status == 200, "who has begun goes on"
    world.keys.heal()
    stop.set()
    await asyncio.gather(*coming)
    assert openings.odd == [] and set(openings.statuses) <= {302, 503}

    async def taken() -> bool:
        after = Openings(world, asset)
        await after.one(0)
        return after.statuses == Counter({302: 1})

    await eventually(taken, within_s=10)
