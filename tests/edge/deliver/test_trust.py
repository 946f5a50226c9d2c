"""Whose tokens count: what keys said last, asked again for an unknown key, not at a stranger's pleasure."""

import asyncio
import time

import pytest

from edge.deliver.trust import GAP_S, TrustedTokens
from keys.problems import Problem
from keys.signing import SigningKey
from tests.edge.parts import MemoryKeys, refusal

URI = "http://edge.test/v/film/main.m3u8"


class Worker:
    """Trust over keys in memory, with a clock that stands still."""

    def __init__(self) -> None:
        self.keys = MemoryKeys()
        self.at = 1000.0
        self.trusted = TrustedTokens(self.keys, now=time.time, clock=lambda: self.at)

    async def code(self, key: SigningKey) -> str | None:
        """What a link of this signer is refused with."""
        return await refusal(self.trusted, key, URI)


async def test_before_the_first_answer_nobody_is_trusted() -> None:
    worker = Worker()
    assert await worker.code(worker.keys.site) == "unavailable"
    assert worker.trusted.missing()
    await worker.trusted.refresh()
    assert await worker.code(worker.keys.site) is None
    assert not worker.trusted.missing()


async def test_a_new_signing_key_is_learnt_when_it_first_shows_up() -> None:
    worker = Worker()
    await worker.trusted.refresh()
    worker.keys.site = SigningKey.generate("site")
    assert await worker.code(worker.keys.site) == "forbidden"  # asked a moment ago
    worker.at += GAP_S
    assert await worker.code(worker.keys.site) is None


async def test_strangers_cannot_make_the_edge_ask_often() -> None:
    worker = Worker()
    await worker.trusted.refresh()
    worker.at += GAP_S
    for _ in range(20):
        assert await worker.code(SigningKey.generate("site")) == "forbidden"
    assert worker.keys.calls.count("trust") == 2


async def test_while_keys_is_away_what_was_trusted_stays_trusted() -> None:
    worker = Worker()
    await worker.trusted.refresh()
    worker.at += GAP_S
    worker.keys.down = True
    assert await worker.code(SigningKey.generate("site")) == "forbidden"
    assert await worker.code(worker.keys.site) is None
    with pytest.raises(Problem):
        await worker.trusted.refresh()
    assert not worker.trusted.missing()


async def test_packagers_keys_come_with_the_trust_and_are_asked_again_for_at_most_once_a_gap() -> None:
    worker = Worker()
    assert not worker.trusted.packagers()
    await worker.trusted.refresh_soon()
    assert len(worker.trusted.packagers()) == 1
    await worker.trusted.refresh_soon()
    assert worker.keys.calls.count("trust") == 1


async def test_a_packager_enrolled_a_moment_after_the_last_asking_is_found() -> None:
    keys = MemoryKeys()
    trusted = TrustedTokens(keys, now=time.time, clock=time.monotonic, gap_s=0.05)
    await trusted.refresh()
    await asyncio.gather(*(trusted.refresh_soon() for _ in range(3)))
    assert keys.calls.count("trust") == 2


async def test_who_comes_while_keys_is_being_asked_waits_for_the_answer() -> None:
    worker = Worker()
    await worker.trusted.refresh()
    worker.keys.site = SigningKey.generate("site")
    worker.at += GAP_S
    codes = await asyncio.gather(*(worker.code(worker.keys.site) for _ in range(5)))
    assert codes == [None] * 5
    assert worker.keys.calls.count("trust") == 2
