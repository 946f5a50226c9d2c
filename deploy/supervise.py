"""Keeps processes running: starts them, starts again what dies (with back-off), ends them all cleanly.

What a child prints goes to a bounded log file. A child that ends with USAGE (a setting it cannot use) is not
started again: it would end the same way, so the whole system ends and says why.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from deploy.child import ChildSpec, kill_group, start
from deploy.logfile import LogFile

USAGE: Final = 2  # exit code of a child that cannot use its settings
FIRST_BACKOFF_S: Final = 0.1
LAST_BACKOFF_S: Final = 10.0
SETTLED_S: Final = 10.0  # a child that lived this long starts again without delay
GRACE_S: Final = 30.0  # between SIGTERM and SIGKILL
LAST_OUTPUT_S: Final = 2.0


class Stopped(Exception):
    """Somebody asked for the end before everything was ready."""


class ChildFailed(Exception):
    """A child can never run: wrong settings, or no program. The text is for the operator."""

    def __init__(self, reason: str, *, usage: bool = False) -> None:
        super().__init__(reason)
        self.usage = usage  # whether it was the settings


def backoff_s(failures: int) -> float:
    """Seconds to wait before the start that follows this many quick deaths in a row (0 for none)."""
    return 0.0 if failures == 0 else min(LAST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** (failures - 1))


class Supervisor:
    """Runs children until `stop`. Give it specs with `add`; `failed` is the reason why all must end."""

    def __init__(
        self,
        logs: Path,
        *,
        ended: asyncio.Event | None = None,
        echo: bool = False,
        grace_s: float = GRACE_S,
    ) -> None:
        """`ended` is set when all must end, by a signal or here; `echo` copies children's words to stderr."""
        self._logs = logs
        self._echo = echo
        self._grace_s = grace_s
        self._keepers: list[asyncio.Task[None]] = []
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._stopping = False
        self.ended = ended or asyncio.Event()
        self.failed: str | None = None
        self.usage = False  # whether a child's settings were why it failed
        self.restarts: dict[str, int] = {}

    def add(self, specs: Sequence[ChildSpec]) -> None:
        """Starts these children and keeps them running."""
        self._keepers += [asyncio.create_task(self._keep(spec), name=spec.name) for spec in specs]

    def pid(self, name: str) -> int | None:
        """The process ID of the child with this name, None while it is not running."""
        process = self._processes.get(name)
        return process.pid if process and process.returncode is None else None

    async def wait_until(self, answers: Callable[[], Awaitable[bool]], what: str, timeout_s: float) -> None:
        """Polls `answers()` until it is true. ChildFailed when a child gives up or time is over; Stopped."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not await answers():
            if self.failed:
                raise ChildFailed(self.failed, usage=self.usage)
            if self.ended.is_set():
                raise Stopped
            if asyncio.get_running_loop().time() > deadline:
                raise ChildFailed(f"{what} did not answer within {timeout_s:g} s; its log is in {self._logs}")
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Ends all children: SIGTERM, then after the grace SIGKILL. Returns when none is left."""
        self._stopping = True
        running = [p for p in self._processes.values() if p.returncode is None]
        for process in running:
            kill_group(process, signal.SIGTERM)
        waits = [asyncio.create_task(process.wait()) for process in running]
        if waits:
            await asyncio.wait(waits, timeout=self._grace_s)
        for process in running:
            kill_group(process, signal.SIGKILL)  # also what a child left behind in its group
        for keeper in self._keepers:
            if self._waiting_to_restart(keeper):
                keeper.cancel()
        if self._keepers:  # they copy the last output; a stray holder of the pipe must not keep us
            _, late = await asyncio.wait(self._keepers, timeout=LAST_OUTPUT_S)
            for keeper in late:
                keeper.cancel()

    def _waiting_to_restart(self, keeper: asyncio.Task[None]) -> bool:
        process = self._processes.get(keeper.get_name())
        return process is None or process.returncode is not None

    async def _keep(self, spec: ChildSpec) -> None:
        clock = asyncio.get_running_loop().time
        failures = 0
        log = LogFile(self._logs / f"{spec.name}.log")
        with contextlib.closing(log):
            while not self._stopping:
                started = clock()
                code = await self._run_once(spec, log)
                if self._stopping or code is None or code == USAGE:
                    break
                failures = 0 if clock() - started > SETTLED_S else failures + 1
                self.restarts[spec.name] = self.restarts.get(spec.name, 0) + 1
                wait = backoff_s(failures)
                log.write(f"[{spec.name} ended with {code}; starting again in {wait:g} s]\n".encode())
                await asyncio.sleep(wait)

    async def _run_once(self, spec: ChildSpec, log: LogFile) -> int | None:
        """Runs it to its end; its exit code (negative: a signal), None when it could not be started."""
        try:
            process = await start(spec)
        except OSError as error:
            self._give_up(f"{spec.argv[0]} cannot be run: {error.strerror}")
            return None
        self._processes[spec.name] = process
        if self._stopping:  # stop() looked before this one was there
            kill_group(process, signal.SIGTERM)
        last = await self._copy_output(process, log)
        code = await process.wait()
        if code == USAGE and not self._stopping:
            self.usage = True
            self._give_up(last or f"{spec.name} refused its settings")
        return code

    async def _copy_output(self, process: asyncio.subprocess.Process, log: LogFile) -> str:
        """Copies what the child prints until it closes its end; returns the last line that says something."""
        assert process.stdout is not None
        last = b""
        while chunk := await process.stdout.read(65_536):
            log.write(chunk)
            last = next((line for line in reversed(chunk.splitlines()) if line.strip()), last)
            if self._echo:
                sys.stderr.buffer.write(chunk)
                sys.stderr.buffer.flush()
        return last.decode(errors="replace").strip()

    def _give_up(self, reason: str) -> None:
        self.failed = self.failed or reason
        self.ended.set()
