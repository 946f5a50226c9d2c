"""Whose turn it is: nobody keeps a turn he does not use."""

import asyncio
import gc
import time

import pytest

from edge.zone import turns
from edge.zone.turns import Sharing, Turn, take_turn


class Claims:
    """Claims of one key, in memory; tells each renewal."""

    def __init__(self) -> None:
        self.owners: dict[str, bytes] = {}
        self.extended = asyncio.Event()
        self.times = 0

    async def get(self, key: str) -> bytes | None:
        return self.owners.get(key)

    async def claim(self, key: str, owner: bytes, ttl_ms: int) -> bool | None:
        return self.owners.setdefault(key, owner) == owner

    async def extend(self, key: str, owner: bytes, ttl_ms: int) -> bool | None:
        self.times += 1
        self.extended.set()
        return True

    async def release(self, key: str, owner: bytes) -> bool | None:
        return self.owners.pop(key, None) == owner

    async def leave(self, key: str, owner: bytes, word: bytes, ttl_ms: int) -> bool | None:
        self.owners[key] = word
        return True


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Claims:
    monkeypatch.setattr(turns, "HEARTBEAT_S", 0.01)
    return Claims()


async def test_f16_a_turn_nobody_holds_any_more_is_not_renewed(store: Claims) -> None:
    turn = await take_turn(store, "a", time.monotonic)
    assert isinstance(turn, Turn)
    await store.extended.wait()
    (beat,) = [task for task in asyncio.all_tasks() if task.get_name() == "zone turn"]
    del turn
    gc.collect()
    async with asyncio.timeout(20):
        await beat
    assert not beat.cancelled()


async def test_f16_a_turn_is_given_up_when_the_end_of_its_answer_is_cut_off(store: Claims) -> None:
    closing = asyncio.Event()

    class Hangs:
        """An answer that does not end."""

        async def pieces(self):  # type: ignore[no-untyped-def]
            yield b""

        async def close(self) -> None:
            closing.set()
            await asyncio.Event().wait()

    turn = await take_turn(store, "s/0", time.monotonic)
    assert isinstance(turn, Turn)
    sharing = Sharing(Hangs(), 0, 10, turn, "s/{}".format, lambda index, data: None)
    ending = asyncio.create_task(sharing.close())
    await closing.wait()
    ending.cancel()
    await asyncio.wait([ending])
    assert store.owners == {}


async def test_f16_a_turn_that_brings_nothing_is_not_renewed_for_ever(store: Claims) -> None:
    now = [0.0]
    turn = await take_turn(store, "a", lambda: now[0])
    assert isinstance(turn, Turn)
    (beat,) = [task for task in asyncio.all_tasks() if task.get_name() == "zone turn"]
    await store.extended.wait()
    now[0] += turns.PATIENCE_S
    async with asyncio.timeout(20):
        await beat
    assert not beat.cancelled()


async def test_f16_a_turn_is_renewed_as_long_as_its_answer_comes(store: Claims) -> None:
    now = [0.0]

    class Comes:
        """An answer of which a byte comes after each renewal, which is a while after the last."""

        async def pieces(self):  # type: ignore[no-untyped-def]
            for _ in range(5):
                store.extended.clear()
                await store.extended.wait()
                now[0] += turns.PATIENCE_S - 1
                yield b"x"

        async def close(self) -> None: ...

    turn = await take_turn(store, "s/0", lambda: now[0])
    assert isinstance(turn, Turn)
    sharing = Sharing(Comes(), 0, 1 << 30, turn, "s/{}".format, lambda index, data: None)
    async with asyncio.timeout(20):
        assert [piece async for piece in sharing.pieces()] == [b"x"] * 5
    await sharing.close()
    assert store.times >= 5 and store.owners == {}
