"""Pipes to and from media tools, read without blocking; whoever opened one closes it, and nobody else.

Not by the loop's `connect_read_pipe`: uvloop closes the descriptor itself and then the file object once more,
by its number, which by then may be that of a file another thread has just opened (MagicStack/uvloop #763).
That would close a database or a blob in the middle of writing.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator
from typing import IO, NamedTuple


class Pipe(NamedTuple):
    """The two ends of a pipe."""

    read: IO[bytes]
    write: IO[bytes]


def open_pipe(files: contextlib.ExitStack) -> Pipe:
    """A pipe that closes with `files`."""
    read, write = os.pipe()
    return Pipe(
        files.enter_context(os.fdopen(read, "rb", buffering=0)),
        files.enter_context(os.fdopen(write, "wb", buffering=0)),
    )


async def pieces(pipe: IO[bytes], size: int) -> AsyncGenerator[bytes, None]:
    """What is written into the pipe, at most `size` bytes at once, until nobody has its other end open."""
    fd = pipe.fileno()
    os.set_blocking(fd, False)
    while True:
        try:
            data = os.read(fd, size)
        except BlockingIOError:
            await _readable(fd)
            continue
        if not data:
            return
        yield data


async def lines(pipe: IO[bytes], longest: int) -> AsyncGenerator[bytes, None]:
    """The lines written into it, without their ends. One that is longer than `longest` is left out."""
    rest, over = b"", False
    async for data in pieces(pipe, longest):
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            if not over:
                yield line
            over = False
        if len(rest) > longest:
            rest, over = b"", True


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def _settle(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
