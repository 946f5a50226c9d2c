"""One child process: what to run, and how it is started so that it cannot outlive its supervisor.

A child gets a session of its own (Ctrl-C in the terminal reaches only the supervisor) and PR_SET_PDEATHSIG:
the kernel kills it when the supervisor dies, however that happens.
"""

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class ChildSpec:
    """A process to keep running. `name` names its log; `stdin` is given to it once at each start."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)  # added to the supervisor's own environment
    pass_fds: Sequence[int] = ()
    stdin: bytes = b""
    stage: int = 0  # whom others need until their own end is ended after them: 0 first, then 1, …


async def start(spec: ChildSpec) -> asyncio.subprocess.Process:
    """The running process; stdout and stderr are one pipe, `process.stdout`. OSError if it cannot run."""
    process = await asyncio.create_subprocess_exec(
        *spec.argv,
        env={**os.environ, **spec.env},
        pass_fds=tuple(spec.pass_fds),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_tied_to(os.getpid()),
    )
    assert process.stdin is not None
    process.stdin.write(spec.stdin)
    process.stdin.close()
    return process


def kill_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Signals the process and what it started itself; silent when all of them are gone."""
    try:
        os.killpg(process.pid, number)  # start_new_session made the child the leader of a group of its own
    except ProcessLookupError:
        return


def _tied_to(supervisor: int) -> Callable[[], None]:
    # Runs in the child between fork and exec: only calls that are safe there, libc is loaded already.
    def tie() -> None:
        os.umask(0o077)  # whatever a child writes is its user's alone: databases, blobs, uploads, sockets
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != supervisor:  # it died before the line above took effect
            os._exit(1)

    return tie
