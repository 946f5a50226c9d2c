"""`sluice up` as a whole: ready means ready, one system a data directory, nothing left behind at the end."""

import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx

from tests.support.system import System, clean_environment, descendants, running, sluice_command


def alive(pid: int) -> bool:
    """Is there a process with this ID that is not a zombie?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def tried(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A start that is expected to end by itself."""
    argv = [*sluice_command(), *words, "--data", str(data)]
    return subprocess.run(
        argv, check=False, capture_output=True, text=True, timeout=60, env=clean_environment()
    )


def test_ready_means_that_everything_answers_and_the_end_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "data", edges=2, workers=1) as system:
        assert len(system.edges) == 2
        for url in (system.url("keys"), system.url("origin"), system.url("admin"), *system.edges):
            answer = httpx.get(f"{url}/healthz")
            assert answer.status_code == 200 and "server" not in answer.headers
        secrets = tmp_path / "data" / "secrets"
        assert oct(secrets.stat().st_mode & 0o777) == "0o700"
        assert {oct(path.stat().st_mode & 0o777) for path in secrets.iterdir()} == {"0o600"}
        second = tried(tmp_path / "data", "up")
        assert second.returncode == 2 and "already" in second.stderr
        assert system.process is not None
        pids = descendants(system.process.pid)
        assert len(pids) >= 7  # two Redis servers, keys, origin, admin, two edges
    assert not any(alive(pid) for pid in pids)
    assert not (tmp_path / "data" / "run.json").exists()
    gone = tried(tmp_path / "data", "assets")
    assert gone.returncode == 3


def test_a_killed_supervisor_takes_every_child_with_it_and_the_next_start_works(tmp_path: Path) -> None:
    system = System(tmp_path / "data", workers=1).start()
    assert system.process is not None
    pids = descendants(system.process.pid)
    system.process.send_signal(signal.SIGKILL)
    system.process.wait(20)
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in pids)
    system.ready = {}
    system.start()
    assert system.stop() == 0


def test_a_port_in_use_stops_the_start_and_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = tried(tmp_path / "data", "keys", "--port-base", str(port))
    assert done.returncode == 2 and f"port {port}" in done.stderr and "in use" in done.stderr


def test_a_secret_open_to_others_stops_the_start_and_is_named(tmp_path: Path) -> None:
    secrets = tmp_path / "data" / "secrets"
    secrets.mkdir(parents=True, mode=0o700)
    (secrets / "root.key").write_bytes(bytes(32))
    (secrets / "root.key").chmod(0o644)
    done = tried(tmp_path / "data", "keys", "--port-base", "47000")
    assert done.returncode == 2 and "root.key" in done.stderr and "Traceback" not in done.stderr


def test_a_service_runs_alone_and_is_found(tmp_path: Path) -> None:
    argv = [*sluice_command(), "keys", "--data", str(tmp_path / "data"), "--port-base", "47100"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=clean_environment()) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == 'ready {"keys": "http://127.0.0.1:47100"}\n'
        assert tried(tmp_path / "data", "sessions").returncode == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
