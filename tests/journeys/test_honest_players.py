"""Pace slows no honest player (SECURITY T1): all start, seek, play fast, change quality as without it.

The pace is the default one, and the film longer than its burst: who takes all he can comes to its end.

* Shaka, VLC and ffmpeg at reading pace ask for what they are about to show. Nothing of theirs is ever held,
  which the edge itself counts: no clock decides.
* Stock hls.js (up to 600 s at this bit rate), mpv (150 MiB) and, once it has sought ten times, the page (30 s
  each time) take more than the burst. Beyond it they are held, far ahead of the picture. They play beside
  themselves without a pace, and must stall and lose rungs no more often.

The ten seeks come in seconds here; those that take their minute are for `make soak`.
"""

import asyncio
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import imageio_ffmpeg
import pytest
from playwright.async_api import Browser

from tests.support.browser import chromium, chromium_path
from tests.support.desktop import Mpv, Vlc, mpv, vlc
from tests.support.films import make_film
from tests.support.honest import Honest, Seen
from tests.support.stage import needs, stage
from tests.support.system import System, running

pytestmark = pytest.mark.heavy

FILM_S: Final = 720  # the default burst is 300 s of media
NO_PACE: Final = {"burst": 1e6, "rate": 1e6}
SEEKS: Final = (400, 640, 350, 560, 470, 690, 310, 600, 430, 520)  # all beyond what the burst paid
CACHED: Final = (120, 240, 40, 180, 90, 260, 20, 210, 60, 150)
MINUTE: Final = 6.0  # s between two seeks
ROUNDS: Final = 3  # a player short of processor time stalls by itself; what pace causes comes in every round
HELD_SEEKS_S: Final = 10.0  # half of what ten seeks cost if each were held for one segment

ON_THE_PAGE: Final = """height => {
  const list = document.querySelector('#quality');
  list.value = window.sluice.hls.levels.findIndex((level) => level.height === height);
  list.dispatchEvent(new Event('change'));
}"""


@dataclass(frozen=True)
class World:
    """A running system, a site that plays from it, and the film in two rungs."""

    system: System
    site: str
    film: str

    def link(self, name: str, *, paced: bool) -> str:
        """For a viewer of his own."""
        pace = None if paced else NO_PACE
        return self.system.sign(self.film, viewer=f"{name} {'paced' if paced else 'free'}", pace=pace)

    def waits(self) -> float:
        """How many segments were ever held for the pace."""
        return self.system.counts()["pace_waits"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    data = tmp_path_factory.mktemp("honest") / "data"
    film = make_film(tmp_path_factory.mktemp("films") / "long.mp4", seconds=FILM_S, rate=5)
    with (
        stage(tmp_path_factory.mktemp("site")) as site,
        running(data, "--cors-origins", site) as system,
    ):
        yield World(system, site, system.add(film, "long"))


@pytest.mark.browser
@pytest.mark.parametrize(
    "every_s", [0.5, pytest.param(MINUTE, marks=(pytest.mark.soak, pytest.mark.timeout(900)))]
)
@pytest.mark.parametrize("player", ["hls", "shaka", "page"])
async def test_t1_a_player_in_a_browser_plays_as_if_there_were_no_pace(
    world: World, player: str, every_s: float
) -> None:
    if player != "page":
        needs(player)
    chromium_path()
    for round_ in range(ROUNDS):
        before = world.waits()
        async with chromium() as browser:
            paced, free = await asyncio.gather(
                *(
                    watch(world, browser, f"{player} {every_s} {round_}", paced, every_s)
                    for paced in (True, False)
                )
            )
        held = world.waits() - before
        print(f"{player}: {held:.0f} held, paced {paced}, free {free}")
        assert paced.trouble == free.trouble == []
        if player == "hls":
            assert held, "it took more than the burst"
        elif player == "shaka":
            assert not held
            return
        if (
            len(paced.stalls) <= len(free.stalls)
            and paced.lost <= free.lost
            and sum(paced.seek_s) <= sum(free.seek_s) + HELD_SEEKS_S
        ):
            return
    raise AssertionError(f"slowed in each of {ROUNDS} rounds: {paced} beside {free}")


async def watch(world: World, browser: Browser, viewer: str, paced: bool, every_s: float) -> Seen:
    """What an honest viewer saw who starts, seeks ten times, plays at 2× and chooses both qualities."""
    player = viewer.split()[0]
    link = world.link(viewer, paced=paced)
    page = await (await browser.new_context()).new_page()
    if player == "page":
        honest = Honest(page, ON_THE_PAGE)
        await honest.opens(f"{world.system.edges[0]}/watch/#{link}")
    else:
        honest = Honest(page)
        await honest.opens(f"{world.site}/{player}.html#{link}")
    for place in SEEKS:
        await honest.seeks(place, every_s)
    await honest.plays_on(16.0, 2.0)
    lost = (await honest.seen()).lost  # from here on it is he who goes down
    for height in (240, 360):
        await honest.chooses(height)
        await honest.plays_on(4.0, 2.0)
    return replace(await honest.seen(), lost=lost)


async def test_t1_mpv_plays_as_if_there_were_no_pace(world: World, tmp_path: Path) -> None:
    """Its seeks stay in what it holds. Beyond that, FFmpeg's libraries before their commit 380a518c, such as
    Debian 12's, do not find their place in fMP4 again, paced or not (mpv issue 13211).
    """
    for round_ in range(ROUNDS):
        before = world.waits()
        async with AsyncExitStack() as stack:
            players: list[Mpv] = []
            for paced in (True, False):
                folder = tmp_path / f"{round_} {paced}"
                folder.mkdir()
                link = world.link(f"mpv {round_}", paced=paced)
                players.append(await stack.enter_async_context(mpv(link, folder)))
            await asyncio.gather(*map(use_mpv, players))
        assert world.waits() > before, "it took more than the burst"
        paced_stalls, free_stalls = (player.stalls for player in players)
        if paced_stalls <= free_stalls:
            return
    raise AssertionError(f"it stood still {paced_stalls} times, without a pace {free_stalls} times")


async def use_mpv(player: Mpv) -> None:
    await player.plays_past(1.0)
    await player.has_ahead(max(CACHED))
    for place in CACHED:
        await player.seeks(place)
    await player.plays_on(12.0, 2.0)


async def test_t1_vlc_at_double_speed_never_waits(world: World, anybodys: Path) -> None:
    """Five seeks: after each it takes more than half a minute of media, and seven in a row end its burst."""
    for round_ in range(ROUNDS):
        before = world.system.counts()
        async with vlc(world.link(f"vlc {round_}", paced=True), anybodys, speed=2) as player:
            await use_vlc(player, SEEKS[:5], 0)
            await player.plays_past(SEEKS[4] + 16)
            ended = player.ended
        after = world.system.counts()
        assert after["pace_waits"] == before["pace_waits"]
        assert after["failed"] == before["failed"]
        if not ended:
            return
    raise AssertionError(f"it ended by itself in each of {ROUNDS} rounds")


@pytest.mark.soak
async def test_t1_vlc_seeks_ten_times_in_a_minute_as_if_there_were_no_pace(
    world: World, anybodys: Path
) -> None:
    took: dict[bool, float] = {}
    for paced in (True, False):
        before = world.waits()
        async with vlc(world.link("vlc seeks", paced=paced), anybodys, speed=1) as player:
            took[paced] = await use_vlc(player, SEEKS, MINUTE)
            assert not player.ended
        print(f"vlc: {world.waits() - before:.0f} held, sought for {took[paced]:.1f} s")
    assert took[True] <= took[False] + HELD_SEEKS_S


async def use_vlc(player: Vlc, seeks: Sequence[int], every_s: float) -> float:
    """Seconds from each seek until it played there, in all."""
    await player.plays_past(2)
    took = 0.0
    for place in seeks:
        began = time.monotonic()
        await player.seeks(place)
        took += time.monotonic() - began
        await player.plays_past(round(place + every_s))
    return took


@pytest.fixture
def anybodys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder anybody may write to: VLC does not run as root."""
    folder = tmp_path_factory.mktemp("vlc")
    for each in (folder, *folder.parents[:3]):
        each.chmod(each.stat().st_mode | 0o011)
    folder.chmod(0o777)
    return folder


def test_t1_ffmpeg_at_reading_pace_never_waits(world: World) -> None:
    before = world.system.counts()
    reading = ("-v", "error", "-re", "-allowed_extensions", "ALL", "-extension_picky", "0", "-t", "12")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), *reading, "-i", world.link("ffmpeg", paced=True)]
    subprocess.run([*command, "-f", "null", "-"], check=True, stdin=subprocess.DEVNULL, timeout=200)
    after = world.system.counts()
    assert after["segments"] > before["segments"]
    assert after["pace_waits"] == before["pace_waits"]
