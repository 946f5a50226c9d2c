"""docs/deployment.md and what it copies: the settings exist and fit, systemd and nginx take their files."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from deploy import launch
from deploy.layers import load

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "deployment.md").read_text()
UNIT = ROOT / "deploy" / "systemd" / "sluice@.service"
FILES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(
    "text", FILES, ids=["one machine", "ingest", "home", "edge machine", "shield", "edge of it"]
)
def test_the_settings_files_of_the_page_are_taken_as_they_are(text: str, tmp_path: Path) -> None:
    (tmp_path / "sluice.toml").write_text(text)
    settings = load({"data": str(tmp_path)}, {})
    for name, value in tomllib.loads(text).items():
        assert hasattr(settings, name.replace("-", "_"))
        if isinstance(value, list):
            assert next(map(str, getattr(settings, name.replace("-", "_")))).startswith(value[0])


def test_every_unit_the_page_starts_is_a_service() -> None:
    named = set(re.findall(r"sluice@([a-z]+)(?!\.service)\b", PAGE)) - {"service"}
    assert named == {"up", "shield", "ingest", *launch.ALL_SERVICES}


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze is not installed (Debian: apt install systemd)")
    text = UNIT.read_text()
    command = re.search(r"^ExecStart=(\S+)", text, re.MULTILINE)
    assert command is not None
    unit = tmp_path / "sluice@up.service"
    unit.write_text(text.replace(command[1], sys.executable).replace("=sluice\n", "=root\n"))
    told = subprocess.run([verify, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")
