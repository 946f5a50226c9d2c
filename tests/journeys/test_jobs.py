"""The queue as an operator sees it: an origin that only takes uploads, and `sluice ingest` beside it."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.films import make_film
from tests.support.system import END_WITHIN_S, System, clean_environment, descendants, running, sluice_command
from tests.support.viewer import Viewer


@contextmanager
def ingesting(system: System) -> Iterator[subprocess.Popen[str]]:
    """`sluice ingest` on the same data directory, ready."""
    command = [*sluice_command(), "ingest", "--data", str(system.data), "--port-base", str(system.base)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=clean_environment()
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready "), system.logs()
        threading.Thread(target=process.stdout.read, daemon=True).start()
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(END_WITHIN_S) == 0


def listed(system: System) -> dict[str, Any]:
    """`sluice jobs --json`, by asset."""
    told = system.sluice("jobs", "--json")
    assert told.returncode == 0, told.stderr
    return {job["asset"]: job for job in json.loads(told.stdout)["jobs"]}


def on(system: System, *words: str) -> str:
    """What `sluice jobs` says on stdout and stderr; it succeeds."""
    told = system.sluice("jobs", *words)
    assert told.returncode == 0, told.stderr
    return told.stdout + told.stderr


@pytest.mark.heavy
async def test_a_process_beside_the_origin_works_on_its_queue_and_is_replaced_when_it_dies(
    tmp_path: Path,
) -> None:
    film = make_film(tmp_path / "film.mp4", seconds=120, size="640x360")
    short = make_film(tmp_path / "short.mp4", seconds=2, size="320x180")
    with running(tmp_path / "data", "--ingest-jobs", "0", workers=1) as system:
        system.add(film, "long", "--no-wait")
        system.add(short, "short", "--no-wait")
        assert {name: job["state"] for name, job in listed(system).items()} == {
            "long": "queued",
            "short": "queued",
        }
        with ingesting(system) as process:

            async def begun() -> bool:
                long = listed(system)["long"]
                return bool(long["state"] == "ingesting" and long["progress"] > 0)

            await eventually(begun, within_s=60)
            worker = listed(system)["long"]["worker"]
            assert worker in on(system) and "short" in on(system)
            (child,) = (pid for pid in descendants(process.pid) if f"/{pid}-" in f"{worker}")
            os.kill(child, signal.SIGKILL)

            async def taken_again() -> bool:
                found = listed(system)["long"]
                return bool(found["attempts"] == 2 and found["worker"] not in ("", worker))

            await eventually(taken_again, within_s=60)
            assert "cancelled" in on(system, "cancel", "long")

            async def only_long_is_left() -> bool:
                return set(listed(system)) == {"long"}

            await eventually(only_long_is_left, within_s=120)
            left = listed(system)["long"]
            assert (left["state"], left["worker"]) == ("cancelled", "")
            assert "queued again" in on(system, "retry", "long", "--data", str(system.data))
        async with await Viewer(system.sign("short")).opened() as viewer:
            for rendition in viewer.renditions():
                assert await viewer.whole(rendition)
        waiting = listed(system)["long"]
        assert (waiting["state"], waiting["attempts"]) == ("queued", 0), "who is told to end gives back"
        assert system.sluice("jobs", "retry", "nobody").returncode == 1
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{system.direct('origin')}/v1/jobs")).status_code == 401
