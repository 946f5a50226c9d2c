"""One of each service in a data directory, whichever command runs it."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy import launch
from deploy.commands.restart import restart
from deploy.launch import ALL_SERVICES
from deploy.layers import SettingError
from deploy.running import NotRunning, alone, announced

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("service", ALL_SERVICES)
def test_a_service_alone_is_refused_beside_all_and_all_beside_it(tmp_path: Path, service: str) -> None:
    for first, second in ((ALL_SERVICES, (service,)), ((service,), ALL_SERVICES)):
        with alone(tmp_path, first):
            told = rf"^data: {service} runs in {tmp_path} already \(process {os.getpid()}\): "
            with pytest.raises(SettingError, match=told), alone(tmp_path, second):
                pytest.fail("it runs twice")
    with alone(tmp_path, ALL_SERVICES):
        pass


def test_different_services_may_run_beside_each_other(tmp_path: Path) -> None:
    with alone(tmp_path, ["keys"]), alone(tmp_path, ["origin"]), alone(tmp_path, ["edge"]):
        with pytest.raises(SettingError, match="edge"), alone(tmp_path, ["admin", "edge"]):
            pytest.fail("the edge runs twice")
        with alone(tmp_path, ["admin"]):  # a refused start holds nothing
            pass


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    program = (
        "import sys, os, pathlib; from deploy.running import alone\n"
        "with alone(pathlib.Path(sys.argv[1]), ['keys']): os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, cwd=ROOT)
    with alone(tmp_path, ["keys"]):
        assert (tmp_path / "keys.lock").read_text() == f"{os.getpid()}\n"


def test_a_port_somebody_has_is_refused_with_the_setting_to_change() -> None:
    """Also one that a system that is just starting has taken and not served yet."""
    listening = launch.listen("127.0.0.1", 0, "keys")
    port = listening.getsockname()[1]
    told = rf"^port-base: port {port} of 127.0.0.1 for origin is in use: choose another with --port-base.$"
    with listening, pytest.raises(SettingError, match=told):
        launch.listen("127.0.0.1", port, "origin")


def test_restart_tells_each_process_that_runs_edges_or_a_shield_here(tmp_path: Path) -> None:
    """Whichever was started last is not the one that all is asked of."""
    program = """
import os, pathlib, signal, sys
from types import SimpleNamespace
from deploy import running
from deploy.commands.restart import Restarting
import asyncio
data, service, workers = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3].split(",")
async def main():
    async def replace_workers():
        return workers
    system = SimpleNamespace(layout=SimpleNamespace(data=data), replace_workers=replace_workers)
    again = Restarting(system, None, asyncio.Event())
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, again)
    with running.alone(data, [service]), running.announced(data, {"edges": []}):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""
    with contextlib.ExitStack() as stack:
        for service, workers in (("edge", "edge-1.0,edge-1.1"), ("shield", "shield.0")):
            started = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", program, str(tmp_path), service, workers],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
                )
            )  # fmt: skip
            assert started.stdin and started.stdout and started.stdout.readline() == "ready\n"
            stack.callback(started.stdin.close)
        with alone(tmp_path, ["keys"]), announced(tmp_path, {"keys": "http://127.0.0.1:1"}):
            for _ in range(2):
                told = CliRunner().invoke(restart, ["--data", str(tmp_path)], standalone_mode=False)
                assert (told.return_value, told.output) == (0, "3 workers replaced\n")
            stack.close()
            told = CliRunner().invoke(restart, ["--data", str(tmp_path)], standalone_mode=False)
            assert isinstance(told.exception, NotRunning)
            assert str(told.exception) == f"No edge and no shield runs in {tmp_path}."
