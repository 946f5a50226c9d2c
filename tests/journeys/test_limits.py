"""A link's own limits over the whole system: who is refused, who plays on, and what the page says."""

import json
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.browser import chromium
from tests.support.eventually import eventually
from tests.support.films import make_film
from tests.support.system import System
from tests.support.viewer import Viewer
from tests.support.watching import Watching


def from_network(number: int) -> httpx.AsyncClient:
    """A client from a network of its own, so that each opening is a session of its own."""
    return httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(local_address=f"127.0.{number}.1"), timeout=60
    )


@pytest.mark.parametrize("viewer", [(), ("--viewer", "shares")], ids=["by link", "by viewer"])
async def test_t2_of_three_parallel_uses_at_a_limit_of_two_the_third_is_refused(
    system: System, film: str, viewer: tuple[str, ...]
) -> None:
    link = system.link(film, "--streams", "2", *viewer)
    async with AsyncExitStack() as stack:
        uses = [await stack.enter_async_context(Viewer(link, from_network(140 + n))) for n in range(3)]
        for use in uses[:2]:
            await use.opened()
        answer = await uses[2].open()
        assert (answer.status_code, answer.json()["limit"]) == (403, "streams")
        rendition = uses[0].renditions()[0]
        for number in range(4):
            for use in uses[:2]:
                await use.cipher(rendition, number)
            url = uses[2].segment_url(rendition, number)
            assert (await uses[2].get(url)).status_code == 403
        await uses[0].client.post(str(httpx.URL(uses[0].url).join("leave")))
        assert (await uses[2].open()).status_code == 200
        assert (await uses[0].get(uses[0].segment_url(rendition, 0))).status_code == 403


async def test_t2_an_asset_is_watched_by_as_many_as_its_operator_says(system: System, film: str) -> None:
    told = system.sluice("limit", film, "--streams", "2", "--viewer-streams", "1")
    assert told.returncode == 0, told.stderr
    try:
        async with AsyncExitStack() as stack:
            links = [system.link(film, "--viewer", name) for name in ("anna", "anna", "berta", "carla")]
            uses = [
                await stack.enter_async_context(Viewer(link, from_network(160 + n)))
                for n, link in enumerate(links)
            ]
            answers = [await use.open() for use in uses]
            assert [answer.status_code for answer in answers] == [200, 403, 200, 403]
            assert [answers[n].json()["limit"] for n in (1, 3)] == ["streams", "asset"]
            await uses[0].client.post(str(httpx.URL(uses[0].url).join("leave")))
            assert (await uses[3].open()).status_code == 200
            shown = system.sluice("limit", film)
            assert [line.split()[:2] for line in shown.stdout.splitlines()[1:]] == [
                ["streams", "2"],
                ["viewer-streams", "1"],
            ]
    finally:
        told = system.sluice("limit", film, "--streams", "none", "--viewer-streams", "none")
        assert told.returncode == 0, told.stderr
    assert system.sluice("limit", film, "--streams", "0").returncode == 2
    assert system.sluice("limit", "no-such-film", "--streams", "1").returncode == 1


async def test_an_asset_is_limited_from_its_first_session_on(system: System, tmp_path: Path) -> None:
    file = make_film(tmp_path / "few.mp4", seconds=4, size="320x180", audio=False)
    few = system.add(file, "few", "--streams", "1", "--viewer-streams", "7")
    try:
        shown = [line.split()[:2] for line in system.sluice("limit", few).stdout.splitlines()[1:]]
        assert shown == [["streams", "1"], ["viewer-streams", "7"]]
        links = [system.link(few, "--viewer", name) for name in ("anna", "berta")]
        async with Viewer(links[0]) as first, Viewer(links[1], from_network(170)) as second:
            assert (await first.open()).status_code == 200
            assert (await second.open()).json()["limit"] == "asset"
    finally:
        assert system.sluice("rm", few, "--yes").returncode == 0
    assert "limit" in system.sluice("add", str(file), "--streams", "many").stderr


async def test_a_link_opens_as_often_in_a_minute_as_it_says(system: System, film: str) -> None:
    link = system.link(film, "--opens", "2")
    async with AsyncExitStack() as stack:
        uses = [await stack.enter_async_context(Viewer(link, from_network(150 + n))) for n in range(3)]
        answers = [await use.open() for use in uses]
        assert [answer.status_code for answer in answers] == [200, 200, 403]
        assert answers[2].json()["limit"] == "opens"


@pytest.mark.browser
async def test_t2_a_second_device_is_refused_on_its_page_and_plays_once_the_first_has_stopped(
    system: System, film: str
) -> None:
    def link() -> str:
        return system.link(film, "--viewer", "two-devices", "--streams", "1")

    async with chromium() as browser:
        first, second = [Watching(await (await browser.new_context()).new_page()) for _ in range(2)]
        await first.open(system.edges[0], link())
        await first.plays_past(1.0)
        await second.open(system.edges[0], link())
        await second.until("() => document.querySelector('#stage').dataset.limit === 'streams'")
        assert "as many devices as it may" in await second.page.locator("#sentence").inner_text()
        await first.plays_past(3.0)
        assert first.trouble == []
        await first.page.close(run_before_unload=True)

        async def plays() -> bool:
            if await second.page.locator("#again").is_visible():
                await second.page.locator("#again").click()
            return bool(await second.page.evaluate("document.querySelector('video').currentTime > 0.5"))

        await eventually(plays, within_s=60)
        await second.page.reload()
        await second.plays_past(1.0)


async def test_what_one_viewer_watches_is_listed_and_ended_and_he_may_come_again(
    system: System, film: str
) -> None:
    link = system.link(film, "--viewer", "ends-here")
    async with Viewer(link) as viewer:
        await viewer.opened()
        (listed,) = json.loads(system.sluice("sessions", "--viewer", "ends-here", "--json").stdout)
        assert listed["viewer"] == "ends-here"
        told = system.sluice("revoke", "--sessions-of", "ends-here")
        assert (told.returncode, told.stderr) == (0, "ended 1 session of ends-here\n")
        segment = viewer.segment_url(viewer.renditions()[0], 0)

        async def stopped() -> bool:
            statuses = [(await viewer.client.get(segment)).status_code for _ in range(4)]
            return statuses == [403] * 4  # on every worker

        await eventually(stopped, within_s=10)
        await viewer.opened()
        assert (await viewer.get(viewer.segment_url(viewer.renditions()[0], 0))).status_code == 200
    assert system.sluice("revoke").returncode == 2
    assert system.sluice("revoke", "--undo", "--sessions-of", "a").returncode == 2


async def test_a_link_delivers_as_many_bytes_as_it_says_to_all_its_sessions_together(
    system: System, film: str
) -> None:
    async with AsyncExitStack() as stack:
        probe = await stack.enter_async_context(Viewer(system.link(film)))
        await probe.opened()
        rendition = probe.renditions()[0]
        sizes = [len(await probe.cipher(rendition, number)) for number in range(2)]
        link = system.link(film, "--budget", str(sum(sizes)))
        uses = [await stack.enter_async_context(Viewer(link, from_network(160 + n))) for n in range(2)]
        for number, use in enumerate(uses):
            await use.opened()
            await use.cipher(rendition, number)
        for use in uses:
            answer = await use.get(use.segment_url(rendition, 2))
            assert (answer.status_code, answer.json()["limit"]) == (403, "budget")


@pytest.mark.browser
async def test_a_link_bound_to_a_browser_plays_there_and_is_refused_on_another_ones_page(
    system: System, film: str
) -> None:
    link = system.link(film, "--device")
    async with chromium() as browser:
        first, second = [Watching(await (await browser.new_context()).new_page()) for _ in range(2)]
        await first.open(system.edges[0], link)
        await first.plays_past(1.0)
        await second.open(system.edges[0], link)
        await second.until("() => document.querySelector('#stage').dataset.limit === 'device'")
        assert "the browser that opened it first" in await second.page.locator("#sentence").inner_text()
        await first.page.reload()
        await first.plays_past(1.0)
