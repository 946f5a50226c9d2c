"""The download page: a protected file decrypted in the browser on its way to the disk (RFC 8188; H38, K4)."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Route

from keys.ece import LEAST_RECORD, Header, encoded
from keys.problems import Problem
from tests.edge.deliver.test_protected import BODY, FILE
from tests.edge.parts import FILES, World, file_bytes, until, world
from tests.support.browser import chromium
from tests.support.proxy import Proxy
from tests.support.saver import Saver

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

WEB: Path = Path(__file__).parents[3] / "edge" / "web"

# What edge/web/ece.js makes of a body: its plain bytes in base64, or the name of its error.
DECODED = """async ([key, body, size]) => {
  const { opener, placeOf, readForm } = await import("/watch/ece.js");
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  try {
    const [secret, coded] = [bytes(key), bytes(body)];
    const form = readForm(coded, size);
    if (form.coded !== coded.length) return `${form.coded} bytes`;
    const open = await opener(secret, form);
    let plain = "";
    for (let number = 0; number < form.records; number += 1) {
      const { at, length } = placeOf(form, number);
      plain += String.fromCharCode(...await open(number, coded.subarray(at, at + length)));
    }
    return btoa(plain);
  } catch (error) {
    return error.constructor.name;
  }
}"""


@pytest.fixture
def web() -> Path:
    return WEB


@pytest_asyncio.fixture(loop_scope="module")
async def edge(web: Path) -> AsyncIterator[World]:
    async with world(web) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def saver(browser: Browser) -> AsyncIterator[Saver]:
    page = await browser.new_page()
    yield Saver(page)
    await page.close()


def here(edge: World, door: Proxy, link: str) -> str:
    """The link by way of the proxy."""
    return link.replace(edge.url, door.url)


async def test_a_protected_file_is_decrypted_on_its_way_to_the_disk(edge: World, saver: Saver) -> None:
    await saver.open(edge.url, edge.download_link(FILE))
    kept = await saver.save()
    assert kept.suggested_filename == "A locked.mp4"
    assert (await kept.path()).read_bytes() == BODY
    assert hashlib.sha256(BODY).hexdigest() in await saver.becomes("done")
    assert saver.broken == []
    empty = edge.download_link("ece/hollow.mp4")
    await saver.open(edge.url, empty)
    assert (await (await saver.save()).path()).read_bytes() == b""


async def test_what_is_paused_goes_on_where_it_was(edge: World, saver: Saver) -> None:
    held = edge.library.gate = asyncio.Event()
    await saver.open(edge.url, edge.download_link(FILE))
    kept = await saver.save()
    await saver.tells("1.0 MB of 2.1 MB")
    await saver.page.locator("#pause").click()
    assert "Paused at 1.0 MB" in await saver.becomes("paused")
    held.set()
    await saver.page.locator("#pause").click()
    assert (await kept.path()).read_bytes() == BODY
    await saver.becomes("done")
    assert edge.library.opens[-1][2] == range(1, 3), "asked for what was missing, and no more"


async def test_a_file_goes_on_where_the_line_broke_and_is_whole(edge: World, saver: Saver) -> None:
    held = edge.library.gate = asyncio.Event()
    target = urlsplit(edge.url)
    with Proxy((target.hostname or "", target.port or 0)) as door:
        await saver.open(door.url, here(edge, door, edge.download_link(FILE)))
        kept = await saver.save()
        await saver.tells("1.0 MB of 2.1 MB")
        door.drop()
        held.set()
        assert (await kept.path()).read_bytes() == BODY
        await saver.becomes("done")
    assert edge.library.opens[-1][2] == range(1, 3), "not from the beginning"


async def test_t12_a_bit_changed_on_the_way_ends_it_and_nothing_is_kept(edge: World, saver: Saver) -> None:
    target = urlsplit(edge.url)
    with Proxy((target.hostname or "", target.port or 0)) as door:
        door.corrupt(at=1_500_000)
        await saver.open(door.url, here(edge, door, edge.download_link(FILE)))
        kept = await saver.save()
        assert "changed or cut" in await saver.becomes("refused")
        assert await kept.failure()


async def test_t4_what_is_taken_back_in_the_middle_is_no_short_file(edge: World, saver: Saver) -> None:
    held = edge.library.gate = asyncio.Event()
    await saver.open(edge.url, edge.download_link(FILE))
    kept = await saver.save()
    await saver.tells("1.0 MB of 2.1 MB")
    edge.keys.revoke("lid", "link-1")

    def known() -> bool:
        try:
            edge.app.revocations.check(lid="link-1")
        except Problem:
            return True
        return False

    await until(known)
    held.set()
    assert "withdrawn by its publisher" in await saver.becomes("refused")
    assert await kept.failure()


async def test_cancelling_keeps_nothing(edge: World, saver: Saver) -> None:
    edge.library.gate = asyncio.Event()
    await saver.open(edge.url, edge.download_link(FILE))
    kept = await saver.save()
    await saver.page.locator("#cancel").click()
    assert "Nothing was kept" in await saver.becomes("cancelled")
    assert await kept.failure()
    edge.library.gate.set()


# The next so many times that the page sends the browser for its download, nothing comes of it.
LOST = """(times) => document.getElementById("to-disk").addEventListener("click", (event) => {
  if (times-- > 0) event.preventDefault();
})"""
BEGUN_WITHIN_MS = 8000  # edge/web/download.js


async def test_a_download_that_did_not_begin_is_begun_once_more(edge: World, saver: Saver) -> None:
    await saver.page.clock.install()
    await saver.open(edge.url, edge.download_link(FILE))
    await saver.page.evaluate(LOST, 1)
    async with saver.page.expect_download() as waited:
        await saver.page.locator("#begin").click()
        await saver.becomes("waiting")
        await saver.page.clock.fast_forward(BEGUN_WITHIN_MS)
    assert (await (await waited.value).path()).read_bytes() == BODY
    await saver.becomes("done")
    assert edge.keys.calls.count("open_session") == 1


async def test_a_worker_that_ended_before_the_browser_asked_it_is_told_again(
    edge: World, saver: Saver
) -> None:
    await saver.page.clock.install()
    await saver.open(edge.url, edge.download_link(FILE))
    await saver.page.evaluate(LOST, 1)
    session = await saver.page.context.new_cdp_session(saver.page)
    await session.send("ServiceWorker.enable")
    async with saver.page.expect_download() as waited:
        await saver.page.locator("#begin").click()
        await saver.becomes("waiting")
        await session.send("ServiceWorker.stopAllWorkers")
        await saver.page.clock.fast_forward(BEGUN_WITHIN_MS - 2000)  # a ping finds it gone
    assert (await (await waited.value).path()).read_bytes() == BODY
    await saver.becomes("done")


async def test_a_download_that_does_not_begin_twice_is_a_sentence(edge: World, saver: Saver) -> None:
    await saver.page.clock.install()
    await saver.open(edge.url, edge.download_link(FILE))
    await saver.page.evaluate(LOST, 2)
    await saver.page.locator("#begin").click()
    for _ in range(2):
        await saver.becomes("waiting")
        await saver.page.clock.fast_forward(BEGUN_WITHIN_MS)
    assert "did not begin" in await saver.becomes("refused")
    async with saver.page.expect_download() as waited:
        await saver.page.locator("#again").click()
    assert (await (await waited.value).path()).read_bytes() == BODY


async def test_what_no_worker_answers_leaves_the_browser_on_the_page(edge: World, saver: Saver) -> None:
    answer = await saver.page.request.get(f"{edge.url}/watch/saving/any")
    assert (answer.status, answer.headers["cache-control"]) == (204, "no-store")


async def test_the_page_says_what_to_do_where_a_browser_cannot(edge: World, saver: Saver) -> None:
    """Plain http under a name: no workers, no WebCrypto. A file that leaves as it is needs neither."""
    public = "http://films.test"

    async def serve(route: Route) -> None:
        answer = await saver.page.request.get(route.request.url.replace(public, edge.url))
        await route.fulfill(response=answer)

    await saver.page.route(f"{public}/**", serve)
    await saver.open(public, edge.download_link(FILE))
    await saver.page.locator("#begin").click()
    told = await saver.becomes("refused")
    assert "https" in told and "sluice fetch" in told
    assert "open_session" not in edge.keys.calls, "the link was not used up"
    await saver.open(edge.url, edge.download_link("film.mp4"))
    kept = await saver.save()
    assert (await kept.path()).read_bytes() == file_bytes("film.mp4", FILES["film.mp4"])


async def test_the_page_reads_the_coding_as_the_rfc_has_it(edge: World, saver: Saver) -> None:
    """Bodies of another writer: any record size, key IDs; and what is not whole, in order and of this key."""
    await saver.page.goto(f"{edge.url}/watch/download.html")
    key, salt = bytes(range(16)), bytes(range(50, 66))

    async def decoded(body: bytes, size: int, key: bytes = key) -> object:
        told = [base64.b64encode(each).decode() for each in (key, body)]
        return await saver.page.evaluate(DECODED, [*told, size])

    for record in (LEAST_RECORD, 100, 4096):
        for size in (0, 1, record - 17, 5 * (record - 17), 5 * (record - 17) + 1):
            plain = BODY[:size]
            for name in (b"", b"a key"):
                body = encoded(key, Header(salt, record, name), plain)
                assert await decoded(body, size) == base64.b64encode(plain).decode(), (record, size)
    whole = encoded(key, Header(salt, 100), BODY[:400])
    one, two = whole[21:121], whole[121:221]
    assert await decoded(whole[:21] + two + one + whole[221:], 400) == "BadCoding"
    assert await decoded(whole[:-1] + bytes([whole[-1] ^ 1]), 400) == "BadCoding"
    assert await decoded(whole, 400, bytes(16)) == "BadCoding"
    assert await decoded(whole[:321], 249) == "BadCoding", "the end is missing"
    assert await decoded(bytes(20), 0) == await decoded(bytes(40), 0) == "BadCoding"
    assert await decoded(salt + b"\xff\xff\xff\xff\0" + bytes(40), 23) == "BadCoding"
