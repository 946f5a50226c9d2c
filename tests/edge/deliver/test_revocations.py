"""What is revoked stays so; a feed too old stops new sessions, then running ones (SECURITY 3.4, F14, F28)."""

import asyncio
import time

import pytest

from edge.deliver.revocations import NEW_SESSIONS_S, RUNNING_SESSIONS_S, Revocations
from keys.problems import Problem
from keys.revocation import LIFTED, Feed
from keys.signing import SigningKey
from tests.edge.parts import MemoryKeys, until


class Worker:
    """A feed over keys in memory, with a clock that stands still."""

    def __init__(self) -> None:
        self.keys = MemoryKeys()
        self.at = 1000.0
        self.wall = time.time()
        self.feed = Revocations(self.keys, now=lambda: self.wall, clock=lambda: self.at)


def code(check: object) -> str | None:
    assert callable(check)
    try:
        check()
    except Problem as problem:
        return problem.code
    return None


async def test_before_the_first_answer_nothing_opens_and_nothing_goes_on() -> None:
    worker = Worker()
    assert code(worker.feed.may_open) == "unavailable"
    assert code(worker.feed.may_go_on) == "unavailable"
    assert worker.feed.missing() == "keys has not answered yet"
    await worker.feed.poll()
    assert code(worker.feed.may_open) is None
    assert worker.feed.missing() is None


async def test_f28_an_old_feed_stops_new_sessions_and_a_very_old_one_all() -> None:
    worker = Worker()
    await worker.feed.poll()
    worker.at += NEW_SESSIONS_S + 1
    assert code(worker.feed.may_open) == "unavailable"
    assert code(worker.feed.may_go_on) is None
    worker.at += RUNNING_SESSIONS_S
    assert code(worker.feed.may_go_on) == "unavailable"


@pytest.mark.parametrize(
    ("kind", "value", "names"),
    [
        ("sid", "s", {"sid": "s"}),
        ("lid", "l", {"lid": "l"}),
        ("viewer", "v", {"viewer": "v"}),
        ("asset", "film", {"asset": "film"}),
        ("kid", "site/k", {"signer": ("site", "k")}),
        ("epoch", "default/1800000000", {"issued": ("default", 1_800_000_000.5)}),
    ],
)
async def test_t4_each_kind_of_name_is_revoked(kind: str, value: str, names: dict[str, str]) -> None:
    worker = Worker()
    await worker.feed.poll()
    assert code(lambda: worker.feed.check(**names)) is None  # type: ignore[arg-type]
    worker.keys.revoke(kind, value)
    await worker.feed.poll()
    assert code(lambda: worker.feed.check(**names)) == "revoked"  # type: ignore[arg-type]
    worker.keys.down = True
    with pytest.raises(Problem):
        await worker.feed.poll()
    assert code(lambda: worker.feed.check(**names)) == "revoked"  # type: ignore[arg-type]


async def test_what_was_lifted_begins_again_and_a_reader_who_begins_anew_hears_of_it() -> None:
    worker = Worker()
    worker.keys.revoke("viewer", "anna")
    await worker.feed.poll()
    assert code(lambda: worker.feed.check(viewer="anna")) == "revoked"
    worker.keys.revoke("viewer", "anna", until=LIFTED)
    await worker.feed.poll()
    assert code(lambda: worker.feed.check(viewer="anna")) is None


async def test_another_trust_at_keys_is_asked_for_at_once() -> None:
    worker = Worker()
    asked: list[int] = []

    async def refresh() -> None:
        asked.append(len(asked))
        if len(asked) == 1:
            raise Problem("unavailable")

    worker.feed = Revocations(
        worker.keys, now=lambda: worker.wall, clock=lambda: worker.at, refresh_trust=refresh
    )
    await worker.feed.poll()
    await worker.feed.poll()
    assert asked == [], "the first trust is asked for by others"
    worker.keys.own = SigningKey.generate("sluice")
    with pytest.raises(Problem):
        await worker.feed.poll()
    await worker.feed.poll(wait_s=25)  # answered at once: this worker's trust is the old one yet
    await worker.feed.poll()
    assert asked == [0, 1]


async def test_a_gap_in_the_feed_is_read_again_from_the_start() -> None:
    worker = Worker()
    worker.keys.revoke("sid", "one")
    await worker.feed.poll()
    worker.keys.revoke("sid", "two")
    worker.keys.revoke("sid", "three")
    second = worker.keys.entries[1]
    worker.keys.entries[1] = worker.keys.entries[0]  # an answer that lost one
    answers = worker.keys.revocations

    async def healed(after: int, wait_s: float = 0, trust: str | None = None) -> Feed:
        feed = await answers(after, wait_s, trust)
        worker.keys.entries[1] = second
        return feed

    worker.keys.revocations = healed  # type: ignore[method-assign]
    await worker.feed.poll()
    assert code(lambda: worker.feed.check(sid="two")) == "revoked"
    assert code(lambda: worker.feed.check(sid="three")) == "revoked"


async def test_the_long_poll_brings_news_and_survives_trouble() -> None:
    worker = Worker()
    worker.keys.down = True
    task = asyncio.create_task(worker.feed.run())
    await until(lambda: bool(worker.keys.calls))
    worker.keys.down = False
    await until(lambda: not worker.feed.missing())
    worker.keys.revoke("sid", "s")
    await until(lambda: code(lambda: worker.feed.check(sid="s")) == "revoked")
    task.cancel()
