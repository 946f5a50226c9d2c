"""A browser and a protected download: it keeps the coded bytes, and a page can open them with the key."""

import base64
import contextlib
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Error

from keys.ece import HEADER, RECORD, RECORD_DATA
from tests.edge.deliver.test_protected import BODY, FILE
from tests.edge.parts import World
from tests.support.browser import chromium

pytestmark = pytest.mark.browser

# RFC 8188 with nothing but what a browser brings: records `first` ≤ k < `stop` of the form at `url`.
OPENED = """async ([url, first, stop, header, record]) => {
  const text = new TextEncoder();
  const said = await (await fetch(`${url}/key`)).json();
  const base64 = said.key.replaceAll("-", "+").replaceAll("_", "/");
  const secret = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const part = async (from, to) => {
    const answer = await fetch(url, { headers: { Range: `bytes=${from}-${to}` } });
    if (answer.status !== 206) throw new Error(`status ${answer.status}`);
    return new Uint8Array(await answer.arrayBuffer());
  };
  const salt = (await part(0, header - 1)).slice(0, 16);
  const input = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
  const derived = async (name, length) => {
    const info = text.encode(`Content-Encoding: ${name}\\0`);
    const how = { name: "HKDF", hash: "SHA-256", salt, info };
    return new Uint8Array(await crypto.subtle.deriveBits(how, input, 8 * length));
  };
  const raw = await derived("aes128gcm", 16);
  const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["decrypt"]);
  const nonce = await derived("nonce", 12);
  const sealed = await part(header + first * record, header + stop * record - 1);
  let plain = "";
  for (let number = first; number < stop; number += 1) {
    const iv = nonce.slice();
    new DataView(iv.buffer).setUint32(8, new DataView(iv.buffer).getUint32(8) ^ number);
    const at = (number - first) * record;
    const one = sealed.subarray(at, at + record);
    const data = new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv }, key, one));
    const end = data.findLastIndex((byte) => byte !== 0);
    for (let i = 0; i < end; i += 4096) {
      plain += String.fromCharCode(...data.subarray(i, Math.min(end, i + 4096)));
    }
  }
  return btoa(plain);
}"""


async def test_a_browser_keeps_the_coded_bytes_and_a_page_opens_any_records(
    edge: World, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    url = edge.download(FILE)
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"{edge.url}/watch/")
        for first, stop in ((0, 2), (15, 18), (32, 33)):
            found = await page.evaluate(OPENED, [url, first, stop, HEADER, RECORD])
            assert base64.b64decode(found) == BODY[first * RECORD_DATA : stop * RECORD_DATA], (first, stop)
        async with page.expect_download() as waited:
            with contextlib.suppress(Error):  # going to an attachment ends no navigation
                await page.goto(url)
        kept = await waited.value
        assert kept.suggested_filename == "A locked.mp4.ece"
        await kept.save_as(tmp_path / "kept")
    assert (tmp_path / "kept").read_bytes() == (await client.get(url)).content
