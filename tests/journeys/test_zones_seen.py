"""What an operator sees of zones: numbers by zone, the admin page's panel, and a purge made on it."""

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page

from tests.support.browser import chromium
from tests.support.eventually import eventually
from tests.support.stub_bucket import Bucket, bucket_in_a_thread
from tests.support.system import System, running

SECRET = "sEcReT-0123456789"
OFTEN = 40


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with bucket_in_a_thread() as found:
        yield found


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, bucket: Bucket) -> Iterator[System]:
    """`sluice up`, two workers, whose zones were asked for some things."""
    folder = tmp_path_factory.mktemp("seen")
    file = folder / "zones.toml"
    shared = f'origins = ["{bucket.url}"]\nprivate = true\n'
    file.write_text(
        f'[zones.press]\n{shared}query = ["w"]\n'
        f'[zones.courses]\n{shared}access = "signed"\n'
        f"[zones.archive]\n{shared}"
        '[zones.gone]\norigins = ["http://127.0.0.1:9"]\nprivate = true\n'
    )
    with running(folder / "data", "--zones", str(file), workers=2) as system:
        link = system.link("courses/week-1/a.mp4", "--zone", "--for", "1h")
        with httpx.Client(base_url=system.edges[0], timeout=20) as client:
            for number in range(OFTEN):
                assert client.get("/z/press/popular.jpg?w=320").status_code == 200
                assert client.get(f"/z/press/once-{number}.jpg").status_code == 200
            for _ in range(3):
                assert client.get(link).status_code == 200
                assert client.get(f"/z/archive/a?key={SECRET}").status_code == 200
            for _ in range(6):
                assert client.get("/z/gone/a").status_code in (502, 503)
            assert client.get("/z/nosuch/a").status_code == 404
            assert client.get("/z/courses/week-1/a.mp4").status_code == 403
        yield system


def test_numbers_are_by_zone_in_metrics_and_in_stats(asked: System) -> None:
    text = httpx.get(f"{asked.edges[0]}/metrics").text
    assert f'sluice_edge_zone_requests_total{{zone="press"}} {2 * OFTEN}.0' in text
    assert 'sluice_edge_zone_refused_total{zone="courses"} 1.0' in text
    assert 'sluice_edge_zone_refused_total{zone="-"} 1.0' in text
    told = asked.sluice("stats", "--json", "--every", "0.2s")
    zones = {each["zone"]: each for each in json.loads(told.stdout)["zones"]}
    press, gone = zones["press"], zones["gone"]
    assert press["requests"] == 2 * OFTEN and press["failed"] == 0
    assert press["memory_share"] + press["shared_share"] + press["l2_share"] == pytest.approx(
        1 - press["misses"] / (2 * OFTEN), abs=1e-3
    )
    assert press["misses"] >= OFTEN + 1 and press["origin_bytes"] > 0
    assert 0 < press["origin_p50_s"] <= press["origin_p95_s"]
    assert press["told"]["access"] == "public" and list(press["told"]["origins"].values()) == ["ready"]
    assert gone["failed"] == 6 and gone["origin_errors"] + gone["unavailable"] == 6
    shown = asked.sluice("stats", "--once", "--every", "0.2s").stdout
    assert "press" in shown and "origin p50" in shown


async def test_t21_what_is_asked_for_most_is_told_without_a_token_or_a_query_of_the_clients(
    asked: System,
) -> None:
    found: dict[str, dict[str, dict[str, list[list[object]]]]] = {}

    async def told() -> bool:
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{asked.edges[0]}/metrics/zones")
            assert SECRET not in answer.text and "URISigning" not in answer.text
            proxied = await client.get(f"{asked.edges[0]}/metrics/zones", headers={"via": "1.1 front"})
            assert proxied.status_code == 404, "for this machine only"
        found.update(answer.json()["zones"])
        press = found.get("press", {}).get("requests", {}).get("objects", [])
        return sum(int(str(each[1])) for each in press) >= OFTEN

    await eventually(told, within_s=20)
    assert found["press"]["requests"]["objects"][0][:2] == ["/popular.jpg?w=320", OFTEN]
    assert found["courses"]["requests"]["objects"][0][:2] == ["/week-1/a.mp4", 3]
    assert found["archive"]["requests"]["objects"][0][:2] == ["/a", 3]
    shown = asked.sluice("stats", "--once", "--zones", "--every", "0.2s").stdout
    assert "/popular.jpg?w=320" in shown and "/week-1/a.mp4" in shown and SECRET not in shown


@contextlib.asynccontextmanager
async def admin_page(asked: System, width: int) -> AsyncIterator[Page]:
    heard: list[str] = []
    async with chromium() as browser:
        page = await browser.new_page(viewport={"width": width, "height": 900})
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(f"Error {error}"))
        await page.goto(f"{asked.url('admin')}/#token={asked.admin_token}")
        await page.locator(".zone").first.wait_for()
        yield page
    assert not [text for text in heard if "Content Security Policy" in text or text.startswith("Error")]


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
async def test_the_page_shows_each_zone_its_origins_and_what_is_asked_for_most(
    asked: System, width: int, tmp_path: Path
) -> None:
    async with admin_page(asked, width) as page:
        press = page.locator(".zone", has=page.get_by_role("heading", name="press"))
        await press.get_by_text("/popular.jpg?w=320").first.wait_for()
        await press.get_by_text(" well").wait_for()
        await press.get_by_role("img", name="from memory", exact=False).wait_for()
        gone = page.locator(".zone", has=page.get_by_role("heading", name="gone"))
        await gone.get_by_text(" away").wait_for()
        await page.get_by_text("1 requests for no zone", exact=False).wait_for()
        assert SECRET not in await page.content()
        await page.screenshot(path=tmp_path / "zones.png", full_page=True)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.browser
async def test_a_purge_made_on_the_page_is_done_and_one_that_cannot_be_is_explained(
    asked: System, bucket: Bucket
) -> None:
    before = bucket.asked.count("/popular.jpg?w=320")
    async with admin_page(asked, 1280) as page:
        await page.get_by_role("button", name="Purge in press").click()
        form = page.locator("dialog")
        assert await form.get_by_label("Zone", exact=True).input_value() == "press"
        await form.get_by_label("Path or URL").fill("popular.jpg")
        await form.get_by_role("button", name="Purge").click()
        await form.get_by_role("alert").get_by_text("path from /", exact=False).wait_for()
        await form.get_by_label("Path or URL").fill(f"{asked.edges[0]}/z/archive/popular.jpg")
        await form.get_by_role("button", name="Purge").click()
        await form.get_by_role("alert").get_by_text("in zone archive, not in press", exact=False).wait_for()
        await form.get_by_label("Path or URL").fill(f"{asked.edges[0]}/z/press/popular.jpg?w=320")
        await form.get_by_role("button", name="Purge").click()
        await page.get_by_text("Purged: /popular.jpg?w=320 of press.", exact=False).wait_for()
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=asked.edges[0], limits=limits, timeout=20) as client:

        async def asked_again() -> bool:
            assert (await client.get("/z/press/popular.jpg?w=320")).status_code == 200
            return bucket.asked.count("/popular.jpg?w=320") > before

        await eventually(asked_again, within_s=5)
