"""`sluice demo --check`: holds on a sound system, and fails, naming what, on one that is not."""

import json
import subprocess
from pathlib import Path

import pytest

from deploy.demo.check.report import FIELDS
from tests.support.films import make_film
from tests.support.system import clean_environment, free_port_base, running, sluice_command

pytestmark = pytest.mark.heavy


def check(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs the check as a user does."""
    argv = [*sluice_command(), "demo", "--check", "--json", "--data", str(data), *words]
    environment = clean_environment()
    return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=280, env=environment)


def logs(data: Path) -> str:
    """The last of what each process logged."""
    files = sorted((data / "logs").glob("*.log"))
    return "\n".join(f"--- {path.name}\n{path.read_text()[-4000:]}" for path in files)


def test_a_check_starts_a_system_proves_it_and_ends_it(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", seconds=14, size="320x180", noise=4)
    base = str(free_port_base(12))
    words = [
        "--sessions",
        "4",
        "--port-base",
        base,
        "--only",
        "showing",
        "--only",
        "refusals",
        "--only",
        "faults",
    ]
    done = check(tmp_path / "data", str(film), *words)
    assert done.returncode == 0, done.stdout + done.stderr + logs(tmp_path / "data")
    (line,) = done.stdout.splitlines()
    told = json.loads(line)
    assert told["ok"] and told["failed"] == [] and set(FIELDS) < set(told)
    assert (told["sessions"], told["distinct_ciphertexts"], told["refused"]) == (4, 4, 3)
    assert 0 < told["origin_requests"] <= told["slices"]
    assert told["origin_bytes_ratio"] == pytest.approx(1, abs=0.02)
    assert told["frames_ok"] and told["survives_edge_kill"] and told["plays_with_origin_down"]
    assert told["ripper_media_seconds"] is None, "that part was left out"
    assert not (tmp_path / "data" / "run.json").exists(), "the system it started has ended"
    assert list((tmp_path / "data" / "origin" / "blobs").glob("check-*")) == [], (
        "the film was taken out again"
    )


def test_a_check_fails_and_names_the_ripper_where_workers_do_not_share_the_pace(tmp_path: Path) -> None:
    """Without a control Redis each worker counts for itself: sixteen sessions get more than the bound."""
    film = make_film(tmp_path / "film.mp4", seconds=8, size="160x90", audio=False)
    pace = ("--redis-control", "none", "--pace-burst", "20s")
    with running(tmp_path / "data", *pace, edges=2, workers=2):
        done = check(tmp_path / "data", str(film), "--only", "ripper")
    assert done.returncode == 1, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert not told["ok"] and told["failed"] == ["ripper"]
    assert told["ripper_media_seconds"] > told["ripper_media_bound"]
    assert told["frames_ok"] is None


def test_a_check_needs_two_edges_and_says_so(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", seconds=4, size="160x90", audio=False)
    with running(tmp_path / "data", workers=1):
        done = check(tmp_path / "data", str(film))
    assert done.returncode == 1 and "--edges 2" in done.stderr and "Traceback" not in done.stderr
