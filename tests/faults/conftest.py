"""One fleet for all fault tests: each breaks what it likes, and finds it mended and its own asset cold."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.fleet import Fleet, fleet
from tests.support.system import System


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two edges of two workers."""
    with fleet(tmp_path_factory.mktemp("faults") / "data", "--drain-limit", "10s") as found:
        yield found


@pytest.fixture
async def world(installation: Fleet) -> AsyncIterator[Fleet]:
    """The fleet, whole before the test and left to be mended after it."""
    await installation.mended()
    yield installation
    for proxy in (installation.origin, installation.keys, *installation.doors):
        proxy.heal()


@pytest.fixture
def breakable(world: Fleet) -> System:
    """The system of the fleet."""
    return world.system


@pytest.fixture
async def published(world: Fleet) -> str:
    """A new asset nobody has watched."""
    return await world.film()
