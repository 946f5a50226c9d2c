"""Background tasks end when told to, even one that loses a cancellation."""

import asyncio

import pytest

from keys import tasks
from keys.tasks import end_tasks


async def test_a_task_that_swallows_a_cancellation_is_ended_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "AGAIN_S", 0.01)
    swallowed = 0

    async def deaf_twice() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if swallowed == 2:
                    raise
                swallowed += 1

    task = asyncio.create_task(deaf_twice())
    await asyncio.sleep(0)
    await end_tasks([task])
    assert task.cancelled() and swallowed == 2


async def test_ended_and_failed_tasks_are_taken_as_they_are() -> None:
    async def fails() -> None:
        raise ValueError

    failed = asyncio.create_task(fails())
    await asyncio.wait({failed})
    await end_tasks([failed])
    await end_tasks([])
    assert failed.done() and not failed.cancelled()
