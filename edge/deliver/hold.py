"""How a segment waits for its viewer's pace, and how a client that left is noticed (DESIGN 4, "Pace").

Slowing is the only answer pace ever gives: the response is held before its first byte for up to HOLD_S,
then a few bytes of the body go out at a time until the segment is granted. Never 503, never a trickle
after the grant. A client that leaves while it waits is not charged: the asking stops with it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.types import Receive

from edge.deliver.needs import Grant

HOLD_S: Final = 8.0  # players wait this long for a first byte without harm
DRIP_EVERY_S: Final = 1.0
DRIP_BYTES: Final = 4
KEEP_BACK_BYTES: Final = 16  # what no drip reaches: the last block of the piece in hand


class Gone(Exception):
    """The client left before its answer was whole."""


class Client:
    """Whether the client of one request is still there."""

    def __init__(self, gone: asyncio.Task[None]) -> None:
        self._gone = gone

    def check(self) -> None:
        """Gone when it left."""
        if self._gone.done():
            raise Gone

    async def wait(self, grant: Grant, timeout_s: float) -> bool:
        """Whether the grant was given within the time. Gone when the client leaves first."""
        waiting = asyncio.ensure_future(grant.wait(timeout_s))
        try:
            await asyncio.wait({waiting, self._gone}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise Gone
            return waiting.result()
        finally:
            waiting.cancel()


@asynccontextmanager
async def watched(receive: Receive) -> AsyncIterator[Client]:
    """The client of a request: what it sends besides is dropped, that it leaves is noticed."""

    async def until_gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    gone = asyncio.create_task(until_gone())
    try:
        yield Client(gone)
    finally:
        gone.cancel()


def drip_size(piece: memoryview, sent: int) -> int:
    """How many bytes the next drip takes of the first piece, of which `sent` are out."""
    return max(0, min(DRIP_BYTES, len(piece) - KEEP_BACK_BYTES - sent))
