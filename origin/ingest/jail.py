"""Runs a program on bytes nobody trusts, shut in as far as the machine allows (SECURITY T13).

The program is started through `jail_exec.py`. It gets the input as its standard input, the pipes it is
given, no environment of ours, and a budget of time, processor and memory. What it says is bounded. It never
outlives its caller: cancelled or over budget, its whole process group is killed, by a pid that is known to
be ours still.
"""

import asyncio
import json
import os
import signal
import struct
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from keys.problems import Problem

EXIT_REFUSED: Final = 97  # jail_exec.EXIT_REFUSED
STDOUT_LIMIT: Final = 1 << 20  # bytes: more is a program out of hand
STDERR_TAIL: Final = 8 << 10  # bytes kept for the log
GIB: Final = 1 << 30

JAIL_EXEC: Final = Path(__file__).with_name("jail_exec.py")
LIBRARIES: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
# One malloc arena a thread reserves 64 MiB of address space, which RLIMIT_AS counts.
ENVIRONMENT: Final = {"MALLOC_ARENA_MAX": "2"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may cost."""

    wall_s: float
    cpu_s: int
    memory_bytes: int  # address space
    open_files: int = 64
    file_bytes: int = 0  # a file it is handed may grow to so much; none: results leave by pipes

    def rlimits(self) -> dict[str, int]:
        """By the names of `resource.RLIMIT_*`."""
        return {
            "CPU": self.cpu_s,
            "AS": self.memory_bytes,
            "FSIZE": self.file_bytes,
            "CORE": 0,
            "NOFILE": self.open_files,
            "NPROC": 4096,  # counts all threads of our user: a bound for bombs, not a budget
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `status` is the exit code, or minus the signal that ended it."""

    status: int
    stdout: bytes
    stderr_tail: str
    level: str  # such as "netns+landlock+seccomp"; "none" when nothing closed
    over_time: bool  # the wall-clock budget was used up
    over_talk: bool  # it wrote more than STDOUT_LIMIT


async def run_jailed(
    argv: Sequence[str | Path],
    *,
    stdin_fd: int,
    limits: Limits,
    reads: Iterable[str | Path] = (),
    pass_files: Sequence[IO[bytes]] = (),
    require_jail: bool = False,
) -> Outcome:
    """Runs `argv` (its first item an absolute path) to its end, in jail.

    `reads` are files and directories it may read besides its own binary and the system's libraries.
    `pass_files` keep their numbers in the program and are closed here as soon as it has them, so that readers
    at the other ends see it finish. Problem unavailable when `require_jail` is set and files and network
    cannot both be shut.
    """
    read, write = os.pipe()
    with os.fdopen(read, "rb") as report:
        told = os.fdopen(write, "wb")
        try:
            spec = _spec(argv, limits, reads, write, require_jail)
            process = await _start(spec, argv, stdin_fd, [file.fileno() for file in (*pass_files, told)])
        finally:
            for file in (*pass_files, told):
                file.close()
        outcome = await _watch(process, report, limits)
    if outcome.status == EXIT_REFUSED and require_jail:
        raise Problem(
            "unavailable",
            "This machine cannot shut the media tools in, and Sluice was told to require that.",
            detail=f"jail level reached: {outcome.level}",
        )
    return outcome


async def jail_level() -> str:
    """What this machine allows, such as "netns+landlock+seccomp", or "none". Starts the jail alone."""
    limits = Limits(wall_s=10, cpu_s=5, memory_bytes=GIB)
    return (await run_jailed([], stdin_fd=asyncio.subprocess.DEVNULL, limits=limits)).level


def _spec(
    argv: Sequence[str | Path], limits: Limits, reads: Iterable[str | Path], report_fd: int, require: bool
) -> str:
    """The first argument of jail_exec."""
    loader = _loader(Path(argv[0])) if argv else None
    program = [argv[0], loader] if loader else argv[:1]
    return json.dumps(
        {
            "parent": os.getpid(),
            "report_fd": report_fd,
            "require": require,
            "environment": ENVIRONMENT,
            "executes": [os.path.realpath(path) for path in program],
            "reads": [os.path.realpath(path) for path in (*reads, *(LIBRARIES if loader else ()))],
            "limits": limits.rlimits(),
        }
    )


def _loader(binary: Path) -> str | None:
    """The loader of a dynamically linked binary (ELF PT_INTERP), None for a static one."""
    with binary.open("rb") as file:
        header = file.read(64)
        if header[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{binary} is no 64-bit ELF program")
        offset, size, count = *struct.unpack_from("<Q", header, 32), *struct.unpack_from("<HH", header, 54)
        for index in range(count):
            file.seek(offset + index * size)
            kind, _, start, _, _, length = struct.unpack("<IIQQQQ", file.read(40))
            if kind == 3:
                file.seek(start)
                return file.read(length).rstrip(b"\0").decode()
    return None


async def _start(
    spec: str, argv: Sequence[str | Path], stdin_fd: int, pass_fds: Sequence[int]
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        "-B",
        str(JAIL_EXEC),
        spec,
        *(str(part) for part in argv),
        stdin=stdin_fd,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=pass_fds,
        env={},
        start_new_session=True,
    )


async def _watch(process: asyncio.subprocess.Process, report: IO[bytes], limits: Limits) -> Outcome:
    """Reads what the process says until it ends, or its budget or this task does."""
    assert process.stdout is not None and process.stderr is not None
    over_time = False
    said = asyncio.gather(_head(process, process.stdout), _tail(process.stderr))
    try:
        async with asyncio.timeout(limits.wall_s):
            await asyncio.wait([said])
            await process.wait()
    except TimeoutError:
        over_time = True
    finally:
        _kill(process)
        await asyncio.shield(process.wait())
        stdout, stderr = await said
    return Outcome(
        status=process.returncode if process.returncode is not None else -signal.SIGKILL,
        stdout=stdout[:STDOUT_LIMIT],
        stderr_tail=stderr.decode("utf-8", "replace"),
        level=_level(report.read(4096)),
        over_time=over_time,
        over_talk=len(stdout) > STDOUT_LIMIT,
    )


async def _head(process: asyncio.subprocess.Process, stream: asyncio.StreamReader) -> bytes:
    """All of it up to the limit; the program is killed at the first byte beyond."""
    said = bytearray()
    while part := await stream.read(64 << 10):
        said += part
        if len(said) > STDOUT_LIMIT:
            _kill(process)
            break
    return bytes(said)


async def _tail(stream: asyncio.StreamReader) -> bytes:
    said = bytearray()
    while part := await stream.read(64 << 10):
        said += part
        del said[:-STDERR_TAIL]
    return bytes(said)


def _kill(process: asyncio.subprocess.Process) -> None:
    """Kills its process group. While `returncode` is None the pid has not been reaped, so it is ours."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _level(report: bytes) -> str:
    try:
        return "+".join(json.loads(report)["level"]) or "none"
    except ValueError:  # it died before it could say
        return "none"
