"""What the README shows of the signers runs as it stands, beside a copy of the file it names."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from keys.container import split_token
from keys.tokens import Issuer, Trust, verify
from tests.support.forge import SITE
from tests.support.signers import FOLDER, LANGUAGES, runs

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8").split("Elsewhere, copy one file")[1]
FILM = "https://edge.example.org/v/film/main.m3u8"

# Fence in the README, file it goes to, what stands before it and behind.
AROUND = {
    "node": (
        "js",
        "page.mjs",
        'import { readFileSync } from "node:fs";\n'
        'const key = JSON.parse(readFileSync("secrets/issuer.json"));\n',
        "process.stdout.write(link);",
    ),
    "php": (
        "php",
        "page.php",
        "<?php\n$key = json_decode(file_get_contents('secrets/issuer.json'), true);\n",
        "echo $link;",
    ),
    "ruby": (
        "ruby",
        "page.rb",
        'require "json"\nkey = JSON.parse(File.read("secrets/issuer.json"))\n',
        "print link",
    ),
    "python": (
        "python",
        "page.py",
        'import json\nkey = json.load(open("secrets/issuer.json"))\n',
        'print(link, end="")',
    ),
    "shell": ("sh", "page.sh", "", 'printf %s "$link"'),
}


@pytest.mark.parametrize("language", AROUND)
def test_the_readme_s_lines_make_a_link(language: str, tmp_path: Path) -> None:
    runs(language)
    fence, name, before, behind = AROUND[language]
    lines = README.split(f"```{fence}\n")[1].split("```")[0]
    (tmp_path / name).write_text(f"{before}{lines}{behind}\n", "utf-8")
    shutil.copy(FOLDER / LANGUAGES[language].script, tmp_path)
    SITE.save(tmp_path / "secrets" / "issuer.json")
    program = "sh" if language == "shell" else LANGUAGES[language].program
    told = subprocess.run(
        [program, name], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (told.returncode, told.stderr) == (0, "")
    plain, token = split_token(told.stdout)
    assert plain == FILM
    trust = Trust([Issuer(SITE.iss, "link", (SITE.verify_key(),), 86_400)])
    claims = verify(token, uri=plain, trust=trust, now=time.time())
    assert claims.cap == 21600
    assert bool(claims.sub) == LANGUAGES[language].hides
