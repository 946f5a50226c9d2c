"""How a service ends: what it holds is answered, then the server drains."""

import asyncio
from types import SimpleNamespace

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from deploy.serve import FINISH_S, Server, config
from tests.support.lifespan import lived
from tests.support.serving import listening_on


class Holding:
    """An application that holds every answer until it is hushed, as keys holds polls."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hushed = asyncio.Event()
        self.state = SimpleNamespace(hush=self.hush)

    async def hush(self) -> None:
        self.hushed.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lived(receive, send)
            return
        self.asked.set()
        await self.hushed.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def test_f18_an_answer_that_is_held_is_given_when_the_server_is_to_stop() -> None:
    app = Holding()
    with listening_on() as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = Server(config(app))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        async with httpx.AsyncClient(timeout=FINISH_S / 2) as client:
            answer = asyncio.create_task(client.get(url))
            await app.asked.wait()
            server.should_exit = True
            assert (await answer).status_code == 204
        await serving


async def test_h14_the_date_of_an_answer_is_that_of_its_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the server's last tick, nor that of the request: a Last-Modified of now must not be later."""
    app = Holding()
    with listening_on() as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = Server(config(app))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        async with httpx.AsyncClient(timeout=FINISH_S) as client:
            asking = asyncio.create_task(client.get(url))
            await app.asked.wait()
            monkeypatch.setattr("deploy.http_answer.time.time", lambda: 4_000_000_000.9)
            app.hushed.set()
            answer = await asking
        assert answer.headers.get_list("date") == ["Tue, 02 Oct 2096 07:06:40 GMT"]
        server.should_exit = True
        await serving
