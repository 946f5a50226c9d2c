"""Whose turn it is: of large pieces of work, one is done in each round of a worker's event loop.

    await turns.next()          # then make one piece and send it

However many bodies are under way, what is small (a playlist, a key, a head) waits for a piece or two, never
for one of each body. The first piece of a body goes before pieces of bodies that have begun, for a player
is waiting; every fourth turn goes to those, so that no crowd of newcomers can stop them. Pieces of one body
that its client takes at once share a turn (`Share`): coming back for each would cost more than is gained.
"""

import asyncio
from collections import deque
from typing import Final

NEWCOMERS: Final = 3  # turns in a row, while bodies that have begun wait
IN_A_ROW: Final = 4  # pieces of one body in a turn, if its client takes them at once


class Turns:
    """The turns of one worker. Nothing is held: who has had its turn need not say that it is done."""

    def __init__(self) -> None:
        self._first: deque[asyncio.Future[None]] = deque()
        self._later: deque[asyncio.Future[None]] = deque()
        self._in_a_row = 0  # newcomers' turns
        self._taken = False  # the turn of this round
        self.round = 0  # whose turn it was stays in it until others were let go on

    async def next(self, *, first: bool = False) -> None:
        """Returns in a round of which the turn is the caller's. `first`: nothing of its body is out yet."""
        loop = asyncio.get_running_loop()
        if not self._taken:
            self._taken = True
            loop.call_soon(self._round, loop)
            return
        turn = loop.create_future()
        (self._first if first else self._later).append(turn)
        await turn

    def _round(self, loop: asyncio.AbstractEventLoop) -> None:
        """The turn of the next round; without anybody who waits, it is free for whoever comes."""
        self.round += 1
        while self._first or self._later:
            turn = self._whose().popleft()
            if not turn.done():  # else its client left
                turn.set_result(None)
                loop.call_soon(self._round, loop)
                return
        self._taken = False

    def _whose(self) -> "deque[asyncio.Future[None]]":
        if self._first and (self._in_a_row < NEWCOMERS or not self._later):
            self._in_a_row += 1
            return self._first
        self._in_a_row = 0
        return self._later


class Share:
    """The turns of one body."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._round = -1  # in which its last turn was
        self._left = 0  # pieces still to be made in it

    async def next(self, *, first: bool = False) -> None:
        """Before each piece: a turn, or the rest of the one it has, if nobody else was let go on since."""
        if self._left and self._turns.round == self._round:
            self._left -= 1
            return
        await self._turns.next(first=first)
        self._round, self._left = self._turns.round, IN_A_ROW - 1
