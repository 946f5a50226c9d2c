"""The control API on a whole system: a token uploads, a webhook hears of it, a link plays, the token ends."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.support.films import make_film
from tests.support.receiver import receiving
from tests.support.system import System, running
from tests.support.viewer import Viewer


async def said(system: System, *words: str, code: int = 0) -> str:
    """What a command printed, when it ended so."""
    told = await asyncio.to_thread(system.sluice, *words)
    assert told.returncode == code, (words, told.stdout, told.stderr)
    return told.stdout.strip() if code == 0 else told.stderr.strip()


async def test_a_program_publishes_hears_of_it_and_hands_out_a_link(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", seconds=4)
    with running(tmp_path / "data", "--webhook-networks", "127.0.0.0/8") as system:
        async with receiving() as receiver:
            secret = await said(system, "webhooks", "add", receiver.url, "--events", "asset.published")
            assert secret.startswith("whsec_")
            hook = (await said(system, "webhooks", "list")).split()[-4]
            token = await said(
                system, "tokens", "add", "cms", "--scope", "assets:read,uploads,links", "--expires", "90d"
            )
            base, headers = system.url("origin"), {"authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(base_url=base, headers=headers, timeout=60, trust_env=False) as http:
                made = await http.post(
                    "/api/v1/assets?name=film.mp4&id=film",
                    content=film.read_bytes(),
                    headers={"content-type": "application/octet-stream", "idempotency-key": "first"},
                )
                assert made.status_code == 201, made.text
                await receiver.wait(1)
                (message,) = receiver.bodies()
                assert (message["type"], message["data"]["asset"]) == ("asset.published", "film")
                assert (await http.get("/api/v1/assets/film")).json()["state"] == "published"
                link = (await http.post("/api/v1/links", json={"asset": "film", "viewer": "anna"})).json()
                assert urlsplit(link["url"]).netloc == urlsplit(system.edges[0]).netloc
                async with Viewer(link["url"]) as viewer:
                    await viewer.opened()
                assert b"#EXTM3U" in viewer.multivariant
                assert (await http.get("/api/v1/sessions")).status_code == 403
                assert hook.startswith("whk_")
                await said(system, "webhooks", "test", hook)
                assert receiver.bodies()[-1]["type"] == "webhook.test"
                receiver.answers = [500]
                assert "500" in await said(system, "webhooks", "test", hook, code=1)
                assert "cms" in await said(system, "tokens", "list")
                await said(system, "tokens", "revoke", "cms")
                assert (await http.get("/api/v1/assets")).status_code == 401
            assert "no scope" in await said(system, "tokens", "add", "x", "--scope", "all", code=2)
            assert "not public" in await said(system, "webhooks", "add", "https://10.0.0.1/", code=1)
            await said(system, "webhooks", "rm", hook)
            assert await said(system, "webhooks", "list") == ""
            for log in (system.data / "logs").glob("*.log"):
                assert token not in log.read_text() and secret not in log.read_text(), "T21"
