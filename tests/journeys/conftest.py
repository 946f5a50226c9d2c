"""One running installation for all journeys, with two small films. Faults are in tests/faults."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.films import make_film
from tests.support.system import System, running

PERIOD_S = 12  # key period: three segments
FILM_S = 40


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """`sluice up` with two workers, quick enough in its pace for tests that take a film at once."""
    data = tmp_path_factory.mktemp("journeys") / "data"
    with running(data, "--key-period", f"{PERIOD_S}s", workers=2) as found:
        yield found


@pytest.fixture(scope="session")
def film_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 s, 640×360, with sound: hard to compress, so that segments are of real size."""
    return make_film(tmp_path_factory.mktemp("films") / "film.mp4", seconds=FILM_S, noise=12)


@pytest.fixture(scope="session")
def film(system: System, film_file: Path) -> str:
    """The film as an asset."""
    return system.add(film_file, "film")


@pytest.fixture(scope="session")
def other_film(system: System, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A second asset: 8 s, no sound."""
    path = tmp_path_factory.mktemp("films") / "other.mp4"
    return system.add(make_film(path, seconds=8, size="320x180", audio=False), "other")
