"""One edge alone in front of any origin, as an operator starts it."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE

import httpx
from starlette.types import Receive, Scope, Send

from deploy.up import free_port_base
from tests.support.lifespan import lived
from tests.support.serving import served
from tests.support.system import clean_environment


async def test_one_command_is_a_cache_in_front_of_an_origin() -> None:
    asked = []

    async def origin(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lived(receive, send)
            return
        asked.append((scope["method"], scope["path"]))
        fields = [(b"cache-control", b"max-age=60"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b"hi"})

    port = str(free_port_base(1))
    async with served(origin) as url:
        argv = ["-m", "deploy.cli", "edge", "--port", port, "--zone", f"/={url}", "--plain"]
        environment = clean_environment()
        edge = await asyncio.create_subprocess_exec(sys.executable, *argv, stdout=PIPE, env=environment)
        try:
            assert edge.stdout is not None
            ready = (await edge.stdout.readline()).decode()
            base = json.loads(ready.removeprefix("ready "))["edges"][0]
            async with httpx.AsyncClient(base_url=base) as client:
                got = [await client.get("/v/film") for _ in range(3)]
                assert {each.text for each in got} == {"hi"}
                assert "hit" in got[2].headers["cache-status"]
                assert (await client.post("/form", content=b"x" * 100_000)).status_code == 200
        finally:
            edge.terminate()
            assert await edge.wait() == 0
    assert asked == [("GET", "/v/film"), ("POST", "/form")]
