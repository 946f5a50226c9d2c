"""The command line: its words, its exit codes, and no traceback for a user's mistake."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keys import secrets as secret_files

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def sluice(tmp_path: Path) -> Run:
    def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), **variables}
        return subprocess.run(
            [sys.executable, "-P", "-m", "deploy.cli", *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            env=environment,
        )

    return run


@pytest.mark.parametrize(
    ("words", "variables", "code", "said"),
    [
        (["up", "--edges", "0"], {}, 2, "--edges: "),
        (["up", "--key-period", "soon"], {}, 2, "--key-period: 'soon' is no duration"),
        (["add", "no-such.mp4"], {}, 2, "There is no file no-such.mp4"),
        (["add", "."], {}, 2, ". is a directory"),
        (["add", "x" * 300], {}, 2, "cannot be read: File name too long"),
        (["up", "--no-such-thing"], {}, 2, "No such option"),
        (["up"], {"SLUICE_EDGES": "many"}, 2, "SLUICE_EDGES: "),
        (["up"], {"SLUICE_EGDES": "2"}, 2, "SLUICE_EGDES: .*SLUICE_EDGES"),
        (["keys", "--issuers", "absent.json"], {}, 2, "--issuers: there is no file 'absent.json'"),
        (["up", "--data", "/dev/null/x"], {}, 2, "data: /dev/null/x cannot be used"),
        (["up", "--data", "/dev/null"], {}, 2, "data: /dev/null cannot be used"),
        (["frobnicate"], {}, 2, "No such command"),
        (["add"], {}, 2, "Missing argument"),
        (["add", "absent.mp4"], {}, 2, "There is no file absent.mp4"),
        (["add", "film.mp4", "--protect-downloads"], {}, 2, "add --download"),
        (["link", "film"], {}, 3, "Nothing runs in "),
        (["link", "film", "--for", "ever"], {}, 2, "--for: 'ever' is no duration"),
        (["link", "film", "--renew", "cookie"], {}, 2, "add --download"),
        (["link", "film", "--renew", "header"], {}, 2, "--renew"),
        (["link", "press/a", "--zone", "--once"], {}, 2, "A zone's link opens no session"),
        (["link", "film", "--below"], {}, 2, "add --zone"),
        (["link", "press/a", "--zone"], {}, 3, "Nothing runs in "),
        (["edge", "--zone", "/=http://127.0.0.1:1"], {}, 2, "zone, port, first-byte: give --plain"),
        (["up", "--zones", "absent.toml"], {}, 2, "--zones: there is no file 'absent.toml'"),
        (["sessions", "--data", "elsewhere"], {}, 3, "Nothing runs in .*elsewhere"),
        (["assets"], {"SLUICE_DATA": "other"}, 3, "Nothing runs in .*other"),
        (["rm", "film", "--yes"], {}, 3, "Nothing runs in "),
    ],
)
def test_a_mistake_is_one_sentence_and_an_exit_code(
    sluice: Run, words: list[str], variables: dict[str, str], code: int, said: str
) -> None:
    done = sluice(*words, **variables)
    assert done.returncode == code, done.stderr
    assert re.search(said, done.stderr) and "Traceback" not in done.stderr
    assert done.stdout == ""


def test_help_lists_every_setting_of_a_service_and_no_other(sluice: Run) -> None:
    from deploy.settings_table import rows

    shown = sluice("keys", "--help").stdout
    for row in rows():
        assert (f"--{row.name} " in shown) == ("keys" in row.services), row.name


def test_a_link_is_signed_with_nothing_running_when_the_edge_is_named(sluice: Run, tmp_path: Path) -> None:
    secret_files.load_or_create(tmp_path / "data" / "secrets")
    done = sluice("link", "film", "--edge", "https://edge.example", "--viewer", "anna")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"https://edge\.example/v;URISigningPackage=[\w.-]+/film/main\.m3u8\n", done.stdout)
    named = sluice("link", "film", "--edge", "https://edge.example", "--token-name", "token")
    assert named.stdout.startswith("https://edge.example/v;token=")
    page = sluice("link", "film", "--edge", "https://edge.example", "--watch")
    assert page.stdout.startswith("https://edge.example/watch/#https://edge.example/v;URISigningPackage=")
    saved = sluice("link", "film", "--edge", "https://edge.example", "--watch", "--download=ece/film.mp4")
    at = "https://edge.example/watch/download.html#https://edge.example/d;URISigningPackage="
    assert saved.stdout.startswith(at) and saved.stdout.endswith("/film/ece/film.mp4\n")


def test_a_link_to_no_asset_id_is_refused_in_words(sluice: Run, tmp_path: Path) -> None:
    secret_files.load_or_create(tmp_path / "data" / "secrets")
    done = sluice("link", "../x", "--edge", "https://edge.example")
    assert done.returncode == 1 and "asset id" in done.stderr.lower()


def test_commands_say_when_what_ran_there_is_gone(sluice: Run, tmp_path: Path) -> None:
    secret_files.load_or_create(tmp_path / "data" / "secrets")
    here = "http://127.0.0.1:1"
    running = {"keys": here, "origin": here, "admin": here, "edges": [here], "pid": 1}
    (tmp_path / "data" / "run.json").write_text(json.dumps(running))
    done = sluice("assets")
    assert done.returncode == 3 and "does not answer" in done.stderr
