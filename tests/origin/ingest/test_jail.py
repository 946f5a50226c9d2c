"""What a program in jail can and cannot do. Each child is a real one, under the real restrictions."""

import asyncio
import os
import platform
import re
import signal
import sys
import sysconfig
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import IO

import pytest

from keys.problems import Problem
from origin.ingest import jail_exec
from origin.ingest.jail import GIB, Limits, Outcome, jail_level, run_jailed

QUICK = Limits(wall_s=20, cpu_s=10, memory_bytes=GIB)
LIBRARY = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]


@pytest.fixture
async def closed() -> None:
    """Skips where the machine cannot shut files and network."""
    level = await jail_level()
    if "landlock" not in level or "seccomp" not in level:
        pytest.skip(f"this machine's jail reaches only {level}")


async def python(code: str, *, limits: Limits = QUICK, pass_files: Sequence[IO[bytes]] = ()) -> Outcome:
    """Runs Python code in jail, with its own library to read."""
    interpreter = Path(sys.executable).resolve()
    return await run_jailed(
        [interpreter, "-I", "-S", "-B", "-c", code],
        stdin_fd=asyncio.subprocess.DEVNULL,
        limits=limits,
        reads=LIBRARY,
        pass_files=pass_files,
        require_jail=True,
    )


async def test_t13_the_level_reached_is_told() -> None:
    level = await jail_level()
    assert set(level.split("+")) <= {"netns", "landlock", "seccomp", "none"}


@pytest.mark.usefixtures("closed")
async def test_t13_no_call_signals_another_process_whatever_landlock_can_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE
    )
    column = jail_exec.MACHINES[platform.machine()][0]
    tgkill, tkill = jail_exec.TGKILL[column], jail_exec.REFUSED["tkill"][column]
    code = f"""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
pid = {victim.pid}
print([libc.syscall({tgkill}, pid, pid, 9), libc.syscall({tkill}, pid, 9), libc.kill(pid, 9)],
  libc.syscall({tgkill}, os.getpid(), os.getpid(), 0))
"""
    outcome = await python(code)
    assert outcome.stdout.decode().split("\n")[0] == "[-1, -1, -1] 0", outcome
    assert victim.returncode is None
    await victim.communicate(b"\n")


@pytest.mark.usefixtures("closed")
async def test_t13_files_cannot_be_opened_made_or_changed(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("secret")
    code = f"""
import os
tries = [lambda: open({str(canary)!r}), lambda: open("/etc/passwd"), lambda: os.listdir("/"),
  lambda: open({str(tmp_path / "new")!r}, "w"), lambda: open("/proc/self/environ"),
  lambda: os.unlink({str(canary)!r}),
  lambda: os.chmod({str(canary)!r}, 0), lambda: os.rename({str(canary)!r}, "x"),
  lambda: os.mkdir({str(tmp_path / "d")!r}),
  lambda: os.utime({str(canary)!r}), lambda: os.truncate({str(canary)!r}, 0), lambda: open("/dev/shm/x", "w")]
for number, attempt in enumerate(tries):
    try:
        attempt()
        print("DONE", number)
    except OSError:
        print("refused")
"""
    outcome = await python(code)
    assert outcome.stdout.split() == [b"refused"] * 12, outcome
    assert canary.read_text() == "secret"


@pytest.fixture
async def canary_port() -> AsyncIterator[tuple[int, list[object]]]:
    """A listener on loopback and the list of who came."""
    came: list[object] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer.get_extra_info("peername"))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], came
    server.close()
    await server.wait_closed()


@pytest.mark.usefixtures("closed")
async def test_t13_nothing_can_be_connected_to(canary_port: tuple[int, list[object]]) -> None:
    port, came = canary_port
    code = f"""
import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
for family, kind in ((2, 1), (2, 2), (10, 1), (1, 1), (16, 3), (17, 3)):
    print(libc.socket(family, kind, 0), ctypes.get_errno())
address = struct.pack("<HHI8x", 2, {(port >> 8) | (port & 255) << 8}, 0x0100007F)
print(libc.connect(0, address, 16), ctypes.get_errno())
"""
    outcome = await python(code)
    assert outcome.stdout.splitlines() == [b"-1 1"] * 7, outcome
    assert came == []


@pytest.mark.usefixtures("closed")
async def test_t13_no_secret_of_ours_is_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_CANARY", "canary")
    outcome = await python("import os; print(sorted(os.environ))")
    assert b"CANARY" not in outcome.stdout and b"PATH" not in outcome.stdout


@pytest.mark.usefixtures("closed")
async def test_t13_no_process_can_be_made_and_no_program_started() -> None:
    outcome = await python("""
import os, threading
for attempt in (os.fork, lambda: os.execv("/bin/sh", ["sh"]), lambda: os.kill(os.getppid(), 0)):
    try:
        attempt()
        print("DONE")
    except OSError:
        print("refused")
thread = threading.Thread(target=print, args=("threads are fine",))
thread.start()
thread.join()
""")
    assert outcome.stdout == b"refused\nrefused\nrefused\nthreads are fine\n", outcome


@pytest.mark.usefixtures("closed")
async def test_t13_tracing_another_process_is_deadly() -> None:
    outcome = await python("import ctypes; ctypes.CDLL(None).ptrace(16, 1, 0, 0); print('alive')")
    assert (outcome.status, outcome.stdout) == (-signal.SIGSYS, b"")


@pytest.mark.usefixtures("closed")
async def test_t13_limits_of_others_cannot_be_changed() -> None:
    outcome = await python("""
import os, resource
try:
    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (1, 1))
    print("DONE")
except OSError:
    print("refused", resource.getrlimit(resource.RLIMIT_CORE), resource.getrlimit(resource.RLIMIT_FSIZE))
""")
    assert outcome.stdout == b"refused (0, 0) (0, 0)\n", outcome


async def test_t13_memory_beyond_the_limit_is_not_given() -> None:
    outcome = await python("x = bytearray(2 << 30)")
    assert outcome.status == 1
    assert "MemoryError" in outcome.stderr_tail


async def test_t13_processor_time_beyond_the_limit_ends_it() -> None:
    outcome = await python("while True: pass", limits=Limits(wall_s=20, cpu_s=1, memory_bytes=GIB))
    assert outcome.status == -signal.SIGKILL
    assert not outcome.over_time


async def test_t13_time_beyond_the_limit_ends_it() -> None:
    outcome = await python(
        "import time; time.sleep(60)", limits=Limits(wall_s=0.5, cpu_s=5, memory_bytes=GIB)
    )
    assert (outcome.status, outcome.over_time) == (-signal.SIGKILL, True)


async def test_t13_a_flood_of_words_ends_it_and_only_the_tail_is_kept() -> None:
    outcome = await python("import sys\nwhile True: sys.stdout.write('x' * 65536)")
    assert outcome.over_talk and outcome.status != 0
    outcome = await python("import sys; sys.stderr.write('a' * 100_000 + 'the end')")
    assert outcome.stderr_tail.endswith("the end") and len(outcome.stderr_tail) <= 8 << 10


async def test_t13_cancelling_the_caller_kills_the_program() -> None:
    read, write = os.pipe()
    run = asyncio.create_task(
        python(
            f"import os, time; os.write({write}, b'up'); time.sleep(60)", pass_files=[os.fdopen(write, "wb")]
        )
    )
    assert await asyncio.to_thread(os.read, read, 2) == b"up"
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert await asyncio.to_thread(os.read, read, 1) == b""  # its end of the pipe is closed: it is gone
    os.close(read)


async def test_a_machine_that_cannot_shut_it_in_is_refused_when_that_is_required(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    open_jail = tmp_path / "jail_exec.py"
    text = Path(jail_exec.__file__).read_text()
    open_jail.write_text(text.replace("LANDLOCK_CREATE, LANDLOCK_ADD", "LANDLOCK_ADD, LANDLOCK_CREATE", 1))
    monkeypatch.setattr("origin.ingest.jail.JAIL_EXEC", open_jail)
    with pytest.raises(Problem) as refused:
        await python("print('ran')")
    assert refused.value.code == "unavailable"


@pytest.mark.parametrize(
    ("header", "column"),
    [("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 0), ("/usr/include/asm-generic/unistd.h", 1)],
)
def test_system_call_numbers_are_the_kernels(header: str, column: int) -> None:
    if not Path(header).exists():
        pytest.skip(f"no {header} here")
    found = re.findall(r"__NR(?:3264)?_(\w+)\s+(\d+)", Path(header).read_text())
    known = {name: int(number) for name, number in found}
    for name, numbers in (jail_exec.REFUSED | jail_exec.KILLED).items():
        assert known.get(name, numbers[column]) == numbers[column], name


def test_the_filter_answers_each_call_by_its_table() -> None:
    for machine, (column, architecture) in jail_exec.MACHINES.items():
        program = jail_exec.program_for(machine, own=4711)
        assert run_bpf(program, 63 - column, architecture, 0) == jail_exec.ALLOW  # read, or an unlisted one
        assert run_bpf(program, 0, 0x1234, 0) == jail_exec.KILL
        assert run_bpf(program, jail_exec.CLONE[column], architecture, 0x11) == jail_exec.REFUSE_EPERM
        assert run_bpf(program, jail_exec.CLONE[column], architecture, 0x3D0F00) == jail_exec.ALLOW
        assert run_bpf(program, jail_exec.TGKILL[column], architecture, 4711) == jail_exec.ALLOW
        assert run_bpf(program, jail_exec.TGKILL[column], architecture, 4712) == jail_exec.REFUSE_EPERM
        assert run_bpf(program, jail_exec.CLONE3[column], architecture, 0) == jail_exec.REFUSE_ENOSYS
        for table, answer in (
            (jail_exec.REFUSED, jail_exec.REFUSE_EPERM),
            (jail_exec.KILLED, jail_exec.KILL),
        ):
            for numbers in table.values():
                if numbers[column] >= 0:
                    assert run_bpf(program, numbers[column], architecture, 0) == answer


def run_bpf(program: list[tuple[int, int, int, int]], number: int, architecture: int, argument: int) -> int:
    """What the kernel would answer: a BPF machine of the six operations used."""
    data = {
        jail_exec.AT_NUMBER: number,
        jail_exec.AT_ARCHITECTURE: architecture,
        jail_exec.AT_FIRST_ARGUMENT: argument,
    }
    at = accumulator = 0
    while True:
        operation, yes, no, operand = program[at]
        at += 1
        if operation == jail_exec.RETURN:
            return operand
        if operation == jail_exec.LOAD:
            accumulator = data[operand]
            continue
        holds = {
            jail_exec.JUMP_EQUAL: accumulator == operand,
            jail_exec.JUMP_SET: bool(accumulator & operand),
            jail_exec.JUMP_AT_LEAST: accumulator >= operand,
        }[operation]
        at += yes if holds else no
