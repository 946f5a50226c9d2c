"""Leases shared by the workers of a node: in memory without a name, whole or not at all (SECURITY 3.4)."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge.deliver import lease_shelf
from edge.deliver.lease_shelf import KEPT_S, SLOT, WAYS, LeaseShelf
from edge.deliver.leases import RENEW_AFTER_S, STRETCH_S, Leases
from edge.deliver.node_memory import new_memory
from keys.names import b64url
from keys.problems import Problem
from tests.edge.parts import MemoryKeys

SID = b64url(bytes(16))
URI = "http://edge.test/v/film/aes/720p/0.m4s"
LEASE = MemoryKeys().lease_of(SID)


@pytest.fixture
def memory() -> Iterator[int]:
    with new_memory() as made:
        yield made.fileno()


def test_another_worker_finds_what_one_put(memory: int) -> None:
    one, other = LeaseShelf(memory), LeaseShelf(memory)
    assert other.get(SID) is None
    one.put(LEASE, 12.5)
    assert other.get(SID) == (LEASE, 12.5)
    assert other.get(b64url(bytes([1] * 16))) is None
    other.put(replace(LEASE, viewer="später"), 13.0)
    assert one.get(SID) == (replace(LEASE, viewer="später"), 13.0)
    other.forget(SID)
    assert one.get(SID) is None


def test_the_memory_has_no_name_and_no_size_but_its_own(memory: int) -> None:
    assert str(Path(f"/proc/self/fd/{memory}").readlink()) == "/memfd:sluice-edge (deleted)"
    assert not os.get_inheritable(memory)
    for size in (0, 1 << 30):
        with pytest.raises(PermissionError):
            os.ftruncate(memory, size)


def test_a_damaged_slot_is_empty(memory: int) -> None:
    shelf = LeaseShelf(memory)
    shelf.put(LEASE, 1.0)
    whole = os.pread(memory, os.fstat(memory).st_size, 0)
    at = whole.index(b'"srk"') + 10
    os.pwrite(memory, bytes([whole[at] ^ 1]), at)
    assert shelf.get(SID) is None
    shelf.put(LEASE, 2.0)
    assert shelf.get(SID) == (LEASE, 2.0)


def test_what_fits_no_slot_is_not_shared(memory: int) -> None:
    shelf = LeaseShelf(memory)
    shelf.put(replace(LEASE, viewer="v" * SLOT), 1.0)
    assert shelf.get(SID) is None


def test_where_all_places_are_taken_the_oldest_lease_goes(
    memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_shelf, "_places", lambda tag: range(WAYS))
    shelf = LeaseShelf(memory)
    sids = [b64url(bytes([n] * 16)) for n in range(WAYS + 1)]
    for n, sid in enumerate(sids):
        shelf.put(replace(LEASE, sid=sid), 100.0 + n)
    assert [shelf.get(sid) is not None for sid in sids] == [False] + [True] * WAYS


def test_keys_that_are_good_no_more_do_not_lie_about(memory: int) -> None:
    shelf = LeaseShelf(memory)
    shelf.put(LEASE, 100.0)
    shelf.sweep(100.0 + KEPT_S)
    assert shelf.get(SID) is not None
    shelf.sweep(101.0 + KEPT_S)
    shelf.put(replace(LEASE, sid=b64url(bytes([1] * 16))), 101.0 + KEPT_S)
    shelf.forget(b64url(bytes([1] * 16)))
    assert not any(os.pread(memory, os.fstat(memory).st_size, 0))


PUT_MANY = """
import sys
from dataclasses import replace
from tests.edge.deliver.test_lease_shelf import LEASE, LeaseShelf
shelf = LeaseShelf(int(sys.argv[1]))
for n in range(500):
    shelf.put(replace(LEASE, viewer=sys.argv[2] * 100), float(n))
"""


def test_two_workers_that_write_at_once_leave_one_whole_lease_or_none(memory: int) -> None:
    shelf = LeaseShelf(memory)
    writers = [
        subprocess.Popen([sys.executable, "-c", PUT_MANY, str(memory), viewer], pass_fds=[memory])
        for viewer in "ab"
    ]
    while any(writer.poll() is None for writer in writers):
        found = shelf.get(SID)
        assert found is None or found[0].viewer in ("a" * 100, "b" * 100)
    assert [writer.returncode for writer in writers] == [0, 0]


class Node:
    """Two workers over one shelf and one keys service."""

    def __init__(self, memory: int) -> None:
        self.at = 1000.0
        self.keys = MemoryKeys()
        self.token = self.keys.session_token(bytes(16))
        self.one, self.other = (
            Leases(self.keys, clock=lambda: self.at, shelf=LeaseShelf(memory)) for _ in range(2)
        )

    async def plays_on(self, worker: Leases) -> bool:
        try:
            return (await worker.get(SID, self.token, URI)).sid == SID
        except Problem as problem:
            assert problem.status in (403, 503)
            return False

    def asked(self) -> int:
        return self.keys.calls.count("lease")


async def test_f27_a_session_moves_to_another_worker_while_keys_is_away(memory: int) -> None:
    node = Node(memory)
    assert await node.plays_on(node.one)
    node.at += RENEW_AFTER_S  # the worst moment: just before a renewal
    node.keys.down = True
    await node.one.renew()
    node.at += STRETCH_S - 1
    assert await node.plays_on(node.other)
    node.at += 2
    assert not await node.plays_on(node.other)


async def test_keys_is_asked_once_a_node(memory: int) -> None:
    node = Node(memory)
    assert await node.plays_on(node.one) and await node.plays_on(node.other)
    assert node.asked() == 1
    node.at += RENEW_AFTER_S
    await node.one.renew()
    await node.other.renew()
    assert node.asked() == 2


async def test_t4_a_session_that_keys_refuses_is_not_found_on_the_shelf(memory: int) -> None:
    node = Node(memory)
    assert await node.plays_on(node.one)
    node.at += RENEW_AFTER_S
    node.keys.refuse = Problem("revoked")
    await node.one.renew()
    assert not await node.plays_on(node.one)
    assert not await node.plays_on(node.other)
