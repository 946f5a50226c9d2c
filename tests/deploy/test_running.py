"""One of each service in a data directory, whichever command runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import launch
from deploy.launch import ALL_SERVICES
from deploy.layers import SettingError
from deploy.running import alone

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
