"""The control API under schema fuzzing, on a whole system: whatever is sent, no 5xx, and what is documented.

Every row by schemathesis from our own document: examples, boundary values, random bodies valid and not,
unknown methods, missing proof, and chains in which an answer's ID is the next request's. Each answer is
held to the document as well: status, media type, schema.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.films import make_film
from tests.support.system import System, running

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
REACHED = ("--webhook-networks", "127.0.0.0/8")
CONFIG = Path(__file__).parent.parent / "support" / "schemathesis.toml"


# What every other request of these rows names: an asset and a webhook that are there.
THERE = """
[dictionaries.assets]
values = ["film"]

[[operations]]
include-operation-id = ["getAsset", "changeAsset", "cancelAsset", "retryAsset"]
parameters = {{ "path.id" = {{ dictionary = "assets", probability = 0.5 }} }}

[dictionaries.webhooks]
values = ["{webhook}"]

[[operations]]
include-operation-id = ["getWebhook", "enableWebhook", "testWebhook", "listDeliveries"]
parameters = {{ "path.id" = {{ dictionary = "webhooks", probability = 0.5 }} }}
"""


def fuzzed(system: System, seconds: int, folder: Path, webhook: str) -> str:
    """What schemathesis printed at the end of a run of so many seconds; fails when it found anything."""
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG.read_text() + THERE.format(webhook=webhook))
    told = subprocess.run(
        [
            *(SCHEMATHESIS, "--config-file", config, "run", f"{system.url('origin')}/api/openapi.json"),
            *("--header", f"Authorization: Bearer {system.admin_token}", "--max-time", str(seconds)),
            *("--checks", "all", "--exclude-checks", "positive_data_acceptance,ensure_resource_availability"),
            *("--request-timeout", "30", "--workers", "1"),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds * 3 + 120,
        cwd=folder,
    )
    assert told.returncode == 0, told.stdout[-8000:] + told.stderr + system.logs()
    return told.stdout


def held(system: System, seconds: int, least: int, folder: Path) -> None:
    """Fuzzes for so long, with at least so many cases, and looks into the logs afterwards."""
    film = make_film(folder / "film.mp4", seconds=4)
    system.add(film, "film", "--download", "both")
    assert system.sluice("webhooks", "add", "http://127.0.0.1:9/").returncode == 0
    (webhook,) = json.loads(system.sluice("webhooks", "list", "--json").stdout)
    printed = fuzzed(system, seconds, folder, webhook["id"])
    print(printed[printed.index("API Operations") :] if "API Operations" in printed else printed[-2000:])
    generated = re.search(r"([0-9]+) generated", printed)
    assert generated is not None and int(generated[1]) >= least, printed[-2000:]
    for log in (system.data / "logs").glob("*.log"):
        assert "Traceback" not in log.read_text(), f"{log.name}: {log.read_text()[-3000:]}"
        assert " internal: " not in log.read_text(), log.name


@pytest.mark.heavy
def test_a_minute_of_schema_fuzzing_finds_no_5xx(tmp_path: Path) -> None:
    with running(tmp_path / "data", *REACHED) as system:
        held(system, 60, 500, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_five_minutes_of_schema_fuzzing_find_no_5xx(tmp_path: Path) -> None:
    with running(tmp_path / "data", *REACHED) as system:
        held(system, 300, 2000, tmp_path)
