"""The signers in docs/signers, run as a site would run them: one program for each language."""

import functools
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

FOLDER: Final = Path(__file__).parents[2] / "docs" / "signers"


@dataclass(frozen=True)
class Language:
    """What a signer runs with, how to ask that for its version, and which is the oldest that will do."""

    script: str
    program: str
    version: tuple[str, ...]
    oldest: tuple[int, int]
    words: tuple[str, ...] = ()  # between the program and the script
    hides: bool = True  # whether it can hide a viewer or a network
    ordered: bool = True  # whether its JSON has our order of members


LANGUAGES: Final = {
    "python": Language("sign.py", sys.executable, ("--version",), (3, 11)),
    "node": Language("sign.mjs", "node", ("--version",), (16, 9)),
    "php": Language("sign.php", "php", ("--version",), (8, 0)),
    "go": Language("sign.go", "go", ("version",), (1, 18), ordered=False),
    "ruby": Language("sign.rb", "ruby", ("--version",), (3, 1), ("--disable=gems",)),  # starts twice as fast
    "shell": Language("sign.sh", "openssl", ("version",), (3, 0), hides=False),
}


def runs(name: str) -> None:
    """Skips the test, saying why, when what this signer needs is not on this machine."""
    if missing := _missing(LANGUAGES[name]):
        pytest.skip(missing)


@functools.cache
def _missing(language: Language) -> str:
    if shutil.which(language.program) is None:
        return f"{language.program} is not installed"
    told = subprocess.run([language.program, *language.version], capture_output=True, text=True, check=True)
    found = re.search(r"(\d+)\.(\d+)", told.stdout)
    if found is None or (int(found[1]), int(found[2])) < language.oldest:
        return f"{language.program} is too old: {told.stdout.strip()}"
    return ""


def sign(
    name: str, scratch: Path, key: Path, edges: list[str], path: str, options: dict[str, object]
) -> subprocess.CompletedProcess[str]:
    """What the signer of that language prints. `scratch`: a folder to build in, the same for all tests."""
    words = [f"{option}={_word(value)}" for option, value in options.items()]
    return subprocess.run(
        [*_command(name, scratch), str(key), ",".join(edges), path, *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=60,
        env={**os.environ, "LC_ALL": "C"},  # text is UTF-8 whatever the locale says
    )


def _word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _command(name: str, scratch: Path) -> list[str]:
    language = LANGUAGES[name]
    script = str(FOLDER / language.script)
    if name == "go":
        return [_built(script, scratch)]
    return ["sh", script] if name == "shell" else [language.program, *language.words, script]


def _built(script: str, scratch: Path) -> str:
    """The Go program, built once: compiling it for each link would take seconds."""
    target = scratch / "sign-go"
    if not target.exists():
        offline = {"GO111MODULE": "off", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
        subprocess.run(
            ["go", "build", "-o", str(target), script], check=True, env={**os.environ, **offline}, timeout=240
        )
    return str(target)
