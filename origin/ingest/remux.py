"""Packaged renditions as one ordinary MP4 file, its index before its media: for those who take it away whole.

ffmpeg copies the samples as they are, in jail. It reads each rendition from a pipe and writes into one file
that it is handed: an index in front needs a second look at what was written, so a pipe would not do. The file
has no name and is plain; it is gone when it is closed, or when this process dies.
"""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from keys.problems import Problem
from origin.ingest.jail import GIB, Limits, run_jailed
from origin.ingest.pipes import open_pipe
from origin.ingest.transcode import first_failure

MEMORY_BYTES: Final = GIB  # the index of a long film is a few megabytes
LEAST_S: Final = 600.0
PER_GIB_S: Final = 300.0
LEAST_INDEX: Final = 64 << 20  # bytes beyond those of the inputs

Stream = Callable[[], AsyncIterator[bytes]]

FAILED: Final = "This file was converted, but its renditions could not be made into files for download."


def arguments(ffmpeg: Path, pipes: Sequence[int], output: int) -> list[str]:
    """The command: a file of the first input, usually the picture, and all others. Pure."""
    command = [str(ffmpeg), "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error"]
    command += ["-protocol_whitelist", "fd,pipe", "-format_whitelist", "mov,mp4"]
    for pipe in pipes:
        command += ["-f", "mov", "-i", f"pipe:{pipe}"]
    for number in range(len(pipes)):
        command += ["-map", str(number)]
    command += ["-c", "copy", "-map_metadata", "-1", "-map_chapters", "-1", "-movflags", "+faststart"]
    return [*command, "-f", "mp4", "-fd", str(output), "fd:"]


@contextlib.asynccontextmanager
async def remuxed(
    streams: Sequence[Stream], size: int, folder: Path, *, ffmpeg: Path, require_jail: bool = False
) -> AsyncIterator[IO[bytes]]:
    """The finished file, open at its start, for the block. `size` is the bytes of all streams together.

    The file lies nameless on the disk of `folder`. Problem internal when ffmpeg cannot make it.
    """
    with tempfile.TemporaryFile(dir=folder, buffering=0) as made:
        await _run(streams, size, made, ffmpeg, require_jail)
        made.seek(0)
        yield made


async def _run(
    streams: Sequence[Stream], size: int, made: IO[bytes], ffmpeg: Path, require_jail: bool
) -> None:
    wall = LEAST_S + PER_GIB_S * size / GIB
    limits = Limits(wall, int(wall), MEMORY_BYTES, file_bytes=size + size // 16 + LEAST_INDEX)
    with contextlib.ExitStack() as files, _read_again(made) as again:
        pipes = [open_pipe(files) for _ in streams]
        output = files.enter_context(os.fdopen(os.dup(made.fileno()), "wb", buffering=0))
        command = arguments(ffmpeg, [pipe.read.fileno() for pipe in pipes], output.fileno())
        passed = [*(pipe.read for pipe in pipes), output]
        try:
            async with asyncio.TaskGroup() as tasks:
                for stream, pipe in zip(streams, pipes, strict=True):
                    tasks.create_task(feed(stream(), pipe.write))
                run = tasks.create_task(
                    run_jailed(
                        command,
                        stdin_fd=again,
                        limits=limits,
                        pass_files=passed,
                        require_jail=require_jail,
                    )
                )
        except BaseExceptionGroup as group:
            raise first_failure(group) from group
    outcome = run.result()
    if outcome.status != 0 or outcome.over_time:
        raise Problem(
            "internal", FAILED, detail=f"ffmpeg ended with {outcome.status}: {outcome.stderr_tail[-1000:]}"
        )


@contextlib.contextmanager
def _read_again(made: IO[bytes]) -> Iterator[int]:
    """A descriptor with a place of its own in the same file: ffmpeg reads it as its standard input."""
    fd = os.open(f"/proc/self/fd/{made.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


async def feed(stream: AsyncIterator[bytes], pipe: IO[bytes]) -> None:
    """Writes a stream into a pipe as fast as it is taken. A reader that ended has said why itself."""
    with pipe, contextlib.suppress(BrokenPipeError):
        async for piece in stream:
            await asyncio.to_thread(_write, pipe, piece)


def _write(pipe: IO[bytes], piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[pipe.write(left) :]
