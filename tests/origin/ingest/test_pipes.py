"""Pipes of media tools: all bytes in order, and no descriptor is closed by anybody but its owner."""

import asyncio
import contextlib
import io
import os
from collections.abc import Coroutine
from typing import IO

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from origin.ingest.pipes import lines, open_pipe, pieces


def run_on_uvloop(main: Coroutine[None, None, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


@given(
    parts=st.lists(st.binary(min_size=1, max_size=300_000), max_size=6), size=st.sampled_from([1000, 1 << 18])
)
def test_all_that_is_written_is_read_in_order(parts: list[bytes], size: int) -> None:
    async def main() -> None:
        with contextlib.ExitStack() as files:
            pipe = open_pipe(files)
            writing = asyncio.create_task(asyncio.to_thread(_write, pipe.write, parts))
            got = [piece async for piece in pieces(pipe.read, size)]
            await writing
        assert b"".join(got) == b"".join(parts)
        assert all(0 < len(piece) <= size for piece in got)

    run_on_uvloop(main())


def _write(pipe: IO[bytes], parts: list[bytes]) -> None:
    with pipe:
        for part in parts:
            left = memoryview(part)
            while left:
                left = left[pipe.write(left) :]


@pytest.mark.parametrize("uv", [True, False])
async def test_a_line_that_is_too_long_is_left_out(uv: bool) -> None:
    async def main() -> None:
        with contextlib.ExitStack() as files:
            pipe = open_pipe(files)
            text = b"one\n\n" + b"x" * 50 + b"\ntwo\nunfinished"
            writing = asyncio.create_task(asyncio.to_thread(_write, pipe.write, [text]))
            assert [line async for line in lines(pipe.read, 20)] == [b"one", b"", b"two"]
            await writing

    if uv:
        await asyncio.to_thread(run_on_uvloop, main())
    else:
        await main()


class Watched(io.FileIO):
    """A file that notes whether its descriptor was still its own when it was closed."""

    was_open: bool | None = None

    def close(self) -> None:
        if not self.closed:
            with contextlib.suppress(OSError):
                os.fstat(self.fileno())
                self.was_open = True
        super().close()


def test_a_pipe_is_closed_once_and_by_its_owner() -> None:
    """A loop that closes it too closes, the second time, whatever another thread has opened meanwhile."""

    async def main() -> None:
        read, write = os.pipe()
        os.write(write, b"x")
        os.close(write)
        with Watched(read, "rb") as end:
            assert [piece async for piece in pieces(end, 10)] == [b"x"]
            for _ in range(5):
                await asyncio.sleep(0)
            assert not end.closed
        assert end.was_open

    run_on_uvloop(main())
