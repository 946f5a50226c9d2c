"""The player page in a real browser, with stock hls.js: plays, switches, seeks, says why not."""

import hashlib
import json
import time
from collections.abc import AsyncIterator

import pytest

import keys
from keys.signing import SigningKey
from tests.support.browser import chromium
from tests.support.packaged import Packaged
from tests.support.system import System
from tests.support.watching import Watching

pytestmark = pytest.mark.browser

DIGESTS_OF_APPENDED = """
window.seen = [];
SourceBuffer.prototype.appendBuffer = ((append) => function (data) {
  crypto.subtle.digest('SHA-256', data.slice(0)).then((sum) => {
    window.seen.push([...new Uint8Array(sum)].map((b) => b.toString(16).padStart(2, '0')).join(''));
  });
  return append.call(this, data);
})(SourceBuffer.prototype.appendBuffer);
"""


@pytest.fixture
async def watching() -> AsyncIterator[Watching]:
    async with chromium() as browser:
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        yield Watching(page)


async def test_the_page_plays_offers_qualities_switches_and_seeks(
    system: System, film: str, watching: Watching
) -> None:
    await watching.open(system.edges[0], system.link(film))
    await watching.plays_past(2.0)
    page = watching.page
    options = await page.locator("#quality option").all_inner_texts()
    assert len(options) >= 3 and options[0].startswith("Auto"), options
    last = await page.locator("#quality option").last.get_attribute("value")
    assert last is not None
    await page.locator("#quality").select_option(last)
    await watching.until("n => window.sluice.hls.currentLevel === Number(n)", last)
    height = int(options[-1].removesuffix("p"))
    await watching.until("h => document.querySelector('video').videoHeight === h", height)
    duration = await page.evaluate("document.querySelector('video').duration")
    assert duration == pytest.approx(40, abs=0.5)
    await page.keyboard.press("5")  # half way
    await watching.plays_past(duration / 2 + 2)
    assert await page.evaluate("document.querySelector('video').currentTime") < duration / 2 + 15
    dropped = await page.evaluate(
        "document.querySelector('video').getVideoPlaybackQuality().corruptedVideoFrames"
    )
    assert not dropped
    assert watching.trouble == []


async def test_hls_js_decrypts_exactly_the_packaged_segments(
    system: System, film: str, watching: Watching
) -> None:
    """What stock hls.js hands to the decoder is, byte for byte, what was packaged."""
    await watching.page.add_init_script(DIGESTS_OF_APPENDED)
    await watching.open(system.edges[0], system.link(film))
    await watching.plays_past(3.0)
    await watching.until("() => window.seen.length >= 10")
    seen: list[str] = json.loads(await watching.page.evaluate("JSON.stringify(window.seen)"))
    stored = await Packaged.of(system.data, film)
    media = {digest for rendition in stored.renditions() for digest in stored.digests(rendition)}
    inits = {
        hashlib.sha256(stored.plain(rendition, "init.mp4")).hexdigest() for rendition in stored.renditions()
    }
    assert set(seen) <= media | inits
    assert len(set(seen) & media) >= 6


async def test_the_page_shows_session_end_title_and_where_bytes_came_from(
    system: System, film: str, watching: Watching
) -> None:
    await watching.open(system.edges[0], system.link(film, "--for", "2h"))
    await watching.plays_past(1.0)
    page = watching.page
    await page.keyboard.press("i")
    await watching.until("() => /[1-9]/.test(document.querySelector('#sources').ariaLabel)")
    assert "in 1 h 59 min" in await page.locator("#d-ends").inner_text() or "2 h 0 min" in (
        await page.locator("#d-ends").inner_text()
    )
    sums = await page.evaluate("JSON.stringify(window.sluice.bytes)")
    assert sum(json.loads(sums).values()) > 100_000
    assert (await page.locator("#title").inner_text()).lower() == "film"


@pytest.mark.parametrize(
    ("code", "words"),
    [("expired", "has expired"), ("forbidden", "does not open anything"), ("revoked", "withdrawn")],
)
async def test_the_page_says_in_a_sentence_why_a_link_is_refused(
    system: System, film: str, watching: Watching, code: str, words: str
) -> None:
    site = SigningKey.load(system.data / "secrets" / "issuer.json")
    url = f"{system.edges[0]}/v/{film}/main.m3u8"
    links = {
        "expired": keys.sign_url(url, site, now=time.time() - 90_000),
        "forbidden": keys.sign_url(url, SigningKey.generate("site")),
        "revoked": system.link(film, "--viewer", "withdrawn-viewer"),
    }
    if code == "revoked":
        assert system.sluice("revoke", "viewer:withdrawn-viewer").returncode == 0
    await watching.open(system.edges[0], links[code])
    await watching.until("c => document.querySelector('#stage').dataset.code === c", code)
    assert words in await watching.page.locator("#sentence").inner_text()


async def test_a_session_revoked_in_mid_play_stops_the_page_with_a_sentence(
    system: System, film: str, watching: Watching
) -> None:
    await watching.open(system.edges[0], system.link(film, "--viewer", "midway"))
    await watching.plays_past(1.0)
    assert system.sluice("revoke", "viewer:midway").returncode == 0
    await watching.page.keyboard.press("9")
    await watching.until(
        "() => ['revoked', 'refused'].includes(document.querySelector('#stage').dataset.code)"
    )
    assert "withdrawn" in await watching.page.locator("#sentence").inner_text()


async def test_h38_the_page_breaks_no_rule_of_its_content_security_policy(
    system: System, film: str, watching: Watching
) -> None:
    await watching.page.add_init_script(
        "window.broken = []; document.addEventListener('securitypolicyviolation',"
        " (e) => window.broken.push(`${e.violatedDirective} ${e.blockedURI}`));"
    )
    await watching.open(system.edges[0], system.link(film))
    await watching.plays_past(1.0)
    assert await watching.page.evaluate("window.broken") == []
    answer = await watching.page.request.get(f"{system.edges[0]}/watch/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"


async def test_the_page_fits_a_phone(system: System, film: str, watching: Watching) -> None:
    await watching.page.set_viewport_size({"width": 390, "height": 844})
    await watching.open(system.edges[0], system.link(film))
    await watching.plays_past(0.5)
    overflow = await watching.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0
    for control in await watching.page.locator("#controls :is(button, select, input):visible").all():
        box = await control.bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390, (
            await control.get_attribute("id")
        )
