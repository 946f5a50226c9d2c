"""The document is valid OpenAPI 3.1 and says what is served; the page shows all of it, without scripts."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis

from origin.control.scopes import ADMIN, SCOPES
from origin.hooks import signing
from origin.hooks.events import EVENTS
from tests.support.browser import chromium

if TYPE_CHECKING:
    from tests.origin.control.conftest import Site

ROOT = Path(__file__).parents[3]


@pytest.fixture
async def document(site: "Site") -> AsyncIterator[dict[str, Any]]:
    async with site.http() as http:
        answer = await http.get("/api/openapi.json")
        assert answer.headers["content-type"] == "application/json"
        yield answer.json()


async def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()
    broken = document | {"paths": {"/x": {"get": {"responses": 7}}}}
    with pytest.raises(Exception, match=r"(?i)valid|schema|type"):
        schemathesis.openapi.from_dict(broken).validate()


async def test_references_lead_somewhere_and_rows_have_names_of_their_own(
    document: dict[str, Any],
) -> None:
    text = json.dumps(document)
    for kind, name in re.findall(r'"#/components/(\w+)/(\w+)"', text):
        assert name in document["components"][kind]
    rows = [row for methods in document["paths"].values() for row in methods.values()]
    names = [row["operationId"] for row in rows]
    assert len(names) == len(set(names)) > 25
    assert {row["x-scope"] for row in rows} == {*SCOPES, ADMIN}
    assert {row["tags"][0] for row in rows} == {tag["name"] for tag in document["tags"]}


async def test_examples_in_the_document_are_taken(site: "Site", document: dict[str, Any]) -> None:
    await site.publish("film")
    tried = 0
    async with site.admin as http:
        for path, methods in document["paths"].items():
            for method, row in methods.items():
                content = row.get("requestBody", {}).get("content", {}).get("application/json", {})
                if "example" in content and "cms.example" not in json.dumps(content):
                    where = path.format_map({"id": "film", "zone": "press"})
                    answer = await http.request(method, where, json=content["example"])
                    assert answer.is_success, (path, answer.text)
                    tried += 1
    assert tried >= 5


class Page(HTMLParser):
    """Which elements, IDs and links a page has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One element."""
        found = dict(attrs)
        self.tags.add(tag)
        self.ids.add(found.get("id") or "")
        self.links.add(found.get("href") or "")


async def test_the_page_shows_every_row_without_scripts(site: "Site", document: dict[str, Any]) -> None:
    async with site.http() as http:
        assert (await http.get("/api")).headers["location"] == "/api/"
        answer = await http.get("/api/")
    page = Page(answer.text)
    assert "script" not in page.tags and "style" not in page.tags
    rows = {row["operationId"] for methods in document["paths"].values() for row in methods.values()}
    assert rows <= page.ids and {f"#{row}" for row in rows} <= page.links
    assert all(link.startswith(("#", "/")) for link in page.links if link)


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
async def test_the_page_fits_its_window_and_loads_nothing_else(site: "Site", width: int, height: int) -> None:
    told: list[str] = []
    async with chromium() as browser:
        page = await browser.new_page(viewport={"width": width, "height": height})
        page.on("console", lambda message: told.append(message.text))
        page.on("requestfailed", lambda request: told.append(request.url))
        await page.goto(f"{site.url}/api/")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        shown = await page.evaluate("document.querySelectorAll('article').length")
    assert told == [] and shown > 25


async def test_the_recipe_in_the_docs_verifies_what_is_sent() -> None:

    text = (ROOT / "docs" / "api.md").read_text()
    recipe = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert recipe is not None
    names: dict[str, Any] = {}
    exec(recipe[1], names)
    secret, body = signing.new_secret(), b'{"id":"msg_1"}'
    headers = signing.headers(secret, "msg_1", names["time"].time(), body)
    assert names["genuine"](headers, body, signing.written(secret))
    assert not names["genuine"](headers, body + b" ", signing.written(secret))
    assert not names["genuine"](headers, body, signing.written(signing.new_secret()))
    late = signing.headers(secret, "msg_1", names["time"].time() - 400, body)
    assert not names["genuine"](late, body, signing.written(secret))


def test_every_scope_and_event_is_in_the_docs() -> None:

    text = (ROOT / "docs" / "api.md").read_text()
    assert all(f"`{word}`" in text for word in (*SCOPES, *EVENTS))


def test_the_recipe_for_node_verifies_what_is_sent(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed (Debian: apt install nodejs)")
    recipe = re.search(r"```js\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL)
    assert recipe is not None
    secret, body = signing.new_secret(), '{"id":"msg_1","title":"Höhe"}'
    headers = json.dumps(signing.headers(secret, "msg_1", time.time(), body.encode()))
    calls = [
        f"genuine({headers}, Buffer.from({json.dumps(text)}), {json.dumps(signing.written(key))})"
        for text, key in ((body, secret), (body + " ", secret), (body, signing.new_secret()))
    ]
    (tmp_path / "verify.mjs").write_text(f"{recipe[1]}\nconsole.log({', '.join(calls)});\n")
    told = subprocess.run([node, tmp_path / "verify.mjs"], check=True, capture_output=True, text=True)
    assert told.stdout.split() == ["true", "false", "false"]
