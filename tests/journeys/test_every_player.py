"""Common Encryption in stock players: Shaka and dash.js, from another site's page, in Chromium.

Both schemes, as HLS and as DASH: from start to end with nothing missing, then a seek, then another rendition;
and with a wrong key, nothing but an error. The player page plays them too, and changes from one to another in
a session.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route

from keys.names import b64url, b64url_decode
from tests.support.browser import chromium, chromium_path
from tests.support.films import make_film
from tests.support.stage import needs, stage
from tests.support.system import System, running
from tests.support.watching import PLAYS_MS, Watching

pytestmark = [pytest.mark.browser, pytest.mark.heavy, pytest.mark.asyncio(loop_scope="module")]

FILM_S = 9
SPEED = 2  # × real time
HOLE_S = 0.1  # more than that of the film missing would be seen
SCHEMES = ("cbcs", "cenc")
PLAYERS = [  # page, what it opens
    ("shaka", "main.m3u8"),  # by the raw key that the playlist names
    ("shaka-license", "main.mpd"),
    ("dash-license", "main.mpd"),
]

CANNOT_DECODE = ("shaka 3016", "dash.js 3")  # what the pages throw: each player's number for it
VIOLATIONS = (
    "window.broken = []; document.addEventListener('securitypolicyviolation',"
    " (event) => window.broken.push(`${event.violatedDirective} ${event.blockedURI}`));"
)
PLAYING_BY = "player => Boolean(window.sluice[player]) && document.querySelector('video').readyState > 2"

# The console's log of dash.js, which is loud about what it goes on after, such as no keys in its settings
# before it asks for a license. What it fails at it tells the page.
LOG = re.compile(r"\[\d+\]\[\w+\]")

# The longest stretch of the film, its ends among them, that was not played.
HOLE = """() => {
  const video = document.querySelector('video');
  const ends = [0];
  for (let i = 0; i < video.played.length; i++) ends.push(video.played.start(i), video.played.end(i));
  ends.push(video.duration);
  let longest = 0;
  for (let i = 0; i < ends.length; i += 2) longest = Math.max(longest, ends[i + 1] - ends[i]);
  return longest;
}"""
GOES_TO = """([place, speed]) => {
  const video = document.querySelector('video');
  video.playbackRate = speed;
  if (place !== null) video.currentTime = place;
  video.play().catch(() => {});  // players pause and play on by themselves: what plays is what counts
}"""
PLAYS_BETWEEN = """([from, to]) => {
  const video = document.querySelector('video');
  return !video.seeking && video.currentTime > from && video.currentTime < to;
}"""
ENDED = "() => document.querySelector('video').ended"
TALL = "height => document.querySelector('video').videoHeight === height"


@dataclass(frozen=True)
class World:
    """A running system, a site that plays from it, and the film in two rungs."""

    system: System
    site: str
    film: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    chromium_path()
    for player in ("shaka", "dash"):
        needs(player)
    data = tmp_path_factory.mktemp("every") / "data"
    film = make_film(tmp_path_factory.mktemp("films") / "film.mp4", seconds=FILM_S, rate=25)
    with (
        stage(tmp_path_factory.mktemp("site")) as site,
        running(data, "--cors-origins", site) as system,
    ):
        yield World(system, site, system.add(film, "film"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


async def opened(world: World, page: Page, player: str, file: str, scheme: str) -> Watching:
    """The site's page with a link of a viewer of its own."""
    watching = Watching(page)
    link = world.system.sign(world.film, viewer=f"{player} {file} {scheme}").replace("main.m3u8", file)
    await watching.start_muted()
    await page.goto(f"{world.site}/{player}.html#{link}?protection={scheme}")
    return watching


async def plays_it_all(world: World, browser: Browser, player: str, file: str, scheme: str) -> None:
    """From start to end, then a seek back, then in the other rendition."""
    page = await (await browser.new_context()).new_page()
    watching = await opened(world, page, player, file, scheme)
    await watching.plays_past(0)
    await page.evaluate(GOES_TO, [None, SPEED])
    await watching.until(ENDED)
    assert await page.evaluate(HOLE) <= HOLE_S
    await page.evaluate(GOES_TO, [5, 1])
    await watching.until(PLAYS_BETWEEN, [5.3, FILM_S])
    for height in (240, 360):
        await page.evaluate(GOES_TO, [1, 0.5])
        await watching.until(PLAYS_BETWEEN, [1, FILM_S])
        await page.evaluate("height => window.choose(height)", height)
        await watching.until(TALL, height)
    trouble = [said for said in watching.trouble if not LOG.match(said)]
    assert trouble == [], (player, file, trouble)
    await page.context.close()


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_stock_players_play_it_all_from_another_site(
    world: World, browser: Browser, scheme: str
) -> None:
    await asyncio.gather(*(plays_it_all(world, browser, *player, scheme) for player in PLAYERS))


async def with_wrong_keys(page: Page) -> None:
    """Licenses and raw keys come with a bit of each byte turned."""

    def other(key: bytes) -> bytes:
        return bytes(byte ^ 1 for byte in key)

    async def license_(route: Route) -> None:
        answered = await route.fetch()
        found = await answered.json()
        for row in found["keys"]:
            row["k"] = b64url(other(b64url_decode(row["k"])))
        await route.fulfill(response=answered, json=found)

    async def raw(route: Route) -> None:
        answered = await route.fetch()
        await route.fulfill(response=answered, body=other(await answered.body()))

    await page.route("**/license", license_)
    await page.route("**/key/*", raw)


async def fails(world: World, browser: Browser, player: str, file: str, scheme: str) -> None:
    """Says that it cannot be decoded, and shows not one picture."""
    page = await (await browser.new_context()).new_page()
    await with_wrong_keys(page)
    async with page.expect_event("pageerror", timeout=PLAYS_MS) as failed:
        await opened(world, page, player, file, scheme)
    assert str(await failed.value) in CANNOT_DECODE
    assert (
        await page.evaluate("document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames") == 0
    )
    await page.unroute_all(behavior="wait")
    await page.context.close()


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_with_a_wrong_key_a_player_fails_visibly(world: World, browser: Browser, scheme: str) -> None:
    await asyncio.gather(*(fails(world, browser, *player, scheme) for player in PLAYERS))


async def test_the_player_page_changes_the_protection_within_a_session(
    world: World, browser: Browser
) -> None:
    """From whole segments to samples under either scheme and back, each from where the one before was."""
    watching = Watching(await (await browser.new_context()).new_page())
    page = watching.page
    before = world.system.counts()
    await page.add_init_script(VIOLATIONS)
    await watching.open(world.system.edges[0], world.system.sign(world.film, viewer="changes"))
    await watching.plays_past(2)
    offered = await page.locator("#protection option").evaluate_all("all => all.map(each => each.value)")
    assert offered == ["aes", "cbcs", "cenc"]
    assert not await page.evaluate("typeof shaka !== 'undefined'"), "loaded when it is needed"
    await page.keyboard.press("i")
    for at, name in ((2, "cbcs"), (3, "cenc"), (4, "aes")):
        await page.locator("#protection").select_option(name)
        await watching.until(PLAYING_BY, "hls" if name == "aes" else "shaka")
        await watching.until(PLAYS_BETWEEN, [at + 1, FILM_S])
        assert name == "aes" or f"#protection={name}&http" in page.url
    assert "protection" not in page.url
    after = world.system.counts()
    assert after["sessions_opened"] - before["sessions_opened"] == 1
    assert after["licenses"] - before.get("licenses", 0) >= 4, "two tracks, two schemes"
    assert await page.evaluate("window.broken") == []
    assert watching.trouble == []
    await page.context.close()


async def test_the_player_page_begins_with_the_protection_asked_for_and_switches(
    world: World, browser: Browser
) -> None:
    watching = Watching(await (await browser.new_context()).new_page())
    page = watching.page
    link = world.system.sign(world.film, viewer="begins")
    await watching.open(world.system.edges[0], f"protection=cenc&{link}")
    await watching.plays_past(1)
    assert await page.evaluate("window.sluice.shaka.drmInfo().keySystem") == "org.w3.clearkey"
    assert (await page.locator("#title").inner_text()).lower() == "film"
    for height in ("240p", "360p"):
        await page.locator("#quality").select_option(label=height)
        await watching.until(TALL, int(height[:-1]))
    await page.keyboard.press("7")
    await watching.until(PLAYS_BETWEEN, [0.7 * FILM_S, FILM_S])
    await page.keyboard.press("i")
    await watching.until("() => /[1-9]/.test(document.querySelector('#sources').ariaLabel)")
    assert watching.trouble == []
    await page.context.close()


async def test_the_player_page_plays_what_there_is(world: World, browser: Browser) -> None:
    """The ordinary way where a film lacks the protection; with no decryptor in the browser, Shaka is one."""
    watching = Watching(await (await browser.new_context()).new_page())
    page = watching.page
    await page.route("**/main.mpd*", lambda route: route.fulfill(status=404, json={"code": "not_offered"}))
    await page.add_init_script("delete Navigator.prototype.requestMediaKeySystemAccess")
    link = world.system.sign(world.film, viewer="bare")
    await watching.open(world.system.edges[0], f"protection=cbcs&{link}")
    await watching.until(PLAYING_BY, "hls")
    await page.unroute_all(behavior="wait")
    watching.trouble.clear()  # the browser's own word about a 404
    await page.reload()
    await watching.until(PLAYING_BY, "shaka")
    await watching.plays_past(0.5)
    assert watching.trouble == []
    await page.context.close()


async def test_the_player_page_says_in_a_sentence_that_a_film_cannot_be_decrypted(
    world: World, browser: Browser
) -> None:
    watching = Watching(await (await browser.new_context()).new_page())
    page = watching.page
    await with_wrong_keys(page)
    link = world.system.sign(world.film, viewer="says")
    await watching.open(world.system.edges[0], f"protection=cbcs&{link}")
    await watching.until("() => document.querySelector('#stage').dataset.code === 'media'")
    assert "could not play" in await page.locator("#sentence").inner_text()
    await page.unroute_all(behavior="wait")
    assert world.system.sluice("revoke", "viewer:says").returncode == 0
    await page.reload()
    await watching.until("() => document.querySelector('#stage').dataset.code === 'revoked'")
    assert "withdrawn" in await page.locator("#sentence").inner_text()
    await page.context.close()
