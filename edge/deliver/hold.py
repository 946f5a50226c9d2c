"""How a segment waits for its viewer's pace, and how a client that left is noticed (`keys.pace`).

Slowing is the only answer pace ever gives: the response is held before its first byte for up to HOLD_S,
then a few bytes of the body go out at a time until the segment is granted. Never 503, never a trickle
after the grant. A client that leaves while it waits is not charged: the asking stops with it. What was held
is asked again whether its session still runs, at every look: waiting outlasts no revocation.
"""

import asyncio
from types import TracebackType
from typing import Final, Self

from starlette.types import Receive

from edge.deliver.needs import Grant

HOLD_S: Final = 8.0  # players wait this long for a first byte without harm
DRIP_EVERY_S: Final = 1.0
DRIP_BYTES: Final = 4
AT_ONCE_S: Final = 0.1  # within which pace answers whoever need not wait
LEAD_BYTES: Final = 4096  # made of a body while it drips: no more is held for somebody who has not paid
UNWATCHED: Final = 2 << 20  # bytes of a body that may be made for a client that left meanwhile
KEEP_BACK_BYTES: Final = 16  # what no drip reaches: the last block of the piece in hand


class Gone(Exception):
    """The client left before its answer was whole."""


class Client:
    """Whether the client of one request is still there, looked at while entered; what it sends is dropped.

    Watching takes a task, which is dear beside a small segment: it begins when the client has to wait for
    something (longer than pace takes to answer), or when UNWATCHED bytes are out.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone: asyncio.Task[None] | None = None
        self._sent = 0
        self.held_s = 0.0  # seconds it had to wait for pace, but for what pace takes to answer

    def check(self, sent: int = 0) -> None:
        """Gone when it was seen to leave. `sent`: bytes of its body that went out since the last check."""
        if self._gone is not None:
            if self._gone.done():
                raise Gone
            return
        self._sent += sent
        if self._sent >= UNWATCHED:
            self.watch()

    @property
    def watching(self) -> bool:
        """Whether it had to wait for something, or takes a long body."""
        return self._gone is not None

    def watch(self) -> "asyncio.Task[None]":
        """Begins to watch; done when the client left."""
        if self._gone is None:
            self._gone = asyncio.create_task(self._until_gone())
        return self._gone

    async def wait(self, grant: Grant, timeout_s: float) -> bool:
        """Whether the grant was given within the time. Gone when the client leaves first."""
        at_once = min(timeout_s, AT_ONCE_S)
        if await grant.wait(at_once):
            return True
        return await self._wait_watched(grant, timeout_s - at_once)

    async def _wait_watched(self, grant: Grant, timeout_s: float) -> bool:
        now = asyncio.get_running_loop().time
        since, gone = now(), self.watch()
        waiting = asyncio.ensure_future(grant.wait(timeout_s))
        try:
            await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise Gone
            return waiting.result()
        finally:
            waiting.cancel()
            self.held_s += now() - since

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nobody looks any more."""
        if self._gone is not None:
            self._gone.cancel()


def drip_size(piece: memoryview, sent: int) -> int:
    """How many bytes the next drip takes of the first piece, of which `sent` are out."""
    return max(0, min(DRIP_BYTES, len(piece) - KEEP_BACK_BYTES - sent))
