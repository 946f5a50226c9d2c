"""What one connection is sent, in few large writes: what is made in one turn of the loop goes out together.

A head goes with the first bytes of its body, slices of a large body go two at a time. A write costs the way
through the kernel; and what it copies there drives our code and its objects out of the processor's caches,
so what runs between two large writes takes several times as long as it would right after one another. They
are written as they are, without being joined: the kernel gathers them.

Nothing is kept longer than until the loop's next turn, nor more than `most` bytes, so an answer that comes in
drops goes out in drops. Only whole slices wait for each other: they are the cache's, and cost a slow client
no memory of its own. A smaller piece may have been made for this client, and goes out before the next is made
(SECURITY F31).
"""

import asyncio
from typing import Final

from edge.http.partial import SLICE

TOGETHER: Final = 2 * SLICE  # bytes
LARGE: Final = 16 << 10  # bytes of a part that is sent at once when it is smaller than a slice

Part = bytes | bytearray | memoryview


class Outgoing:
    """The bytes on their way to one client."""

    def __init__(self, transport: asyncio.WriteTransport, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self._transport, self._loop, self._most = transport, loop, most
        self._parts: list[Part] = []
        self._size = 0
        self._due = False  # the loop's next turn sends what is here

    def add(self, *parts: Part) -> None:
        """These go out soon, after all before them."""
        self._parts += parts
        size = sum(map(len, parts))
        self._size += size
        if self._size >= self._most or LARGE <= size < SLICE:
            self.flush()
        elif not self._due:
            self._due = True
            self._loop.call_soon(self._in_turn)

    @property
    def empty(self) -> bool:
        """Whether all of it went to the transport."""
        return not self._parts

    def flush(self) -> None:
        """Sends what is here."""
        if self._parts:
            parts, self._parts, self._size = self._parts, [], 0
            if not self._transport.is_closing():
                self._transport.writelines(parts)

    def _in_turn(self) -> None:
        self._due = False
        self.flush()
