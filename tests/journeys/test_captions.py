"""Captions, languages and the storyboard, seen in a browser and through the eyes of a stranger."""

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import imageio_ffmpeg
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from tests.support.browser import chromium
from tests.support.system import System
from tests.support.watching import Watching

pytestmark = pytest.mark.browser

SHOTS = os.environ.get("SLUICE_SHOTS", "")  # a folder: the page as it was seen is kept there
ENGLISH = "1\n00:00:00,100 --> 00:00:19,000\nHello <i>there</i><script>window.hit=1</script>\n"
FRENCH = "1\n00:00:00,100 --> 00:00:19,000\nBonjour\n"
SHOWN = """(text) => [...document.querySelector('video').textTracks].some((track) => track.mode === 'showing'
  && [...(track.activeCues || [])].some((cue) => cue.text.includes(text)))"""


@pytest.fixture(scope="module")
def spoken(system: System, tmp_path_factory: pytest.TempPathFactory) -> str:
    """20 s with sound in English and French, French captions inside, English beside."""
    folder = tmp_path_factory.mktemp("spoken")
    (folder / "fr.srt").write_text(FRENCH)
    (folder / "en.srt").write_text(ENGLISH)
    path = folder / "spoken.mkv"
    inputs = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=20"]
    for tone in ("330", "660"):
        inputs += ["-f", "lavfi", "-i", f"sine=frequency={tone}:duration=20"]
    inputs += ["-i", str(folder / "fr.srt")]
    said = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fra"]
    said += ["-metadata:s:s:0", "language=fra"]
    maps = ["-map", "0", "-map", "1", "-map", "2", "-map", "3"]
    codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *inputs, *maps, *codecs, *said]
    subprocess.run([*command, str(path)], check=True)
    return system.add(path, "spoken", "--captions", f"en={folder / 'en.srt'}")


@pytest.fixture
async def watching() -> AsyncIterator[Watching]:
    async with chromium() as browser:
        yield Watching(await browser.new_page(viewport={"width": 1280, "height": 800}))


async def see(watching: Watching, name: str) -> None:
    if SHOTS:
        await watching.page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


@pytest.mark.parametrize("protection", ["", "cenc"])
async def test_captions_and_languages_switch_and_the_storyboard_shows(
    system: System, spoken: str, watching: Watching, protection: str
) -> None:
    page = watching.page
    link = system.link(spoken)
    await watching.start_muted()
    fragment = f"protection={protection}&{link}" if protection else link
    await page.goto(f"{system.edges[0]}/watch/#{fragment}")
    await watching.plays_past(0.5)
    await page.keyboard.press("c")
    await watching.until("() => document.querySelector('#cc').ariaPressed === 'true'")
    assert await page.locator("#texts option").all_inner_texts() == ["English", "Français"]
    reads = "(text) => document.querySelector('#stage').innerText.includes(text)" if protection else SHOWN
    reads = f"(text) => ({SHOWN})(text) || ({reads})(text)"
    await watching.until(reads, "Hello")
    await see(watching, f"captions{protection}")
    if protection:  # these are elements of the page: they have to stand over the picture
        stage = await page.locator("#stage").bounding_box()
        text = await page.locator("#read span").first.bounding_box()
        assert stage and text and stage["y"] + stage["height"] / 2 < text["y"] < stage["y"] + stage["height"]
    await page.locator("#texts").select_option("1")
    await watching.until(reads, "Bonjour")
    assert await page.evaluate("window.hit") is None
    names = await page.locator("#sound option").all_inner_texts()
    assert names == ["English", "Français"]
    await page.locator("#sound").select_option("1")
    heard = "() => window.sluice.hls.audioTrack === 1"
    if protection:
        heard = "() => window.sluice.shaka.getVariantTracks().find((one) => one.active)?.language === 'fr'"
    await watching.until(heard)
    box = await page.locator("#seek").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2)
    await watching.until("() => document.querySelector('#peek').dataset.shown === '12'")
    assert await page.locator("#peek-time").inner_text() in ("0:13", "0:14")
    drawn = "(() => { const c = document.querySelector('#peek-picture'); const d = c.getContext('2d')"
    drawn += ".getImageData(0, 0, c.width, c.height).data; return new Set(d).size; })()"
    assert await page.evaluate(drawn) > 20  # a picture, and no empty canvas
    await see(watching, f"storyboard{protection}")
    await page.set_viewport_size({"width": 390, "height": 780})
    await page.mouse.move(200, 150)
    await see(watching, f"small{protection}")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    overlong = (
        "(() => { const b = document.querySelector('.buttons'); return b.scrollWidth - b.clientWidth; })()"
    )
    assert await page.evaluate(overlong) <= 0
    await page.keyboard.press("c")
    await watching.until("() => document.querySelector('#cc').ariaPressed === 'false'")
    assert watching.trouble == []


async def test_a_film_goes_on_without_captions_that_do_not_come(
    system: System, spoken: str, watching: Watching
) -> None:
    page = watching.page
    await page.route("**/captions/index.m3u8", lambda route: route.fulfill(status=500, body=""))
    await watching.start_muted()
    await page.goto(f"{system.edges[0]}/watch/#{system.link(spoken)}")
    await watching.plays_past(0.5)
    await page.evaluate("""() => {
      window.lost = false;
      window.sluice.hls.on(Hls.Events.ERROR, (_, data) => {
        window.lost ||= data.fatal && data.context?.type === 'subtitleTrack';
      });
    }""")
    await page.keyboard.press("c")
    await watching.until("() => window.lost")
    await watching.plays_past(await page.evaluate("document.querySelector('video').currentTime") + 3)
    assert not await page.locator("#refused").is_visible()


async def test_what_is_beside_a_film_is_for_sessions_alone(system: System, spoken: str) -> None:
    """Captions and pictures count as content: no token, no answer; under `aes` a key of the session opens."""
    async with httpx.AsyncClient(follow_redirects=True) as client:
        main = await client.get(system.link(spoken))
        here = str(main.url)
        assert 'TYPE=SUBTITLES,GROUP-ID="captions",NAME="English",LANGUAGE="en"' in main.text
        assert 'SUBTITLES="captions"' in main.text
        playlist = await client.get(urljoin(here, "captions/index.m3u8"))
        assert "0.vtt" in playlist.text and 'METHOD=AES-128,URI="key/0"' in playlist.text
        sealed = await client.get(urljoin(here, "captions/0.vtt"))
        key = (await client.get(urljoin(here, "captions/key/0"))).content
        opener = Cipher(AES(key), CBC(bytes(16))).decryptor()
        opened = opener.update(sealed.content) + opener.finalize()
        assert opened.startswith(b"WEBVTT\nX-TIMESTAMP-MAP") and b"Hello <i>there</i>" in opened
        assert b"script" not in opened and b"Hello" not in sealed.content
        assert "no-store" in sealed.headers["cdn-cache-control"]
        other = str((await client.get(system.link(spoken))).url)
        assert (await client.get(urljoin(other, "captions/0.vtt"))).content != sealed.content
        assert (await client.get(urljoin(here, "captions/captions.vtt"))).status_code == 403  # not under aes
        common = here.replace("/aes/", "/cenc/")
        plain = await client.get(urljoin(common, "captions/captions.vtt"))
        assert plain.status_code == 200 and plain.headers["content-type"] == "text/vtt; charset=utf-8"
        assert plain.headers["x-content-type-options"] == "nosniff"
        index = await client.get(urljoin(here, "storyboard/index.vtt"))
        assert "0.jpg#xywh=0,0,160,90" in index.text
        assert (await client.get(urljoin(here, "storyboard/0.jpg"))).content.startswith(b"\xff\xd8\xff")
        absent = ["captions/1.vtt", "captions/key/1", "captions-9/0.vtt", "captions/-1.vtt", "captions/0.m4s"]
        absent += ["storyboard/1.jpg", "storyboard/00.jpg", "captions/init.mp4", "720p/0.vtt"]
        for name in absent:
            assert (await client.get(urljoin(here, name))).status_code == 403, name
        for name in ("captions/0.vtt", "captions/key/0", "storyboard/index.vtt", "storyboard/0.jpg"):
            for stranger in ("/v/spoken/aes/", "/v;URISigningPackage=e30.e30.e30/spoken/cenc/"):
                answer = await client.get(system.edges[0] + stranger + name)
                assert answer.status_code == 403 and "Hello" not in answer.text
        with_mpd = await client.get(urljoin(common, "main.mpd"))
        assert "http://dashif.org/guidelines/thumbnail_tile" in with_mpd.text and "text/vtt" in with_mpd.text


def test_ffmpeg_reads_the_captions_and_plays_the_film(system: System, spoken: str) -> None:
    """The playlist of captions by itself; and the master playlist with all its renditions."""
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error"]
    main = str(httpx.get(system.link(spoken), follow_redirects=True).url)
    texts = [*ffmpeg, "-i", urljoin(main, "captions/index.m3u8"), "-f", "webvtt", "-"]
    found = subprocess.run(texts, check=True, capture_output=True, text=True, timeout=60)
    assert "Hello <i>there</i>" in found.stdout
    film = [*ffmpeg, "-i", main, "-map", "0:v:0", "-map", "0:a:1", "-f", "framemd5", "-"]
    frames = subprocess.run(film, check=True, capture_output=True, text=True, timeout=60).stdout
    assert len([line for line in frames.splitlines() if line.startswith("0,")]) == 500


def test_captions_come_before_a_film_is_published_or_not_at_all(system: System, spoken: str) -> None:
    answer = httpx.put(
        f"{system.url('origin')}/v1/assets/{spoken}/captions/de",
        content=ENGLISH,
        headers={"authorization": f"Bearer {system.admin_token}"},
    )
    assert answer.status_code == 409 and "published" in answer.json()["message"]
    stranger = httpx.put(f"{system.url('origin')}/v1/assets/{spoken}/captions/de", content=ENGLISH)
    assert stranger.status_code == 401


def test_a_file_that_is_no_captions_is_refused_before_the_upload(system: System, tmp_path: Path) -> None:
    (tmp_path / "en.srt").write_text("nothing to read")
    film = tmp_path / "film.mp4"
    film.write_bytes(b"x")
    told = system.sluice("add", str(film), "--captions", f"en={tmp_path / 'en.srt'}")
    assert told.returncode == 2 and "no file of captions" in told.stderr
