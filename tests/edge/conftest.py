"""An edge over a real socket, and a client."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.edge.parts import World, world


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """A small player page."""
    folder = tmp_path / "web"
    (folder / "vendor").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>player</title>")
    (folder / "player.js").write_text("export {};")
    (folder / "vendor" / "hls.min.js").write_text("var Hls;")
    (folder / "notes.txt").write_text("not for viewers")
    (tmp_path / "secret.html").write_text("outside")
    return folder


@pytest.fixture
async def edge(web: Path) -> AsyncIterator[World]:
    async with world(web) as found:
        yield found


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20) as found:
        yield found
