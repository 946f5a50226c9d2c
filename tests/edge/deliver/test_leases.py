"""One lease a session, asked for once, renewed early, stretched while keys is away (SECURITY 3.4, F27)."""

import asyncio
from dataclasses import dataclass

import pytest

from edge.deliver import patience
from edge.deliver.leases import IDLE_S, REFUSED_FOR_S, RENEW_AFTER_S, STRETCH_S, UNANSWERED, Leases
from keys.names import b64url
from keys.problems import Problem
from tests.edge.parts import MemoryKeys

SID = b64url(bytes(16))
URI = "http://edge.test/v/film/aes/720p/0.m4s"


@dataclass
class Clock:
    """A monotonic clock that stands still."""

    at: float = 1000.0

    def __call__(self) -> float:
        return self.at


class Worker:
    """Leases over keys in memory."""

    def __init__(self) -> None:
        self.keys = MemoryKeys()
        self.clock = Clock()
        self.leases = Leases(self.keys, clock=self.clock)
        self.token = self.keys.session_token(bytes(16))

    async def get(self) -> str:
        return (await self.leases.get(SID, self.token, URI)).sid

    def asked(self) -> int:
        return self.keys.calls.count("lease")


async def test_concurrent_first_requests_share_one_call() -> None:
    worker = Worker()
    assert await asyncio.gather(*(worker.get() for _ in range(20))) == [SID] * 20
    assert worker.asked() == 1
    await worker.get()
    assert worker.asked() == 1


async def test_a_first_request_that_leaves_does_not_take_the_others_answer_along() -> None:
    worker = Worker()
    worker.keys.slow = asyncio.Event()
    first = asyncio.create_task(worker.get())
    second = asyncio.create_task(worker.get())
    await asyncio.sleep(0)
    first.cancel()
    worker.keys.slow.set()
    assert await second == SID
    assert worker.asked() == 1


async def test_leases_are_renewed_in_the_background_from_five_minutes_on() -> None:
    worker = Worker()
    await worker.get()
    worker.clock.at += RENEW_AFTER_S - 1
    await worker.leases.renew()
    assert worker.asked() == 1
    worker.clock.at += 1
    await worker.leases.renew()
    assert worker.asked() == 2
    await worker.leases.renew()
    assert worker.asked() == 2


async def test_f27_running_sessions_have_ten_minutes_when_keys_goes_away() -> None:
    worker = Worker()
    await worker.get()
    worker.clock.at += RENEW_AFTER_S  # the worst moment: just before a renewal
    worker.keys.down = True
    await worker.leases.renew()
    worker.clock.at += STRETCH_S - 1
    await worker.leases.renew()
    assert await worker.get() == SID
    worker.clock.at += 2
    with pytest.raises(Problem) as caught:
        await worker.get()
    assert (caught.value.status, caught.value.retry_after_s) == (503, 2)


async def test_a_short_lease_is_stretched_while_keys_is_away() -> None:
    worker = Worker()
    worker.keys.lease_s = RENEW_AFTER_S + 10
    await worker.get()
    worker.clock.at += RENEW_AFTER_S
    worker.keys.down = True
    await worker.leases.renew()
    worker.clock.at += STRETCH_S - 1
    assert await worker.get() == SID


async def test_t19_the_leases_of_a_node_that_was_removed_end_within_a_quarter_of_an_hour() -> None:
    worker = Worker()
    await worker.get()
    worker.keys.refuse = Problem("unauthenticated", "Unauthenticated.")
    removed_at = worker.clock.at
    while worker.clock.at < removed_at + 15 * 60 - 5:
        worker.clock.at += 5
        await worker.leases.renew()
        await worker.get()
    worker.clock.at += 5
    with pytest.raises(Problem):
        await worker.get()


async def test_when_keys_is_back_the_lease_is_renewed() -> None:
    worker = Worker()
    await worker.get()
    worker.clock.at += RENEW_AFTER_S
    worker.keys.down = True
    await worker.leases.renew()
    worker.keys.down = False
    await worker.leases.renew()
    worker.clock.at += RENEW_AFTER_S
    asked = worker.asked()
    assert await worker.get() == SID
    assert worker.asked() == asked


async def test_a_new_session_gets_503_at_once_while_keys_is_away() -> None:
    worker = Worker()
    worker.keys.down = True
    with pytest.raises(Problem) as caught:
        await worker.get()
    assert caught.value.status == 503
    assert caught.value.retry_after_s


async def test_keys_that_does_not_answer_is_503_and_its_late_answer_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "SILENCE_S", 0.01)
    worker = Worker()
    worker.keys.slow = asyncio.Event()
    with pytest.raises(Problem) as caught:
        await worker.get()
    assert caught.value.status == 503
    worker.keys.slow.set()
    assert await worker.get() == SID
    assert worker.asked() == 1


async def test_a_refusal_ends_the_lease_and_is_remembered_for_a_moment() -> None:
    worker = Worker()
    await worker.get()
    worker.clock.at += RENEW_AFTER_S
    worker.keys.refuse = Problem("revoked")
    await worker.leases.renew()
    assert len(worker.leases) == 0
    for _ in range(5):
        with pytest.raises(Problem) as caught:
            await worker.get()
        assert caught.value.code == "revoked"
    assert worker.asked() == 2
    worker.clock.at += REFUSED_FOR_S
    worker.keys.refuse = None
    assert await worker.get() == SID


async def test_an_idle_session_is_let_go() -> None:
    worker = Worker()
    await worker.get()
    worker.clock.at += IDLE_S + 1
    await worker.leases.renew()
    assert len(worker.leases) == 0


async def test_with_keys_away_a_few_renewals_are_enough() -> None:
    worker = Worker()
    for n in range(40):
        await worker.leases.get(b64url(bytes([n] * 16)), worker.keys.session_token(bytes([n] * 16)), URI)
    worker.clock.at += RENEW_AFTER_S
    worker.keys.down = True
    asked = worker.asked()
    await worker.leases.renew()
    assert UNANSWERED <= worker.asked() - asked < 2 * UNANSWERED


async def test_t21_neither_keys_nor_tokens_are_printed() -> None:
    worker = Worker()
    await worker.get()
    shown = repr(worker.leases._held)
    assert worker.token not in shown
    assert "srk" not in shown
