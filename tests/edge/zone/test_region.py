"""The region's keys in a worker: asked for until keys answers, anew at times, and sooner for a newer one."""

import asyncio
import os

from edge.zone.region import GAP_S, RegionKeys
from keys.problems import Problem
from keys.region_ring import RegionRing


class Keys:
    """Answers as told, and tells when it was asked."""

    def __init__(self, *answers: RegionRing | Problem) -> None:
        self.answers = list(answers)
        self.asked = asyncio.Semaphore(0)

    async def region_keys(self, region: str) -> RegionRing:
        assert region == "default"
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.asked.release()
        if isinstance(answer, Problem):
            raise answer
        return answer


def ring() -> RegionRing:
    return RegionRing.of(os.urandom(32), 0.0)


async def test_it_asks_until_keys_answers() -> None:
    there = ring()
    keys = Keys(Problem("unavailable"), there)
    async with RegionKeys(keys, clock=lambda: 0.0) as region:
        assert region.ring() is None
        for _ in range(2):
            await keys.asked.acquire()
        await asyncio.sleep(0)
        assert region.ring() is there


async def test_a_newer_key_is_asked_for_but_not_in_a_rush() -> None:
    one, two = ring(), ring()
    keys, now = Keys(one, two), 100.0
    async with RegionKeys(keys, clock=lambda: now) as region:
        await keys.asked.acquire()
        await asyncio.sleep(0)
        now += GAP_S - 1
        region.newer()
        await asyncio.sleep(0.05)
        assert region.ring() is one, "anybody who writes to Redis can name a key"
        now += 1
        region.newer()
        await keys.asked.acquire()
        await asyncio.sleep(0)
        assert region.ring() is two


async def test_when_keys_goes_away_what_it_said_holds() -> None:
    there, now = ring(), 100.0
    keys = Keys(there, Problem("unavailable"))
    async with RegionKeys(keys, clock=lambda: now) as region:
        await keys.asked.acquire()
        now += GAP_S
        region.newer()
        await keys.asked.acquire()
        await asyncio.sleep(0)
        assert region.ring() is there
