"""Supervisor: children come back when they die, end when it ends, and never outlive it."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from deploy.child import ChildSpec
from deploy.logfile import LogFile
from deploy.supervise import ChildFailed, Supervisor, backoff_s

SLEEPER = "import sys, time; print('up', flush=True); time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER


def python(name: str, code: str, stdin: bytes = b"") -> ChildSpec:
    return ChildSpec(name, [sys.executable, "-c", code], stdin=stdin)


def alive(pid: int) -> bool:
    """Is there a process with this ID that is not a zombie?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while True:
            value = condition()
            if value if isinstance(value, bool) else await value:
                return
            await asyncio.sleep(0.02)


async def test_a_killed_child_is_started_again(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.add([python("worker", SLEEPER)])
    await until(lambda: supervisor.pid("worker") is not None)
    first = supervisor.pid("worker")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: supervisor.pid("worker") not in (None, first))
    assert supervisor.restarts == {"worker": 1}
    await supervisor.stop()


async def test_stopping_ends_every_child_and_keeps_what_it_printed(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.add([python("a", SLEEPER), python("b", SLEEPER)])
    logs = [tmp_path / "a.log", tmp_path / "b.log"]
    await until(lambda: all(log.exists() and "up" in log.read_text() for log in logs))
    pids = [supervisor.pid("a"), supervisor.pid("b")]
    await supervisor.stop()
    assert not any(alive(pid) for pid in pids if pid)
    assert oct(logs[0].stat().st_mode & 0o777) == "0o600"


async def test_a_child_deaf_to_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, grace_s=0.2)
    supervisor.add([python("deaf", DEAF)])
    await until(lambda: (tmp_path / "deaf.log").exists() and "up" in (tmp_path / "deaf.log").read_text())
    pid = supervisor.pid("deaf")
    await supervisor.stop()
    assert pid is not None and not alive(pid)


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("/nowhere/at-all", "/nowhere/at-all cannot be run: No such file or directory"),
        ("odd\0name", "odd\0name cannot be run: embedded null byte"),
    ],
)
async def test_a_child_that_cannot_be_started_ends_the_system_with_a_sentence(
    tmp_path: Path, program: str, sentence: str
) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.add([ChildSpec("odd", [program])])
    await asyncio.wait_for(supervisor.ended.wait(), 20)
    assert supervisor.failed == sentence
    with pytest.raises(ChildFailed, match="cannot be run"):
        await supervisor.replace("odd")
    await supervisor.stop()


async def test_a_child_whose_log_cannot_be_kept_ends_the_system_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    supervisor = Supervisor(tmp_path / "logs")
    supervisor.add([python("worker", SLEEPER)])
    await asyncio.wait_for(supervisor.ended.wait(), 20)
    assert supervisor.failed is not None and supervisor.failed.startswith("worker cannot be kept running: ")
    await supervisor.stop()


async def test_a_child_that_refuses_its_settings_ends_the_system_with_its_sentence(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.add([python("picky", "import sys; print('--edges: too many.'); sys.exit(2)")])
    await asyncio.wait_for(supervisor.ended.wait(), 20)
    assert supervisor.failed == "--edges: too many."
    await supervisor.stop()


async def test_a_missing_program_ends_the_system_with_a_sentence(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.add([ChildSpec("ghost", [str(tmp_path / "nothing")])])
    await asyncio.wait_for(supervisor.ended.wait(), 20)
    assert supervisor.failed is not None and "nothing cannot be run" in supervisor.failed
    await supervisor.stop()


async def test_a_child_reads_what_it_is_given_on_stdin_at_every_start(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.add([python("reader", "import sys; print('got', sys.stdin.read())", b"settings")])
    await until(lambda: supervisor.restarts.get("reader", 0) >= 1)
    await supervisor.stop()
    assert (tmp_path / "reader.log").read_text().count("got settings") >= 1


async def test_waiting_for_an_answer_ends_when_a_child_gives_up(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    supervisor = Supervisor(tmp_path)
    supervisor.add([python("picky", "import sys; print('no.'); sys.exit(2)")])
    with pytest.raises(ChildFailed, match=r"no\."):
        await supervisor.wait_until(never, "picky", 20)
    await supervisor.stop()


async def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    program = f"""
import asyncio, pathlib, sys
from deploy.child import ChildSpec
from deploy.supervise import Supervisor
async def main():
    s = Supervisor(pathlib.Path({str(tmp_path)!r}))
    s.add([ChildSpec("child", [sys.executable, "-c", {SLEEPER!r}])])
    while s.pid("child") is None:
        await asyncio.sleep(0.01)
    print(s.pid("child"), flush=True)
    await s.ended.wait()
asyncio.run(main())
"""
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert supervisor.stdout is not None
    child = int(await supervisor.stdout.readline())
    assert alive(child)
    supervisor.kill()
    await supervisor.wait()
    await until(lambda: not alive(child))


def test_backoff_grows_and_is_bounded() -> None:
    waits = [backoff_s(n) for n in range(12)]
    assert waits[:3] == [0.0, 0.1, 0.2]
    assert waits == sorted(waits) and waits[-1] == 10.0


def test_a_log_file_never_grows_past_twice_its_limit(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "x.log", limit_bytes=100)
    for _ in range(50):
        log.write(b"0123456789\n")
    log.close()
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"x.log", "x.log.1"} and max(sizes.values()) <= 100


def test_f23_a_full_disk_loses_log_lines_and_says_how_many(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.symlink_to("/dev/full")
    log = LogFile(path)
    log.write(b"lost\n")
    log.close()
    path.unlink()
    log.write(b"kept\n")
    log.close()
    assert path.read_bytes() == b"[5 bytes of log were lost here]\nkept\n"


async def test_f23_a_child_is_kept_running_while_its_log_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "worker.log").symlink_to("/dev/full")
    supervisor = Supervisor(tmp_path)
    supervisor.add([python("worker", "print('x' * 300_000, flush=True); " + SLEEPER)])
    await until(lambda: supervisor.pid("worker") is not None)
    first = supervisor.pid("worker")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: supervisor.pid("worker") not in (None, first))
    await supervisor.stop()


async def test_f18_a_replacement_serves_before_the_old_one_is_told_to_end(tmp_path: Path) -> None:
    told = tmp_path / "told"
    code = (
        "import os, pathlib, signal, sys, time\n"
        "if '--ready-fd' in sys.argv: os.write(int(sys.argv[-1]), b'ready')\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path({str(told)!r}).touch(), sys.exit(0)))\n"
        "print('up', flush=True)\n"
        "time.sleep(600)"
    )
    supervisor = Supervisor(tmp_path)
    supervisor.add([python("worker", code)])
    log = tmp_path / "worker.log"
    await until(lambda: log.exists() and log.read_text().count("up") == 1)
    old = supervisor.pid("worker")
    await supervisor.replace("worker")
    new = supervisor.pid("worker")
    assert old and new and new != old and told.exists()
    assert not alive(old) and alive(new)
    assert supervisor.restarts == {}, "it was no failure"
    await until(lambda: "replaced" in log.read_text())
    os.kill(new, signal.SIGKILL)
    await until(lambda: supervisor.pid("worker") not in (None, new))
    await supervisor.stop()
    assert not alive(new)


@pytest.mark.parametrize("code", ["print('broken', flush=True); raise SystemExit(2)", "import nothing_such"])
async def test_f36_a_replacement_that_does_not_start_changes_nothing(tmp_path: Path, code: str) -> None:
    script = tmp_path / "worker.py"
    script.write_text(SLEEPER)
    supervisor = Supervisor(tmp_path / "logs")
    supervisor.add([ChildSpec("worker", [sys.executable, str(script)])])
    log = tmp_path / "logs" / "worker.log"
    await until(lambda: log.exists() and "up" in log.read_text())
    old = supervisor.pid("worker")
    script.write_text(code)
    with pytest.raises(ChildFailed, match="did not start"):
        await supervisor.replace("worker")
    assert supervisor.pid("worker") == old and old and alive(old)
    assert not supervisor.ended.is_set()
    await supervisor.stop()


async def test_f18_whom_others_need_is_ended_after_them(tmp_path: Path) -> None:
    order = tmp_path / "order"
    code = (
        "import pathlib, signal, sys, time\n"
        "def end(*_):\n"
        "    time.sleep(0.3)\n"
        f"    open({str(order)!r}, 'a').write(sys.argv[1])\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('up', flush=True)\n"
        "time.sleep(600)"
    )
    supervisor = Supervisor(tmp_path)
    specs = [
        ChildSpec(name, [sys.executable, "-c", code, name], stage=stage)
        for name, stage in (("r", 2), ("k", 1), ("e", 0))
    ]
    supervisor.add(specs)
    logs = [tmp_path / f"{spec.name}.log" for spec in specs]
    await until(lambda: all(log.exists() and "up" in log.read_text() for log in logs))
    await supervisor.stop()
    assert order.read_text() == "ekr"
