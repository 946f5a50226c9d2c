"""Turns: one large piece of work in each round of the loop, newcomers first, nobody never."""

import asyncio

from edge.deliver.turns import NEWCOMERS, Turns


class Round:
    """Counts the rounds of the loop, with a callback in each."""

    def __init__(self) -> None:
        self.number = 0
        self._count()

    def _count(self) -> None:
        self.number += 1
        asyncio.get_running_loop().call_soon(self._count)


async def test_of_many_bodies_one_piece_is_made_in_a_round_and_each_gets_its_share() -> None:
    turns, rounds = Turns(), Round()
    made: list[tuple[int, int]] = []

    async def body(name: int) -> None:
        for _ in range(5):
            await turns.next()
            made.append((rounds.number, name))

    await asyncio.gather(*(body(name) for name in range(8)))
    assert len({number for number, _ in made}) == len(made) == 40
    for start in range(0, 40 - 16):
        assert {name for _, name in made[start : start + 16]} == set(range(8))


async def test_a_turn_nobody_else_wants_is_had_at_once() -> None:
    turns, rounds = Turns(), Round()
    began = rounds.number
    await turns.next()
    assert rounds.number == began
    await turns.next()
    assert rounds.number > began, "the second piece is for another round"


async def test_a_first_piece_goes_before_bodies_that_have_begun_and_does_not_stop_them() -> None:
    turns = Turns()
    had: list[str] = []

    async def piece(name: str, *, first: bool) -> None:
        await turns.next(first=first)
        had.append(name)

    await turns.next()
    later = [asyncio.create_task(piece("later", first=False)) for _ in range(2)]
    await asyncio.sleep(0)
    first = [asyncio.create_task(piece("first", first=True)) for _ in range(2 * NEWCOMERS)]
    await asyncio.gather(*later, *first)
    newcomers = had.index("later", 1)
    assert had.count("first") == 2 * NEWCOMERS
    assert newcomers <= NEWCOMERS + 1, had


async def test_who_leaves_while_waiting_takes_nobodys_turn() -> None:
    turns = Turns()
    has, leaves, stays = (asyncio.create_task(turns.next()) for _ in range(3))
    await has
    leaves.cancel()
    await stays
    await turns.next()
    assert leaves.cancelled()
