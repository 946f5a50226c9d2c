"""The upload page: sign in, upload with and without scripts, and nothing from a file name ever runs."""

from typing import Any

import pytest
from playwright.async_api import Browser, ConsoleMessage, FilePayload, Page

from tests.support.browser import chromium

HOSTILE = [
    "<script>window.hit=1</script>.mp4",
    "<img src=x onerror=window.hit=1>.mp4",
    '"><svg onload=window.hit=1>.mp4',
    "'-window.hit=1-'.mp4",
    "javascript:window.hit=1.mp4",
    "</title><script>window.hit=1</script>.mp4",
    "${window.hit=1}{{window.hit=1}}.mp4",
    "$heading $$.mp4",
    "a\u202egpj.4pm",
    "&lt;script&gt;window.hit=1.mp4",
]


def payload(name: str, data: bytes) -> FilePayload:
    return {"name": name, "mimeType": "video/mp4", "buffer": data}


async def sign_in(http: Any, token: str, **headers: str) -> Any:
    found = {"origin": str(http.base_url).rstrip("/")} | headers
    return await http.post("/login", data={"token": token}, headers=found)


async def test_strangers_are_sent_to_sign_in(origin: Any) -> None:
    async with origin.http as http:
        for path, to in (("/", "/upload"), ("/upload", "/login")):
            answer = await http.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, to)
        page = await http.get("/login")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe-inline" not in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-frame-options"] == "DENY"


async def test_signing_in_opens_the_upload_page(origin: Any, admin_token: str) -> None:
    async with origin.http as http:
        answer = await sign_in(http, admin_token)
        assert (answer.status_code, answer.headers["location"]) == (303, "/upload")
        page = await http.get("/upload")
        assert page.status_code == 200 and "Add films" in page.text
        assert admin_token not in page.text
        away = await http.post("/logout", headers={"origin": origin.url})
        assert away.status_code == 303
        assert (await http.get("/upload")).status_code == 303


async def test_a_wrong_token_and_another_site_do_not_sign_in(origin: Any, admin_token: str) -> None:
    async with origin.http as http:
        wrong = await sign_in(http, "guess")
        assert wrong.status_code == 401 and "not the admin token" in wrong.text
        foreign = await sign_in(http, admin_token, origin="https://evil.example")
        assert foreign.status_code == 403
        assert "set-cookie" not in wrong.headers and "set-cookie" not in foreign.headers


async def test_templates_are_not_served_as_files(origin: Any) -> None:
    async with origin.http as http:
        assert (await http.get("/ui/result.html")).status_code == 404
        assert (await http.get("/ui/../app.py")).status_code == 404
        assert (await http.get("/ui/%2e%2e/app.py")).status_code == 404
        assert (await http.get("/ui/shared/base.css")).headers["cache-control"] == "no-cache"


async def upload_plainly(origin: Any, http: Any, files: list[tuple[str, bytes]]) -> Any:
    return await http.post(
        "/upload",
        files=[("file", (name, data)) for name, data in files],
        headers={"accept": "text/html", "origin": origin.url},
    )


async def test_without_scripts_a_page_says_what_became_of_each_file(
    origin: Any, admin_token: str, film: bytes
) -> None:
    async with origin.http as http:
        await sign_in(http, admin_token)
        page = await upload_plainly(origin, http, [("<b>one.mp4", film), ("two.txt", b"text")])
        assert page.status_code == 201
        assert "Partly uploaded" in page.text
        assert "Uploaded as b-one" in page.text and "<b>" not in page.text
        refused = await upload_plainly(origin, http, [("two.txt", b"text")])
        assert refused.status_code == 415 and "Not uploaded" in refused.text
        foreign = await http.post(
            "/upload", files={"file": ("a.mp4", film)}, headers={"origin": "http://evil"}
        )
        assert foreign.status_code == 403


async def opened(browser: Browser, origin: Any, token: str, *, scripts: bool = True) -> Page:
    context = await browser.new_context(java_script_enabled=scripts)
    page = await context.new_page()
    await page.goto(f"{origin.url}/login")
    await page.fill("#token", token)
    await page.click("button")
    await page.wait_for_url("**/upload")
    return page


@pytest.mark.browser
async def test_t14_hostile_file_names_are_text_and_nothing_else(
    origin: Any, admin_token: str, film: bytes
) -> None:
    files = [payload(name, film) for name in HOSTILE]
    violations: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            violations.append(message.text)

    async with chromium() as browser:
        page = await opened(browser, origin, admin_token)
        page.on("console", heard)
        await page.set_input_files("#files", files)
        for number in range(len(HOSTILE)):
            row = page.locator("#uploads li").nth(number)
            await row.locator(".status", has_text="Waiting for its turn").wait_for(timeout=8000)
        assert await page.locator("#uploads .name").all_text_contents() == HOSTILE
        assert await page.evaluate("window.hit") is None
        await page.reload()
        assert await page.evaluate("window.hit") is None
    assert violations == []
    assert all(asset.title.isprintable() for asset in await origin.catalogue.list())


@pytest.mark.browser
async def test_t14_without_scripts_the_form_works_and_names_stay_text(
    origin: Any, admin_token: str, film: bytes
) -> None:
    async with chromium() as browser:
        page = await opened(browser, origin, admin_token, scripts=False)
        await page.set_input_files(
            "#files",
            [
                payload(HOSTILE[1], film),
                payload("letter.mp4", b"Dear reader"),
            ],
        )
        await page.get_by_role("button", name="Upload", exact=True).click()
        await page.wait_for_selector("text=Partly uploaded")
        assert await page.locator(".name").all_text_contents() == [HOSTILE[1], "letter.mp4"]
        assert await page.locator("img[src=x]").count() == 0


@pytest.mark.browser
async def test_a_refused_and_a_cancelled_upload_say_so_and_leave_nothing(
    origin: Any, admin_token: str
) -> None:
    async with chromium() as browser:
        page = await opened(browser, origin, admin_token)
        await page.set_input_files("#files", [payload("l.mp4", b"Dear reader")])
        await page.locator("#uploads .status", has_text="This file is no video").wait_for()
        await page.set_input_files("#files", [payload("big.mp4", b"x" * 4_000_001)])
        await page.locator("#uploads .status", has_text="at most 4.0 MB").wait_for()
        await page.route("**/v1/tus", lambda route: None)  # an upload that never ends
        await page.set_input_files("#files", [payload("c.mp4", b"x" * 1000)])
        await page.get_by_role("button", name="Cancel c.mp4").click()
        await page.locator("#uploads .status", has_text="Cancelled. Nothing was kept.").wait_for()
    assert await origin.nothing_left()
