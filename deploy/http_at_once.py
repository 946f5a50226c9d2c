"""Answers an application has ready: they go out before anything is made of the request but its head.

    app.at_once(head, "http") -> Ready | None

An application that has such an `at_once` is asked for every request without a body on a connection that
stays. None: it is to be called as always.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

from starlette.types import ASGIApp

from deploy.http_answer import whole_head
from edge.guard.head import Head

JOINED: Final = 64 << 10  # bytes of an answer that is one piece, body and all


class Ready(Protocol):
    """One answer with its body. `wire` is empty until it first went out.

    Of a long one `body` is the beginning; `rest` then sends the `left` bytes after it as the client takes
    them, as an application whose answer has begun.
    """

    status: int
    fields: Sequence[tuple[bytes, bytes]]
    body: Sequence[bytes]
    wire: tuple[bytes, ...]
    left: int
    rest: ASGIApp | None


class AtOnce(Protocol):
    """Who has answers ready."""

    def __call__(self, head: Head, scheme: str) -> Ready | None: ...


def wire(ready: Ready) -> tuple[bytes, ...]:
    """The answer as it goes out at once, kept for the next time; empty when it is no well-formed one."""
    if not ready.wire:
        with suppress(RuntimeError):  # who is called as always has it logged
            head = whole_head(ready.status, ready.fields, sum(map(len, ready.body)) + ready.left)
            ready.wire = (head, *ready.body)
            if sum(map(len, ready.wire)) <= JOINED:
                ready.wire = (b"".join(ready.wire),)
    return ready.wire


def sent(transport: asyncio.WriteTransport, ready: Ready) -> bool:
    """Whether it is on its way."""
    out = wire(ready)
    if out:
        transport.writelines(out)
    return bool(out)
