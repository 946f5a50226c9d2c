"""On the loop of production: how its transports buffer and close is what is tested here."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from deploy.http_limits import Loop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": Loop}
