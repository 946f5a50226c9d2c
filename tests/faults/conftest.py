"""An installation to break, one for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.films import make_film
from tests.support.system import System, running


@pytest.fixture
def breakable(tmp_path: Path) -> Iterator[System]:
    """A system of its own for each test, with two workers."""
    with running(tmp_path / "data", "--key-period", "12s", workers=2) as found:
        yield found


@pytest.fixture(scope="session")
def fault_film_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 s with segments of real size."""
    return make_film(tmp_path_factory.mktemp("films") / "fault.mp4", seconds=24, size="640x360", noise=30)


@pytest.fixture
def published(breakable: System, fault_film_file: Path) -> str:
    """The film as an asset of the system that will be broken."""
    return breakable.add(fault_film_file, "film")
