"""Progress is told seldom, and a job that nobody wants any more is stopped."""

import asyncio

import pytest

from origin.ingest.progress import Reporter, UnwantedError
from origin.ingest.transcode import Progress


async def test_many_notes_become_few_writes_and_the_first_is_told_at_once() -> None:
    written: list[float] = []
    told = asyncio.Event()

    async def write(progress: Progress) -> bool:
        written.append(progress.done)
        told.set()
        return True

    reporter = Reporter(write, interval_s=60)
    async with reporter.reporting():
        reporter.note(Progress(0.0, 1.0, None))
        await told.wait()
        for step in range(1000):
            reporter.note(Progress(step / 1000, 1.0, None))
            await asyncio.sleep(0)
    assert written == [0.0]


async def test_work_that_nobody_wants_is_stopped() -> None:
    async def write(progress: Progress) -> bool:
        return False

    reporter = Reporter(write)
    with pytest.raises(UnwantedError):
        async with reporter.reporting():
            reporter.note(Progress(0.5, 1.0, None))
            await asyncio.Event().wait()


async def test_the_works_own_failure_is_raised_as_it_is() -> None:
    async def write(progress: Progress) -> bool:
        return True

    with pytest.raises(KeyError):
        async with Reporter(write).reporting():
            raise KeyError("its own")
