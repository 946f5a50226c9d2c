"""Work that a client waits for, given up when the client goes and nobody else wants it (SECURITY F20)."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import TypeVar

from starlette.types import Receive

T = TypeVar("T")


class Left(OSError):
    """The client went before it had an answer."""


class Asking(asyncio.Event):
    """A request to the origin that several wait for; set when the head of its answer is there."""

    waiting = 0  # how many others do

    async def joined(self, receive: Receive) -> None:
        """Waits as one of the others. Left."""
        self.waiting += 1
        try:
            await unless_left(self.wait(), receive)
        finally:
            self.waiting -= 1


async def unless_left(work: Coroutine[None, None, T], receive: Receive, asking: Asking | None = None) -> T:
    """What the work returns or raises. Left, when the client goes and nobody waits for `asking`.

    For requests whose body was read: their next message is that the client went. Work that others
    want goes on to its end.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if not working.done() and (asking is None or not asking.waiting):
            raise Left
        return await working
    finally:
        for task in (watching, working):
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def body_of(receive: Receive) -> AsyncIterator[bytes]:
    """A request's body as it comes. Left."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Left
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body", False):
            return
