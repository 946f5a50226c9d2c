"""A receiver of webhooks on a real loopback socket: keeps what came, and answers as it is told."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.serving import served


@dataclass
class Receiver:
    """What it got, and what it answers next (200 when nothing is said)."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    hangs: bool = False
    released: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def hook(self, request: Request) -> Response:
        """`POST /hook`."""
        self.got.append((dict(request.headers), await request.body()))
        async with self._news:
            self._news.notify_all()
        if self.hangs:
            await self.released.wait()
        status = self.answers.pop(0) if self.answers else 200
        headers = {"location": "/elsewhere"} if 300 <= status < 400 else {}
        return Response(status_code=status, headers=headers)

    async def elsewhere(self, request: Request) -> Response:
        """Where a redirect would lead."""
        raise AssertionError("a redirect was followed")

    async def wait(self, count: int) -> None:
        """Until so many messages came."""
        async with asyncio.timeout(120), self._news:
            await self._news.wait_for(lambda: len(self.got) >= count)

    def bodies(self) -> list[dict[str, Any]]:
        """The messages."""
        return [json.loads(body) for _, body in self.got]


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that runs while entered."""
    receiver = Receiver()
    app = Starlette(
        routes=[
            Route("/hook", receiver.hook, methods=["POST"]),
            Route("/elsewhere", receiver.elsewhere, methods=["GET", "POST"]),
        ]
    )
    async with served(app) as url:
        receiver.url = f"{url}/hook"
        yield receiver
        receiver.released.set()
