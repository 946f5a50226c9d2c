"""What the workers of a node hear of keys they share, and never go back behind it (SECURITY 3.4, F27)."""

import asyncio
import os
import time
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from edge.deliver import lease_shelf
from edge.deliver.heard import KEPT_S, LONGEST, Heard
from edge.deliver.node_memory import NodeMemory, new_memory
from edge.deliver.revocations import NEW_SESSIONS_S, RUNNING_SESSIONS_S, Revocations
from edge.deliver.trust import TrustedTokens
from keys.problems import Problem
from keys.signing import SigningKey
from tests.edge.parts import MemoryKeys, refusal

URI = "http://edge.test/v/film/main.m3u8"


@pytest.fixture
def memory() -> Iterator[int]:
    with new_memory() as made:
        yield made.fileno()


def a_text(memory: int) -> tuple[Heard, Heard]:
    """Two workers' views of one text."""
    return NodeMemory(memory).trust, NodeMemory(memory).trust


def test_another_worker_takes_over_what_one_heard_unless_it_heard_later(memory: int) -> None:
    one, other = a_text(memory)
    assert other.get(10.0) is None
    one.put(b"first", 5.0)
    assert other.get(10.0) == (b"first", 5.0)
    assert other.get(10.0, after=5.0) is None
    other.put(b"second", 6.0)
    one.put(b"late", 5.5)
    assert one.get(10.0) == (b"second", 6.0)


def test_an_earlier_version_never_replaces_a_later_one(memory: int) -> None:
    one, other = a_text(memory)
    one.put(b"two", 5.0, 2)
    other.put(b"one", 6.0, 1)
    assert other.get(10.0) == (b"two", 5.0)


def test_what_is_old_or_of_another_start_of_the_machine_does_not_count(memory: int) -> None:
    one, other = a_text(memory)
    one.put(b"text", 5000.0)
    assert other.get(5000.0 + KEPT_S) is not None
    assert other.get(5001.0 + KEPT_S) is None
    assert other.get(4999.0) is None


@pytest.mark.parametrize("text", [b"", bytes(LONGEST + 1)])
def test_what_does_not_fit_leaves_none_rather_than_the_one_before(memory: int, text: bytes) -> None:
    one, other = a_text(memory)
    one.put(b"before", 5.0)
    one.put(text, 6.0)
    assert other.get(10.0) is None
    one.put(bytes(LONGEST), 7.0)
    assert other.get(10.0) == (bytes(LONGEST), 7.0)


@given(st.binary(max_size=64), st.data())
def test_a_damaged_text_is_none(tail: bytes, data: st.DataObject) -> None:
    text = b"unlike all else there" + tail
    with new_memory() as made:
        one, other = a_text(made.fileno())
        one.put(text, 5.0, 3)
        start = lease_shelf.SIZE + os.pread(made.fileno(), 4096, lease_shelf.SIZE).index(text)
        at = start + data.draw(st.integers(0, len(text) - 1))
        was = os.pread(made.fileno(), 1, at)[0]
        os.pwrite(made.fileno(), bytes([was ^ 1 << data.draw(st.integers(0, 7))]), at)
        assert other.get(10.0) is None


class Worker:
    """One of the workers of a node, over the same keys."""

    def __init__(self, keys: MemoryKeys, memory: int, at: float = 1000.0) -> None:
        self.at = at
        shared = NodeMemory(memory)
        self.trusted = TrustedTokens(keys, now=time.time, clock=lambda: self.at, shared=shared.trust)
        self.feed = Revocations(
            keys, now=time.time, clock=lambda: self.at, shared=shared.revocations, wait_s=0
        )

    async def code(self, key: SigningKey) -> str | None:
        """What a link of this signer is refused with."""
        return await refusal(self.trusted, key, URI)


async def test_f27_a_packager_known_to_one_worker_is_known_to_all_while_keys_is_away(memory: int) -> None:
    keys = MemoryKeys()
    one, other = Worker(keys, memory), Worker(keys, memory)
    await other.trusted.refresh()
    keys.packager = Ed25519PrivateKey.generate()
    one.at += 1
    await one.trusted.refresh()
    keys.down = True
    other.at += 1
    shown = [[key.public_bytes_raw() for key in each.trusted.packagers()] for each in (one, other)]
    assert shown == [[keys.packager.public_key().public_bytes_raw()]] * 2


async def test_f27_a_worker_that_starts_while_keys_is_away_knows_whom_to_trust(memory: int) -> None:
    keys = MemoryKeys()
    await Worker(keys, memory).trusted.refresh()
    keys.down = True
    late = Worker(keys, memory, 1005.0)
    assert late.trusted.missing()
    assert await late.code(keys.site) is None
    assert late.trusted.missing() is None
    assert await late.code(SigningKey.generate("site")) == "forbidden"


async def test_a_key_taken_back_does_not_come_back_from_a_worker_that_heard_earlier(memory: int) -> None:
    keys = MemoryKeys()
    one, other = Worker(keys, memory), Worker(keys, memory)
    await one.trusted.refresh()
    gone, keys.site = keys.site, SigningKey.generate("site")
    other.at += 1
    await other.trusted.refresh()
    assert await other.code(gone) == "forbidden"
    keys.down = True
    one.at += 1
    for worker in (one, other, Worker(keys, memory, 1002.0)):
        assert await worker.code(keys.site) is None
        assert await worker.code(gone) == "forbidden"


async def starts(worker: Worker) -> None:
    """What its task does first, until keys does not answer."""
    task = asyncio.create_task(worker.feed.run())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_f27_a_worker_that_starts_while_keys_is_away_knows_what_is_revoked_and_how_old_that_is(
    memory: int,
) -> None:
    keys = MemoryKeys()
    before = Worker(keys, memory)
    keys.revoke("sid", "s")
    await before.feed.poll()
    keys.down = True
    late = Worker(keys, memory, 1000.0 + NEW_SESSIONS_S + 1)
    await starts(late)
    late.feed.may_go_on()
    with pytest.raises(Problem, match="unavailable"):
        late.feed.may_open()
    with pytest.raises(Problem, match="revoked"):
        late.feed.check(sid="s")
    late.at = 1000.0 + RUNNING_SESSIONS_S + 1
    with pytest.raises(Problem, match="unavailable"):
        late.feed.may_go_on()
    later = Worker(keys, memory, late.at)
    await starts(later)
    assert later.feed.missing()


async def test_a_worker_reads_on_from_what_it_took_over(memory: int) -> None:
    keys = MemoryKeys()
    before, late = Worker(keys, memory), Worker(keys, memory, 1001.0)
    keys.revoke("sid", "s")
    await before.feed.poll()
    keys.down = True
    await starts(late)
    keys.down = False
    assert late.feed.revoked.version == before.feed.revoked.version
    keys.revoke("sid", "t")
    await late.feed.poll()
    for sid in ("s", "t"):
        with pytest.raises(Problem, match="revoked"):
            late.feed.check(sid=sid)
