"""Keeps processes running: starts them, starts again what dies (with back-off), ends them all cleanly.

What a child prints goes to a bounded log file. A child that ends with USAGE (a setting it cannot use) is not
started again: it would end the same way, so the whole system ends and says why. A child that takes
`--ready-fd` can be replaced while it works: the one in its place serves before it is told to end.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from deploy.child import ChildSpec, kill_group, start
from deploy.logfile import LogFile

USAGE: Final = 2  # exit code of a child that cannot use its settings
FIRST_BACKOFF_S: Final = 0.1
LAST_BACKOFF_S: Final = 10.0
SETTLED_S: Final = 10.0  # a child that lived this long starts again without delay
GRACE_S: Final = 30.0  # between SIGTERM and SIGKILL
READY_WITHIN_S: Final = 60.0  # for a replacement to serve
LAST_OUTPUT_S: Final = 2.0

_LOG: Final = logging.getLogger(__name__)


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
        self._specs: dict[str, ChildSpec] = {}
        self._processes: dict[str, Process] = {}  # the current one of each child
        self._outputs: dict[Process, asyncio.Task[str]] = {}  # who copies what they print
        self._open_logs: dict[str, LogFile] = {}
        self._leaving: set[Process] = set()  # those that were replaced and have not ended yet
        self._stopping = False
        self.ended = ended or asyncio.Event()
        self.failed: str | None = None
        self.usage = False  # whether a child's settings were why it failed
        self.restarts: dict[str, int] = {}

    def add(self, specs: Sequence[ChildSpec]) -> None:
        """Starts these children and keeps them running."""
        self._specs |= {spec.name: spec for spec in specs}
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

    def signal(self, name: str, number: signal.Signals) -> None:
        """Signals one child, if it runs."""
        if self.pid(name) is not None:
            kill_group(self._processes[name], number)

    async def replace(self, name: str) -> None:
        """Starts another in the place of a child; once that serves, ends the old one and waits for it.

        ChildFailed when the new one does not come to serve: the old one goes on.
        """
        ready, tells = os.pipe()
        spec = self._specs[name]
        spec = replace(spec, argv=[*spec.argv, "--ready-fd", str(tells)], pass_fds=[*spec.pass_fds, tells])
        try:
            process = await start(spec)
        except Exception as error:
            os.close(ready)
            raise ChildFailed(_unrunnable(spec, error)) from error
        finally:
            os.close(tells)
        copying = asyncio.create_task(self._copy_output(process, self._log(name)))
        try:
            serves = await _said(ready)
        finally:
            os.close(ready)
        if not serves or self._stopping:
            kill_group(process, signal.SIGKILL)
            raise ChildFailed(f"the new {name} did not start: {await copying or 'it said nothing'}")
        old = self._processes.get(name)
        self._processes[name] = process  # its keeper goes on with this one
        self._outputs[process] = copying
        if old is not None and old.returncode is None:
            await self._ended(old)

    async def stop(self) -> None:
        """Ends all children, stage by stage: SIGTERM, after the grace SIGKILL. Returns when none is left."""
        self._stopping = True
        for stage in sorted({spec.stage for spec in self._specs.values()}):
            names = [spec.name for spec in self._specs.values() if spec.stage == stage]
            running = [self._processes[name] for name in names if self.pid(name) is not None]
            await asyncio.gather(*map(self._ended, running))
        for process in self._leaving:
            kill_group(process, signal.SIGKILL)
        for keeper in self._keepers:
            if self._waiting_to_restart(keeper):
                keeper.cancel()
        if self._keepers:  # they copy the last output; a stray holder of the pipe must not keep us
            _, late = await asyncio.wait(self._keepers, timeout=LAST_OUTPUT_S)
            for keeper in late:
                keeper.cancel()

    async def _ended(self, process: Process) -> None:
        """Tells a process to end, and sees to it that it does."""
        self._leaving.add(process)
        kill_group(process, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._grace_s):
                await process.wait()
        kill_group(process, signal.SIGKILL)  # also what a child left behind in its group
        await process.wait()
        self._leaving.discard(process)

    def _waiting_to_restart(self, keeper: asyncio.Task[None]) -> bool:
        process = self._processes.get(keeper.get_name())
        return process is None or process.returncode is not None

    async def _keep(self, spec: ChildSpec) -> None:
        """Keeps one child running. Whatever goes wrong in that ends the system, with a sentence."""
        try:
            await self._kept(spec)
        except Exception as error:
            _LOG.exception("%s cannot be kept running", spec.name)
            self._give_up(f"{spec.name} cannot be kept running: {error}")

    async def _kept(self, spec: ChildSpec) -> None:
        clock = asyncio.get_running_loop().time
        failures = 0
        with contextlib.closing(self._log(spec.name)) as log:
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
        """Runs it, and those that replace it, to the end; the exit code (negative: a signal).

        None when it could not be started.
        """
        process = self._processes.get(spec.name)
        if process is None or process.returncode is not None:  # else it was replaced while we waited
            try:
                process = await start(spec)
            except Exception as error:  # no program, or words no program can be given
                self._give_up(_unrunnable(spec, error))
                return None
            self._processes[spec.name] = process
            self._outputs[process] = asyncio.create_task(self._copy_output(process, log))
        if self._stopping:  # stop() looked before this one was there
            kill_group(process, signal.SIGTERM)
        while True:
            last = await self._outputs.pop(process)
            code = await process.wait()
            if self._processes[spec.name] is process:
                break
            log.write(f"[{spec.name} ended with {code}, replaced]\n".encode())
            process = self._processes[spec.name]
        if code == USAGE and not self._stopping:
            self.usage = True
            self._give_up(last or f"{spec.name} refused its settings")
        return code

    async def _copy_output(self, process: Process, log: LogFile) -> str:
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

    def _log(self, name: str) -> LogFile:
        if name not in self._open_logs:
            self._open_logs[name] = LogFile(self._logs / f"{name}.log")
        return self._open_logs[name]

    def _give_up(self, reason: str) -> None:
        self.failed = self.failed or reason
        self.ended.set()


def _unrunnable(spec: ChildSpec, error: Exception) -> str:
    """The sentence for a start that failed."""
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return f"{spec.argv[0]} cannot be run: {reason or type(error).__name__}"


async def _said(ready: int) -> bool:
    """Whether the process at the other end of this pipe says in time that it serves."""
    loop = asyncio.get_running_loop()
    said: asyncio.Future[bytes] = loop.create_future()

    def hear() -> None:
        if not said.done():
            said.set_result(os.read(ready, 16))

    loop.add_reader(ready, hear)
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            return bool(await said)  # nothing: it closed its end, so it is gone
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(ready)
