"""Waiting for keys: a busy keys is waited for, a silent one is not."""

import asyncio

import pytest

from edge.deliver import patience
from edge.deliver.patience import Patience
from keys.problems import Problem


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become hundredths."""
    monkeypatch.setattr(patience, "SILENCE_S", 0.05)
    monkeypatch.setattr(patience, "SILENCE_RUNNING_S", 0.2)
    monkeypatch.setattr(patience, "LONGEST_S", 0.5)


async def never() -> str:
    await asyncio.Event().wait()
    return "never"


async def test_f27_a_silent_keys_is_given_up(quick: None) -> None:
    with pytest.raises(Problem) as refused:
        await Patience().wait(never())
    assert (refused.value.code, refused.value.status) == ("unavailable", 503)
    assert refused.value.retry_after_s


async def test_who_has_a_session_waits_longer_than_who_comes_new(quick: None) -> None:
    waiting = Patience()
    going_on = asyncio.create_task(waiting.wait(never(), running=True))
    with pytest.raises(Problem):
        await waiting.wait(never())
    assert not going_on.done()
    with pytest.raises(Problem):
        await going_on


async def test_a_keys_that_answers_others_is_waited_for(quick: None) -> None:
    waiting, turn = Patience(), asyncio.Event()

    async def late() -> str:
        await turn.wait()
        return "opened"

    async def others() -> None:
        for _ in range(4):
            await waiting.wait(asyncio.sleep(0.03))
        turn.set()

    answer, _ = await asyncio.gather(waiting.wait(late()), others())
    assert answer == "opened"


async def test_trouble_is_no_sign_of_life_but_a_refusal_is(quick: None) -> None:
    waiting = Patience()

    async def refuse(code: str) -> None:
        raise Problem(code)

    for code in ("unavailable", "forbidden"):
        with pytest.raises(Problem) as found:
            await waiting.wait(refuse(code))
        assert found.value.code == code


async def test_nobody_waits_longer_than_the_limit_however_busy_keys_is(quick: None) -> None:
    waiting = Patience()

    async def chatter() -> None:
        while True:
            await waiting.wait(asyncio.sleep(0.01))

    others = asyncio.create_task(chatter())
    with pytest.raises(Problem):
        await waiting.wait(never())
    others.cancel()


async def test_an_asking_goes_on_after_its_viewer_was_sent_away(quick: None) -> None:
    done = asyncio.Event()
    turn = asyncio.Event()

    async def late() -> None:
        await turn.wait()
        done.set()

    with pytest.raises(Problem):
        await Patience().wait(late())
    turn.set()
    await done.wait()
