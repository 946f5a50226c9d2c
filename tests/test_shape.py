"""The shape of the project: who may import whom, how long files are, what locks and README must keep to."""

import ast
import gc
import re
import statistics
import subprocess
from pathlib import Path

import pytest

from deploy import settings_table

ROOT = Path(__file__).parent.parent
ORDER = {"keys": 0, "origin": 1, "edge": 2, "deploy": 3}  # a package imports itself and those before it


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {module_name(p): p for package in ORDER for p in sorted((ROOT / package).rglob("*.py"))}


def parsed(path: Path) -> ast.Module:
    """The file as a tree. No garbage is collected meanwhile.

    A finalizer that parses (a traceback does, for its carets) would make CPython 3.11 raise SystemError: the
    recursion count of the tree being made is one for all.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(path.read_text(), str(path))
    finally:
        if collecting:
            gc.enable()


class Litter:
    """Garbage that parses when it is collected, and leaves more of itself for as long as it is wanted."""

    wanted = True

    def __init__(self, age: int = 0) -> None:
        self.age, self.me = age, self

    def __del__(self) -> None:
        if Litter.wanted:
            self.parse_at(self.age % 7)
            Litter(self.age + 1)

    def parse_at(self, depth: int) -> None:
        """Parses something, this deep on the stack."""
        if depth:
            self.parse_at(depth - 1)
        else:
            ast.parse("a + b")


def test_a_file_is_read_whatever_garbage_is_about() -> None:
    thresholds = gc.get_threshold()
    Litter()
    gc.set_threshold(1)
    try:
        assert parsed(Path(__file__)).body
    finally:
        Litter.wanted = False
        gc.set_threshold(*thresholds)
        gc.collect()


def imports_of(path: Path) -> set[str]:
    """Modules of ours this file imports when it runs; what only type checkers see does not count."""
    tree = parsed(path)
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for body in node.body
        for inner in ast.walk(body)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            base = node.module or ""
            found |= {f"{base}.{a.name}" if f"{base}.{a.name}" in SOURCES else base for a in node.names}
    return {name for name in found if name.split(".")[0] in ORDER}


IMPORTS = {name: imports_of(path) for name, path in SOURCES.items()}


def test_packages_import_only_what_comes_before_them() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        for other in others
        if ORDER[other.split(".")[0]] > ORDER[name.split(".")[0]]
    ]
    assert wrong == []


def test_the_edge_knows_only_the_pure_formats_of_origin() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        for other in others
        if name.startswith("edge") and other.startswith("origin") and not other.startswith("origin.media")
    ]
    assert wrong == []


def test_there_are_no_import_cycles() -> None:
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, "import cycle: " + " → ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for other in sorted(IMPORTS.get(name, ())):
                visit(other, (*trail, name))
            done.add(name)

    for name in SOURCES:
        visit(name, ())
    assert done >= set(SOURCES)


def reads_environment(path: Path) -> bool:
    text = path.read_text()
    return bool(re.search(r"\bos\.(environ|getenv)\b|from os import .*(environ|getenv)", text))


def test_only_deploy_reads_the_environment() -> None:
    assert [n for n, p in SOURCES.items() if reads_environment(p) and not n.startswith("deploy")] == []


def test_files_are_short() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in SOURCES.items()}
    assert statistics.median(lengths.values()) <= 250
    assert {name: length for name, length in lengths.items() if length > 350} == {}


def test_every_module_says_what_it_is_about() -> None:
    silent = [n for n, p in SOURCES.items() if not ast.get_docstring(parsed(p))]
    assert silent == []


def locks() -> list[Path]:
    setup = ROOT / "deploy" / "setup"
    return sorted([*setup.rglob("*.lock"), *setup.rglob("package-lock.json")])


@pytest.mark.parametrize("lock", locks(), ids=lambda path: path.name)
def test_a_lock_pins_by_hash_and_names_no_index(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    if lock.suffix == ".lock":
        pinned = re.findall(r"^([a-z0-9][\w.\[\],-]*)==.*\\$", text, re.MULTILINE)
        assert pinned and "--hash=sha256:" in text
        assert not re.findall(r"^[a-z0-9][\w.\[\],-]*(?!.*==).*$", text, re.MULTILINE)


def test_the_settings_table_of_the_readme_is_the_one_of_the_code() -> None:
    text = (ROOT / "README.md").read_text()
    written = text.split(settings_table.BEGIN)[1].split(settings_table.END)[0].strip()
    assert written == settings_table.markdown(), "run: sluice settings --readme README.md"


def test_every_package_with_code_is_listed_for_installation() -> None:
    listed = (ROOT / "pyproject.toml").read_text()
    folders = {".".join(p.parent.relative_to(ROOT).parts) for p in SOURCES.values()}
    importable = {f for f in folders if (ROOT / f.replace(".", "/") / "__init__.py").exists()}
    assert {f for f in importable if f'"{f}"' not in listed} == set()


def test_nothing_in_the_repository_names_a_machine_or_an_index() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is no git checkout, so nothing says which files belong to the repository")
    files = listed.stdout.split("\0")
    wrong = []
    for name in filter(None, files):
        try:
            text = (ROOT / name).read_text()
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        if re.search(r"(^|[\s\"'`=(:])/(work|root)/|Looking in [i]ndexes", text, re.MULTILINE):
            wrong.append(name)
    assert wrong == []
