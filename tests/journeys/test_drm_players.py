"""DRM assets in Chromium: Shaka plays them with the document's keys; the player page says whose they are.

The keys are given to the player directly, by its Clear Key configuration: no license server of a DRM system
takes part.
"""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from keys.cpix_xml import write_cpix
from keys.drm import keys_of
from tests.journeys.test_every_player import CANNOT_DECODE, ENDED, GOES_TO, HOLE, HOLE_S, SPEED
from tests.support.browser import chromium, chromium_path
from tests.support.drm import SYSTEMS, document
from tests.support.films import make_film
from tests.support.stage import needs, stage
from tests.support.system import System, running
from tests.support.watching import Watching

pytestmark = [pytest.mark.browser, pytest.mark.heavy, pytest.mark.asyncio(loop_scope="module")]


@dataclass(frozen=True)
class World:
    """A running system, a site that plays from it, and a film of each scheme, named by it."""

    system: System
    site: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    chromium_path()
    needs("shaka")
    folder: Path = tmp_path_factory.mktemp("drm")
    film = make_film(folder / "film.mp4", seconds=6)
    with (
        stage(tmp_path_factory.mktemp("site")) as site,
        running(folder / "data", "--cors-origins", site, workers=1) as system,
    ):
        for scheme in SYSTEMS:
            (folder / f"{scheme}.cpix").write_bytes(write_cpix(document(scheme)))
            system.add(film, scheme, "--drm", str(folder / f"{scheme}.cpix"))
        yield World(system, site)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


async def opened(world: World, browser: Browser, scheme: str, file: str, keys: dict[str, str]) -> Watching:
    watching = Watching(await (await browser.new_context()).new_page())
    await watching.page.add_init_script(f"window.clearKeys = {json.dumps(keys)};")
    await watching.start_muted()
    link = world.system.sign(scheme).replace("main.m3u8", file)
    await watching.page.goto(f"{world.site}/shaka-keys.html#{link}")
    return watching


@pytest.mark.parametrize("file", ["main.mpd", "main.m3u8"])
@pytest.mark.parametrize("scheme", SYSTEMS)
async def test_shaka_plays_it_all_with_the_keys_of_the_document(
    world: World, browser: Browser, scheme: str, file: str
) -> None:
    keys = {kid.hex(): key.hex() for kid, key in keys_of(document(scheme)).items()}
    watching = await opened(world, browser, scheme, file, keys)
    await watching.plays_past(0)
    await watching.page.evaluate(GOES_TO, [None, SPEED])
    await watching.until(ENDED)
    assert await watching.page.evaluate(HOLE) <= HOLE_S
    assert watching.trouble == []
    await watching.page.context.close()


@pytest.mark.parametrize("scheme", SYSTEMS)
async def test_shaka_plays_nothing_with_other_keys(world: World, browser: Browser, scheme: str) -> None:
    keys = {kid.hex(): bytes(16).hex() for kid in keys_of(document(scheme))}
    watching = await opened(world, browser, scheme, "main.mpd", keys)
    said = await watching.page.wait_for_event("pageerror")
    assert str(said).startswith(CANNOT_DECODE)
    assert await watching.page.evaluate("document.querySelector('video').currentTime") == 0
    await watching.page.context.close()


async def test_the_player_page_says_that_its_keys_are_a_providers(world: World, browser: Browser) -> None:
    watching = Watching(await (await browser.new_context()).new_page())
    await watching.open(world.system.edges[0], world.system.link("cbcs"))
    await watching.until("() => document.querySelector('#stage').dataset.code === 'drm'")
    assert "publisher's own page" in await watching.page.locator("#sentence").inner_text()
    await watching.page.context.close()
