"""A file larger than a page may hold, decrypted in the browser on its way to the disk (K4, T4)."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from typing import Final
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser

from tests.support.browser import chromium
from tests.support.eventually import eventually
from tests.support.films import make_film
from tests.support.memory import rss_bytes
from tests.support.proxy import Proxy
from tests.support.saver import Saver
from tests.support.system import System, running

pytestmark = [pytest.mark.browser, pytest.mark.heavy]

LARGE: Final = 300 << 20  # bytes
GROWTH: Final = 64 << 20  # bytes of memory the page and its worker may take, their start included
WINDOW: Final = 8 << 20  # bytes in a request of the page's worker


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One of its own: a file of this size would push other tests' films out of the caches."""
    with running(tmp_path_factory.mktemp("saving") / "data", workers=1) as found:
        yield found


@pytest.fixture(scope="module")
def vault(system: System, tmp_path_factory: pytest.TempPathFactory) -> str:
    """SHA-256 of a film of 300 MB, published as `vault`, which leaves encrypted only."""
    path = make_film(tmp_path_factory.mktemp("films") / "vault.mp4", seconds=2, size="160x90", audio=False)
    block = os.urandom(1 << 20)
    with path.open("ab") as file:
        file.write((LARGE + 8).to_bytes(4, "big") + b"free")
        for _ in range(LARGE >> 20):
            file.write(block)
    system.add(path, "vault", "--download", "original", "--protect-downloads", "--title", "A vault")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.asynccontextmanager
async def renderers_grow(browser: Browser) -> AsyncIterator[list[int]]:
    """How much more memory than now all pages and workers hold, again and again: the last is the most."""
    session = await browser.new_browser_cdp_session()

    async def held() -> int:
        found = (await session.send("SystemInfo.getProcessInfo"))["processInfo"]
        total = 0
        for each in found:
            if each["type"] == "renderer":
                with contextlib.suppress(FileNotFoundError):  # it has ended
                    total += rss_bytes(int(each["id"]))
        return total

    before = await held()
    most = [0]

    async def look() -> None:
        while True:
            most.append(max(most[-1], await held() - before))
            await asyncio.sleep(0.1)

    looking = asyncio.create_task(look())
    try:
        yield most
    finally:
        looking.cancel()


@pytest.fixture
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network inspector in workers: in their process it keeps up to 200 MB of what they fetch."""
    monkeypatch.setenv("PLAYWRIGHT_DISABLE_SERVICE_WORKER_NETWORK", "1")


@pytest.mark.usefixtures("unwatched")
async def test_300_mb_are_saved_over_a_broken_line_in_little_memory_and_not_once_revoked(
    system: System, vault: str
) -> None:
    target = urlsplit(system.edges[0])
    with Proxy((target.hostname or "", target.port or 0)) as door:
        async with chromium() as browser:
            saver = Saver(await browser.new_page())
            door.cut(after=LARGE // 2)
            link = system.link("vault", "--download").replace(system.edges[0], door.url)
            await saver.open(door.url, link)
            async with renderers_grow(browser) as grown:
                kept = await saver.save()
                path = await kept.path()
                assert vault in await saver.becomes("done")
            assert grown[-1] < GROWTH, f"{grown[-1] >> 20} MiB"
            with path.open("rb") as file:
                assert hashlib.file_digest(file, "sha256").hexdigest() == vault
            assert (kept.suggested_filename, door.fired) == ("A vault.mp4", 1)
            assert door.bytes_down < LARGE + 2 * WINDOW, "from where it broke, not from the beginning"
            await kept.delete()

            await refused_once_revoked(system, door, saver)
    assert saver.broken == []


@pytest.mark.usefixtures("unwatched")
async def test_four_that_are_begun_at_once_all_arrive(system: System, vault: str) -> None:
    """Two browsers' worth of workers, with two pages each."""
    async with chromium() as browser:
        contexts = [await browser.new_context() for _ in range(2)]
        savers = [Saver(await context.new_page()) for context in contexts for _ in range(2)]
        for saver in savers:
            await saver.open(system.edges[0], system.link("vault", "--download"))

        async def saved(saver: Saver) -> str:
            kept = await saver.save()
            path = await kept.path()
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()

        assert await asyncio.gather(*map(saved, savers)) == [vault] * len(savers)


async def refused_once_revoked(system: System, door: Proxy, saver: Saver) -> None:
    """Another link, taken back in the middle of the file: no short file, and the page says why."""
    signed = system.link("vault", "--download")
    await saver.open(door.url, signed.replace(system.edges[0], door.url))
    door.hold_after(LARGE // 10)
    kept = await saver.save()

    async def in_the_middle() -> bool:
        return door.holding

    await eventually(in_the_middle, within_s=60)
    assert system.sluice("revoke", signed).returncode == 0
    door.heal()
    assert "withdrawn by its publisher" in await saver.becomes("refused")
    assert await kept.failure()
