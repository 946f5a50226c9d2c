"""What sessions did is told in batches, off the hot path, bounded."""

from edge.deliver.activity import BATCH, Activity
from edge.deliver.course import Step
from keys.sessions import Activity as Seen
from tests.edge.parts import MemoryKeys


class Worker:
    """An activity batch over keys in memory."""

    def __init__(self, most_sessions: int = 10_000) -> None:
        self.keys = MemoryKeys()
        self.at = 100.0
        self.dropped = 0
        self.activity = Activity(
            self.keys, now=lambda: self.at, count=self._count, most_sessions=most_sessions
        )

    def _count(self, name: str, by: int) -> None:
        assert name == "activity_dropped"
        self.dropped += by


async def test_requests_of_a_session_are_told_as_one_sum() -> None:
    worker = Worker()
    worker.activity.segment("a", 100, 4.0, None)
    worker.at += 3
    worker.activity.segment("a", 50, 2.0, None)
    worker.activity.note("b")
    await worker.activity.post()
    assert worker.keys.seen == [{"a": Seen(103.0, 2, 150, 6.0), "b": Seen(103.0, 1, 0, 0.0)}]
    await worker.activity.post()
    assert len(worker.keys.seen) == 1


async def test_what_the_ripper_score_is_made_of_is_told_with_it() -> None:
    worker = Worker()
    worker.activity.segment("a", 10, 4.0, Step(4.0, again=False, apart=False))
    worker.activity.segment("a", 10, 4.0, Step(8.0, again=True, apart=False))
    worker.activity.segment("a", 10, 2.0, Step(900.0, again=True, apart=True))
    worker.activity.segment("a", 10, 0.0, None)
    worker.activity.held("a", 7.5)
    worker.activity.progress("a", 60)
    await worker.activity.post()
    assert worker.keys.seen == [{"a": Seen(100.0, 4, 100, 10.0, 6.0, 7.5, 2.0, 900.0)}]


async def test_the_latest_position_is_told_also_of_two_batches() -> None:
    worker = Worker()
    for position_s in (None, 4.0, None, 8.0, None):
        step = None if position_s is None else Step(position_s, again=True, apart=True)
        worker.activity.segment("a", 1, 4.0, step)
        worker.activity.held("a", 1.0)
        worker.keys.down = True
        await worker.activity.post()
        worker.keys.down = False
    await worker.activity.post()
    assert worker.keys.seen == [{"a": Seen(100.0, 5, 5, 20.0, 8.0, 5.0, 8.0, 8.0)}]


async def test_what_keys_did_not_take_is_told_the_next_time() -> None:
    worker = Worker()
    worker.activity.note("a", 1)
    worker.keys.down = True
    await worker.activity.post()
    worker.activity.note("a", 2)
    worker.keys.down = False
    await worker.activity.post()
    assert worker.keys.seen == [{"a": Seen(100.0, 2, 3, 0.0)}]


async def test_batches_are_as_large_as_keys_takes() -> None:
    worker = Worker()
    for n in range(BATCH + 1):
        worker.activity.note(f"s{n}")
    await worker.activity.post()
    assert [len(batch) for batch in worker.keys.seen] == [BATCH, 1]


async def test_sessions_beyond_the_bound_are_counted_as_dropped() -> None:
    worker = Worker(most_sessions=2)
    for sid in ("a", "b", "c", "a", "c"):
        worker.activity.note(sid)
    assert worker.dropped == 2
    await worker.activity.post()
    assert set(worker.keys.seen[0]) == {"a", "b"}
